// From any page: type, Enter, and the portal is open and signed in; two customers side by side; what the tenant asks for;
// and what is said while a lease lives.
import fs from 'node:fs';
import path from 'node:path';
import { Browser, EXTENSION_ID, Popup } from '../lab.mjs';
import { dormant, expect, picture, test, until } from './fixtures.mjs';

test.use({ customers: ['Contoso', 'Fabrikam'] });

const shownTo = (popup) => popup.evaluate(`[...document.querySelectorAll('.row-name')].map((node) => node.textContent)`);

// The popup closes with the click, often before it has answered.
const enter = (popup) => popup.press('Enter').catch(() => {});

async function signedIn(page, account) {
  await page.waitForSelector('#signed-in-as');
  expect(await page.textContent('#signed-in-as')).toContain(account);
}

test('from a blank tab: type, Enter, and the portal is signed in; typing leads on to the next customer', async ({ entra, machine, desktop: browser }) => {
  await entra.pages({ proof_up: 'off' });
  const blank = await browser.page('about:blank');
  let popup = await browser.popup(blank);
  await popup.see(/Contoso[\s\S]*Fabrikam|Fabrikam[\s\S]*Contoso/);
  await popup.see(/dormant/);
  await popup.screenshot(picture('anywhere-list'));
  await popup.type('conto');
  await until('the list is shorter', async () => (await shownTo(popup)).join() === 'Contoso');
  const opening = browser.context.waitForEvent('page');
  await enter(popup);
  const page = await opening;
  await signedIn(page, machine.accounts.Contoso);
  expect(new URL(page.url()).searchParams.get('login_hint')).toBe(machine.accounts.Contoso);
  expect(await machine.leases()).toHaveLength(1);

  // Over the portal the popup is about its customer; a letter goes back to the search.
  popup = await browser.popup(page);
  await popup.see(/Contoso is active/);
  await popup.type('fab');
  await until('the search goes on', async () => (await shownTo(popup)).join() === 'Fabrikam');
  await popup.press('Escape').catch(() => {}); // it may close before it answers
  await until('closed', () => popup.closed);

  // The list says where everybody stands, keeps what is pinned first, and ends everything.
  popup = await browser.popup(blank);
  await popup.see(/Contoso is active/);
  await popup.click('Another customer');
  await popup.see(/active, \d+ h \d+ min left/);
  await popup.click('Pin Fabrikam');
  await until('pinned first', async () => (await shownTo(popup))[0] === 'Fabrikam');
  const worker = await browser.worker();
  const stored = await until('it is kept', async () => {
    const kept = await worker.evaluate(() => chrome.storage.local.get(null));
    return kept.pinned && kept;
  });
  expect(stored).toEqual({ pinned: [entra.tenant('Fabrikam').id], preferences: { portal: 'azure', place: 'new_tab' } });
  await popup.click('End all');
  await until('dormant', () => dormant(entra, machine.accounts.Contoso), 60_000);
});

const choosePlace = (popup, place) => popup.evaluate(`(() => { const box = document.querySelector('#place'); box.value = '${place}'; box.dispatchEvent(new Event('input', { bubbles: true })); })()`);

test('where the browser allows no private windows, the popup says what to switch on and opens nothing', async ({ machine, desktop: browser }) => {
  const page = await browser.page('about:blank');
  const popup = await browser.popup(page);
  await popup.see(/Contoso/);
  await choosePlace(popup, 'private_window');
  await popup.see(/Allow in Incognito/);
  await popup.type('conto');
  await until('found', async () => (await shownTo(popup)).join() === 'Contoso');
  await popup.press('Enter');
  await popup.see(/User Administrator/);
  expect(await popup.evaluate(`document.querySelector('[data-do=portal]')`)).toBeNull();
  expect(await machine.leases()).toEqual([]);
});

