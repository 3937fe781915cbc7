// The page as it really behaves, in WebKit: late, doubled, reloading, and an account that is not accepted yet.
import { dormant, expect, signIn, test } from './fixtures.mjs';

for (const [name, knobs, pages, errors] of [
  ['the form comes late, twice, and after a reload', {}, { delay_ms: 3000, overlap_ms: 700, gct_ms: 1500, chunk_ms: 1500, sso_reload: true }, [0]],
  ['the account is usable only some seconds after it was enabled (50057)', { sign_in_lag_ms: 6000 }, {}, [0, 50057]],
]) {
  test(name, async ({ entra, machine, webkit }) => {
    const account = machine.accounts.Contoso;
    await entra.knobs(knobs);
    await entra.pages(pages);
    expect(await signIn(webkit, 'contoso.onmicrosoft.com', /Contoso[\s\S]*User Administrator/)).toContain(account);
    const { attempts } = await entra.journal();
    expect([...new Set(attempts.map(({ error }) => error))].sort()).toEqual(errors);
    expect(attempts.at(-1)).toMatchObject({ matched: true, error: 0 });
    expect(attempts.filter(({ error }) => error === 0)).toHaveLength(1);
    await machine.latchkey(['end', '--all']);
    await webkit.until('dormant', () => dormant(entra, account));
  });
}
