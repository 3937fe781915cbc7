// An account that has a passkey, in the engine of a browser that cannot answer a page with it: the page asks for it first.
import { allowPasskeys, makePasskeys } from '../passkeys.mjs';
import { dormant, expect, signIn, test as base } from './fixtures.mjs';

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

test('the popup offers the next credential, and the page\'s other ways are taken', async ({ entra, machine, webkit }) => {
  const account = machine.accounts.Fabrikam;
  expect(await signIn(webkit, 'fabrikam.onmicrosoft.com', /Signs in with\s+Password\s+Why not a stronger one/)).toContain(account);
  const { attempts, credential_types: offered } = await entra.journal();
  expect(offered.at(-1)).toMatchObject({ user_name: account, preferred: PASSKEY });
  expect(attempts).toEqual([expect.objectContaining({ error: 0, user_name: account, fields: ['passwd'] })]);
  await webkit.until('the popup says so', async () => /is active[\s\S]*Password/.test(await webkit.popupText()));
  await webkit.press('End now');
  await webkit.until('dormant', () => dormant(entra, account));
});