test('two customers side by side: one here, one in a private window', async ({ entra, machine }) => {
  await entra.pages({ proof_up: 'off' });
  // What the switch on the extension's page writes.
  const profile = path.join(machine.profile, 'Default');
  fs.mkdirSync(profile, { recursive: true });
  fs.writeFileSync(path.join(profile, 'Preferences'), JSON.stringify({ extensions: { settings: { [EXTENSION_ID]: { incognito: true } } } }));
  const browser = await Browser.start(machine);
  const page = await browser.page('about:blank');
  let popup = await browser.popup(page);
  await popup.see(/Contoso/);
  await choosePlace(popup, 'private_window');
  await popup.see(/Open in/);
  expect(await popup.text()).not.toMatch(/Allow in Incognito/);
  await popup.type('conto');
  await until('found', async () => (await shownTo(popup)).join() === 'Contoso');
  await enter(popup);
  const privately = await until('a private window', async () => {
    const { targetInfos } = await browser.cdp.send('Target.getTargets');
    return targetInfos.find(({ type, url }) => type === 'page' && /^https:\/\/(portal\.azure|login\.microsoftonline)\.com\//.test(url));
  });
  const other = await Popup.attach(browser.cdp, privately.targetId);
  const who = () => other.evaluate(`document.querySelector('#signed-in-as')?.textContent ?? ''`).catch(() => '');
  await until('signed in privately', async () => (await who()).includes(machine.accounts.Contoso), 45_000);

  popup = await browser.popup(page);
  await popup.click('Another customer');
  await choosePlace(popup, 'this_tab');
  await popup.type('fabri');
  await until('found', async () => (await shownTo(popup)).join() === 'Fabrikam');
  await enter(popup);
  await signedIn(page, machine.accounts.Fabrikam);
  await other.evaluate('location.reload()');
  await until('the other session is as it was', async () => (await who()).includes(machine.accounts.Contoso));
  await machine.latchkey(['end', '--all']);
  for (const account of Object.values(machine.accounts)) expect(await dormant(entra, account)).toBe(true);
  await browser.close();
});

test('profile, reason and ticket where the customer asks for them', async ({ entra, machine, desktop: browser }) => {
  const folder = path.join(machine.home, '.config/latchkey');
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'config.toml'), `
technician = "alex@msp.example"
[access]
reason = true
ticket = "INC-[0-9]+"
[[technicians]]
name = "alex@msp.example"
groups = ["Level 1"]
[[entitlements]]
group = "Level 1"
profile = "Helpdesk"
roles = ["Helpdesk Administrator"]
maximum_minutes = 45
[[entitlements]]
group = "Level 1"
profile = "Exchange"
roles = ["Exchange Administrator"]
`);
  const page = await browser.page('about:blank');
  const popup = await browser.popup(page);
  await popup.see(/Contoso/);
  await popup.type('conto');
  await until('found', async () => (await shownTo(popup)).join() === 'Contoso');
  await popup.press('Enter');
  await popup.see(/Roles\s+Exchange Administrator/);
  await popup.see(/INC-\[0-9\]\+/);
  await popup.screenshot(picture('anywhere-confirm'));
  const put = (id, value) => popup.evaluate(`(() => { const box = document.querySelector('#${id}'); box.value = '${value}'; box.dispatchEvent(new Event('input', { bubbles: true })); })()`);
  await popup.evaluate(`document.querySelector('input[name=profile][value=Helpdesk]').click()`);
  await popup.see(/Roles\s+Helpdesk Administrator/);
  await popup.see(/From 1 to 45 minutes/);
  expect(await popup.evaluate('document.activeElement.name || document.activeElement.id')).toMatch(/profile|reason/);
  await put('reason', 'mailbox rights');
  await put('ticket', '1042');
  const opening = browser.context.waitForEvent('page');
  await popup.click('Open Azure');
  // The engine decides; what was typed is still there.
  await until('refused', () => popup.evaluate(`!!document.querySelector('.screen-confirm [role=alert]')`));
  expect(await machine.leases()).toEqual([]);
  expect(await popup.evaluate(`document.querySelector('#reason').value`)).toBe('mailbox rights');
  await put('ticket', 'INC-1042');
  await popup.click('Open Azure').catch(() => {});
  await signedIn(await opening, machine.accounts.Contoso);
  const [lease] = await machine.leases();
  expect(lease).toMatchObject({ profile: 'Helpdesk', ticket: 'INC-1042', roles: ['Helpdesk Administrator'] });

  // Found by its ticket.
  const again = await browser.popup(page);
  await again.click('Another customer');
  await again.type('1042');
  await until('found by ticket', async () => (await shownTo(again)).join() === 'Contoso');
  await machine.latchkey(['end', '--all']);
  expect(await dormant(entra, machine.accounts.Contoso)).toBe(true);
});

test('some minutes before the end there is a notification, and its button extends the lease', async ({ entra, machine, desktop: browser }) => {
  const page = await browser.page('about:blank');
  let popup = await browser.popup(page);
  await popup.see(/Contoso/);
  await popup.type('conto');
  await until('found', async () => (await shownTo(popup)).join() === 'Contoso');
  const opening = browser.context.waitForEvent('page');
  await enter(popup);
  const portal = await opening;
  await signedIn(portal, machine.accounts.Contoso);
  const [{ lease_id: id, until: end }] = await machine.leases();

  // The worker's clock goes on by itself to four minutes before the end, and its alarm rings.
  const worker = await browser.worker();
  await worker.evaluate((end) => {
    const [now, create] = [Date.now, chrome.notifications.create];
    const ahead = end - 4 * 60_000 - now();
    Date.now = () => now() + ahead;
    self.told = [];
    chrome.notifications.create = (id, options) => {
      self.told.push({ id, message: options.message, buttons: options.buttons?.map(({ title }) => title) });
      return create.call(chrome.notifications, id, options);
    };
    chrome.alarms.onAlarm.dispatch({ name: 'badge' });
  }, end);
  const told = () => worker.evaluate(() => self.told);
  await until('told', async () => (await told()).length === 1);
  expect((await told())[0]).toEqual({ id, message: expect.stringMatching(/Contoso ends in 4m/), buttons: ['Extend'] });

  await worker.evaluate((id) => chrome.notifications.onButtonClicked.dispatch(id, 0), id);
  await until('extended', async () => (await machine.leases())[0].until === end + 60 * 60_000);
  await until('told', async () => (await told()).length === 2);
  expect((await told())[1].message).toMatch(/lasts longer/);

  popup = await browser.popup(portal);
  await popup.see(/Contoso is active/);
  await popup.click('End now');
  await until('dormant', () => dormant(entra, machine.accounts.Contoso), 60_000);
  await until('the end is told', async () => (await told()).some(({ message }) => /has ended/.test(message)));
});
