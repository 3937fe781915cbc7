// An account that has a passkey, in a browser that cannot answer a page with it: the page asks for the passkey first.
import { allowPasskeys, makePasskeys } from '../passkeys.mjs';
import { dormant, expect, portal, signInPage, test as base, until } from './fixtures.mjs';

// `PrefCredential`, as Microsoft's page is told what to show first.
const PASSKEY = 7;

// No passes there, so that nothing better is left than the password.
const test = base.extend({
  customers: ['Fabrikam'],
  entra: async ({ entra }, use) => {
    await allowPasskeys(entra, 'Fabrikam');
    await entra.pages({ proof_up: 'off' });
    // A password is enough there.
    await entra.control('/sim/policies', { tenant: 'Fabrikam', security_defaults: false, conditional_access: [] });
    await use(entra);
  },
  machine: async ({ machine }, use) => {
    await makePasskeys(machine);
    await use(machine);
  },
});

test('the popup says that the next credential is used, and the page\'s other ways are taken', async ({ entra, machine, firefox }) => {
  const account = machine.accounts.Fabrikam;
  await signInPage(firefox, portal('fabrikam.onmicrosoft.com'));
  let popup = await firefox.popup();
  await popup.see(/Signs in with\s+Password/);
  await popup.click('Why not a stronger one?');
  await popup.see(/This browser cannot answer a page with a passkey, so the next credential is used/);
  await popup.click('Sign in');
  await firefox.visible('#signed-in-as');
  expect(await firefox.evaluate(`() => document.querySelector('#signed-in-as').textContent`)).toContain(account);

  const { attempts, credential_types: offered } = await entra.journal();
  expect(offered.at(-1)).toMatchObject({ user_name: account, preferred: PASSKEY });
  expect(attempts).toEqual([expect.objectContaining({ error: 0, user_name: account, fields: ['passwd'] })]);
  const audited = JSON.parse(await machine.latchkey(['audit', '--json'])).map(({ event }) => event);
  expect(audited).toContain('credential_filled');
  expect(audited).not.toContain('passkey_used');
  popup = await firefox.openPopup();
  await popup.see(/is active[\s\S]*Password/);
  await popup.click('End now');
  await until('dormant', () => dormant(entra, account), 60_000);
});
