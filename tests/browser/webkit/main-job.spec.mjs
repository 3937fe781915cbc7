// The main job in the engine of Safari, with Safari's shell, its content script, the brain and the host's core as Safari's
// app links it.
import { dormant, expect, signIn, test } from './fixtures.mjs';

test('user name, Temporary Access Pass and "Stay signed in?"', async ({ entra, machine, webkit }) => {
  const account = machine.accounts.Contoso;
  expect(await signIn(webkit, 'contoso.onmicrosoft.com', /Contoso[\s\S]*User Administrator/)).toContain(account);
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
  await webkit.until('the popup says so', async () => /is active/.test(await webkit.popupText()));
  expect(await webkit.inWorker('() => JSON.stringify(lab.session)')).toContain(account);
  await webkit.press('End now');
  await webkit.until('dormant', () => dormant(entra, account));
});

test.describe('a customer with passwords', () => {
  test.use({ customers: ['Fabrikam'] });

  test('user name and password', async ({ entra, machine, webkit }) => {
    const account = machine.accounts.Fabrikam;
    await entra.pages({ proof_up: 'off' });
    expect(await signIn(webkit, 'fabrikam.onmicrosoft.com', /second factor/)).toContain(account);
    expect((await entra.journal()).attempts.at(-1)).toMatchObject({ matched: true, user_name: account, fields: ['passwd'], view: '2' });
    await machine.latchkey(['end', '--all']);
    expect(await dormant(entra, account)).toBe(true);
  });
});
