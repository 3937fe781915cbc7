// The main job in Firefox: real native messaging, the toolbar's own popup, one key.
import { dormant, expect, portal, signInPage, test, until, written } from './fixtures.mjs';

test('from the sign-in page to signed in with one key, and dormant again', async ({ entra, machine, firefox }) => {
  const account = machine.accounts.Contoso;
  await signInPage(firefox, portal('contoso.onmicrosoft.com'));
  await until('the toolbar icon knows the page', async () => /sign in on this page/i.test((await firefox.toolbar()).title));
  expect(await dormant(entra, account)).toBe(true);
  expect(await written(firefox), 'before the click').toEqual({ decoys: [], fields: [] });

  let popup = await firefox.popup();
  await popup.see(/Contoso[\s\S]*User Administrator/);
  await popup.press('Enter');
  await firefox.visible('#signed-in-as');
  expect(await firefox.evaluate(`() => document.querySelector('#signed-in-as').textContent`)).toContain(account);
  const during = await entra.account(account);
  expect(during.accountEnabled).toBe(true);
  expect(during.roles).toContain('User Administrator');

  const { attempts, stay_signed_in: stay } = await entra.journal();
  expect(attempts).toHaveLength(1);
  expect(attempts[0]).toMatchObject({ matched: true, error: 0, user_name: account, fields: ['accesspass'], view: '56', host: 'login.microsoftonline.com' });
  expect(stay.map((answer) => answer.stay), 'Stay signed in? is answered with No').toEqual([false]);
  for (const { observed } of [...attempts, ...stay]) {
    expect(Object.keys(observed.fields ?? {}).filter((key) => key.endsWith(':decoy')), 'decoys').toEqual([]);
    expect(observed.busyClicks ?? 0, 'clicks while the cover is up').toBe(0);
  }
  await until('the badge counts', async () => /^\d+[hm]$/.test((await firefox.toolbar()).badge));

  popup = await firefox.openPopup();
  await popup.see(/is active/);
  await popup.click('Show credential');
  const secret = await until('the credential is shown', () => popup.evaluate(`() => document.querySelector('.secret-value')?.textContent`));
  expect(secret.length).toBeGreaterThan(5);
  await popup.click('Copy');
  await until('the credential is in the clipboard', async () => (await firefox.clipboard()) === secret);
  // Ringing now what would ring in half a minute.
  await firefox.inBackground(`(chrome) => chrome.alarms.create('clipboard', { when: Date.now() })`);
  await until('the clipboard is empty', async () => (await firefox.clipboard()) !== secret);

  const stored = await firefox.inBackground(`async (chrome) => JSON.stringify(await Promise.all(
    ['session', 'local', 'sync'].map((area) => chrome.storage[area].get(null))))`);
  expect(stored).toContain(account);
  expect(stored).not.toContain(secret);

  popup = await firefox.openPopup();
  await popup.click('End now');
  await until('dormant', () => dormant(entra, account), 60_000);
  await popup.see(/ended|Contoso/);
  expect((await machine.leases()).map(({ state }) => state)).not.toContain('active');
});

test('a fill reaches one document and no other', async ({ machine, firefox }) => {
  await signInPage(firefox, portal('contoso.onmicrosoft.com'));
  const heard = (document) => firefox.inBackground(`async (chrome) => {
    const [tab] = await chrome.tabs.query({ active: true });
    return chrome.tabs.sendMessage(tab.id, { type: 'look' }, ${JSON.stringify(document)}).then(() => 'heard', (error) => error.message);
  }`);
  expect(await heard({ frameId: 0 })).toBe('heard');
  expect(await heard({ documentId: '00000000-0000-4000-8000-000000000001' })).not.toBe('heard');
  expect(await machine.leases()).toEqual([]);
});

test('sign-in pages that the person withheld are asked for in the popup', async ({ entra, machine, firefox }) => {
  await firefox.withholdPages();
  await firefox.go(portal('contoso.onmicrosoft.com'));
  await firefox.visible('#i0116');
  let popup = await firefox.popup();
  await popup.see(/keeps Latchkey away/);
  await popup.click('Allow on sign-in pages');
  await firefox.answerPermissionPrompt();
  await until('the page is known once it is allowed', async () => /sign in on this page/i.test((await firefox.toolbar()).title));
  popup = await firefox.openPopup();
  const text = await popup.see(/Contoso[\s\S]*User Administrator/);
  expect(text).not.toMatch(/keeps Latchkey away/);
  await popup.press('Enter');
  await firefox.visible('#signed-in-as');
  await machine.latchkey(['end', '--all']);
  expect(await dormant(entra, machine.accounts.Contoso)).toBe(true);
});
