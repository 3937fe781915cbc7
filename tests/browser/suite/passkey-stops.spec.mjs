// The browser stops the worker in the middle of a sign-in with a passkey. The next one carries it on, with the passkey and
// the lease that there are, and the browser's door for passkeys does not stay open: what it hands over nobody else gets.
// One lab for the whole file, because Microsoft takes half a minute to know a new passkey.
import { expect, test } from '@playwright/test';
import { Browser, Entra, EXTENSION_ID, Machine, until } from '../lab.mjs';
import { allowPasskeys, isDoorOpen, makePasskeys, PIN } from '../passkeys.mjs';
import { dormant, enabledWithoutLease, portal } from './fixtures.mjs';
import { acted, acting, answered, asking, before, shutting, stopAt, untold } from './stopping.mjs';

let entra, machine, browser, account, neighbour;

test.describe.configure({ mode: 'serial' });

test.beforeAll(async () => {
  test.setTimeout(300_000);
  entra = await Entra.start();
  await allowPasskeys(entra, 'Contoso');
  machine = new Machine(entra);
  await machine.install();
  account = await machine.addTenant('Contoso');
  machine.accounts = { Contoso: account };
  await makePasskeys(machine);
  browser = await Browser.start(machine);
  neighbour = await browser.page('https://github.com/login');
});

test.afterAll(async () => {
  test.setTimeout(120_000);
  if (!browser) return;
  const { violations } = await entra.journal();
  await browser.close();
  await machine.latchkey(['end', '--all'], { code: null });
  const left = await enabledWithoutLease(entra, machine);
  const { conformance } = await entra.state();
  machine.forget();
  await entra.stop();
  expect(violations, 'content security policy violations').toEqual([]);
  expect(left, 'accounts that are enabled although no lease says so').toEqual([]);
  expect(conformance.violations, 'every Graph exchange agrees with the schema').toEqual([]);
});

const events = async () => JSON.parse(await machine.latchkey(['audit', '--json', '--limit', '9999'])).map(({ event }) => event);
const attempts = async () => (await entra.journal()).attempts;

async function open() {
  await browser.context.clearCookies();
  const page = await browser.page(portal('contoso.onmicrosoft.com', '&prompt=login'));
  await page.waitForSelector('#i0116', { state: 'visible' });
  const popup = await browser.popup(page);
  await popup.see(/Passkey/);
  return { page, popup };
}

// Shows who is there as often as it is asked: the host that knew it goes with its worker.
async function signedIn(page, popup) {
  await until('signed in', async () => {
    if (await page.$('#signed-in-as')) return true;
    if (!popup || popup.closed) popup = await browser.popup(page);
    if (/it is you/.test(await popup.text())) {
      await popup.type(PIN);
      await popup.press('Enter');
      await until('the PIN was taken', async () => !/it is you/.test(await popup.text()));
    }
    return false;
  }, 120_000).catch(async (error) => {
    throw new Error(`${error.message}\n--- ${page.url()} ---\n${await page.innerText('body')}\n--- the popup shows ---\n${await popup.text().catch(String)}`);
  });
  expect(await page.textContent('#signed-in-as')).toContain(account);
  return popup.closed ? browser.popup(page) : popup;
}

async function end(page) {
  await machine.latchkey(['end', '--all']);
  await until('dormant', () => dormant(entra, account), 60_000);
  await page.close();
}

test('what other pages ask goes to Latchkey while the door is open, and to the browser before and after', async () => {
  expect(await isDoorOpen(neighbour)).toBe(false);
  const { page, popup } = await open();
  await popup.press('Enter');
  await popup.see(/it is you/);
  await page.waitForURL('https://login.microsoft.com/**');
  expect(await isDoorOpen(neighbour)).toBe(true);
  await (await signedIn(page, popup)).close();
  await until('the door is shut', async () => !(await isDoorOpen(neighbour)));
  await end(page);
});

for (const [name, moment] of Object.entries({
  'the door is to be opened': before(`effect.type === 'passkey_door' && effect.open`),
  'the door was opened': untold(`event.type === 'passkey_door' && event.door === 'open'`),
  'the user name is to be filled, with the door open': acting(1),
  'Next is to be pressed': acting(2),
  'Next was pressed': acted(2),
  'the page has asked': untold(`event.type === 'passkey_asked'`),
  'somebody has shown who is there': untold('event.frame?.reply?.verified'),
  'the host is to answer': asking('assert_passkey'),
  'the host has answered': answered('passkey'),
  'the page is to be answered': before(`effect.type === 'answer_passkey' && effect.response`),
  'the page was answered, and the door is to be shut': shutting,
  'the door was shut': untold(`event.type === 'passkey_door' && event.door === 'shut'`),
})) {
  test(`the worker is stopped when ${name}`, async () => {
    test.setTimeout(300_000);
    const [known, tried] = [await events(), await attempts()];
    const { page, popup } = await open();
    const stopped = (await stopAt(browser, page, moment))();
    await popup.press('Enter');
    const last = await signedIn(page, popup);
    await stopped;
    await last.see(/is active/);
    expect(await last.text()).toMatch(/Passkey/);
    await last.close();
    await until('the door is shut', async () => !(await isDoorOpen(neighbour)));

    expect((await machine.leases()).map(({ state }) => state)).toEqual([expect.stringMatching(/active|usable/)]);
    const done = (await events()).slice(known.length);
    expect(done.filter((event) => /^(lease|end|credential)_/.test(event)), 'one lease, and its credential').toEqual(['lease_requested', 'lease_granted']);
    expect((await attempts()).slice(tried.length), 'what Microsoft was sent').toEqual([expect.objectContaining({ error: 0, user_name: account, fields: ['assertion'] })]);
    await end(page);
  });
}

test('the worker is stopped while the popup is closed and the page has nothing to tell: an alarm wakes the next one', async () => {
  test.setTimeout(300_000);
  const settings = await browser.page(`chrome-extension://${EXTENSION_ID}/options.html`);
  const { page, popup } = await open();
  const stopped = await stopAt(browser, page, answered('lease'));
  await popup.press('Enter');
  await stopped(() => popup.close());
  // Ringing now what would ring within a minute.
  expect(await settings.evaluate(async () => {
    const alarm = await chrome.alarms.get('badge');
    await chrome.alarms.create('badge', { when: Date.now() });
    return alarm.scheduledTime - Date.now();
  })).toBeLessThanOrEqual(60_000);
  await page.waitForURL('https://login.microsoft.com/**');
  await (await signedIn(page)).close();
  await until('the door is shut', async () => !(await isDoorOpen(neighbour)));
  expect((await machine.leases()).length).toBe(1);
  await settings.close();
  await end(page);
});
