// Where nothing may be filled in Firefox either. The whole list is tried in Chromium (../suite/refusals.spec.mjs); what
// differs between browsers is who vouches for an origin, a frame and a document.
import { dormant, expect, portal, signInPage, test, until } from './fixtures.mjs';

const FRAMING = 'https://portal.evil.test/';

const INPUTS = `() => [...document.querySelectorAll('input')]
  .filter(({ type }) => !['hidden', 'submit', 'button', 'checkbox'].includes(type)).map(({ value }) => value)`;

// What stands in the boxes of the page and of its frames.
async function values(firefox) {
  const found = [await firefox.evaluate(INPUTS)];
  const frames = await firefox.evaluate('() => window.length');
  for (let id = 0; id < frames; id++) {
    await firefox.session.post('/frame', { id });
    found.push(await firefox.evaluate(INPUTS));
    await firefox.session.post('/frame', { id: null });
  }
  return found;
}

test('look-alikes and frames are left alone, with the lease active and the popup open', async ({ entra, machine, firefox }) => {
  const account = machine.accounts.Contoso;
  await entra.pages({ xfo_off: true }); // so that the hostile page gets its frame
  // The best case for an attacker: the account is active and the host holds the credential.
  await signInPage(firefox, portal('contoso.onmicrosoft.com'));
  let popup = await firefox.popup();
  await popup.see(/Contoso[\s\S]*User Administrator/);
  await popup.press('Enter');
  await firefox.visible('#signed-in-as');
  const deeds = async () => ({
    attempts: (await entra.journal()).attempts.length,
    secrets: JSON.parse(await machine.latchkey(['audit', '--json'])).filter(({ event }) => /^credential_/.test(event)).length,
  });
  const done = await deeds();
  expect(done.attempts).toBe(1);

  const page = '/contoso.onmicrosoft.com/gallery/password';
  for (const address of [
    `https://login.microsoftonline.com.evil.test${page}`, `https://login.microsoftonline.com:8443${page}`,
    `https://x.login.microsoftonline.com${page}`, `https://login-microsoftonline.com${page}`, `https://login.windows.net${page}`,
    `https://contoso.b2clogin.com${page}`, `https://login.microsoftonline.com@evil.test${page}`, FRAMING,
  ]) {
    const opened = await firefox.go(address).then(() => true, () => false);
    // A browser that does not even open the address is as good a refusal.
    if (!opened) continue;
    if (address === FRAMING) await until('the frames hold a sign-in page', async () => (await values(firefox)).slice(1).flat().length);
    const before = await values(firefox);
    popup = await firefox.popup();
    const text = await popup.see(/is active/);
    expect(text, `${address}: no sign-in is offered`).not.toMatch(/Sign in on this page/);
    expect((await firefox.toolbar()).title, address).not.toMatch(/sign in on this page/i);
    // Enter would open the customer's portal, in a tab of its own.
    expect(await values(firefox), address).toEqual(before);
    if (await popup.isOpen()) await popup.close();
  }
  expect(await deeds()).toEqual(done);
  await machine.latchkey(['end', '--all']);
  await until('dormant', () => dormant(entra, account));
});
