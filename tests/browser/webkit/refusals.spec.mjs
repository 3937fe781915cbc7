// Where nothing may be filled in WebKit either. The whole list is tried in Chromium (../suite/refusals.spec.mjs). Here
// the content script is put into every document, also where Safari's manifest does not ask for it: what is left is what
// content script and brain refuse by themselves, on what the engine tells them.
import { secrets } from '../suite/observations.mjs';
import { dormant, expect, portal, signIn, test, VALUES, VISIBLE } from './fixtures.mjs';

const FRAMING = 'https://portal.evil.test/';
const LIVE = 3;
const ORDER = { type: 'fill', key: 'password', value: 'to-nobody' };

test('look-alikes and frames are left alone, with the lease active and the popup open', async ({ entra, machine, webkit }) => {
  const account = machine.accounts.Contoso;
  await entra.pages({ xfo_off: true }); // so that the hostile page gets its frame
  // The best case for an attacker: the account is active and the native part holds the credential.
  expect(await signIn(webkit, 'contoso.onmicrosoft.com', /Contoso[\s\S]*User Administrator/)).toContain(account);
  const deeds = async () => ({ attempts: (await entra.journal()).attempts.length, secrets: (await secrets(machine)).length });
  const done = await deeds();
  expect(done.attempts).toBe(1);

  webkit.everywhere = true;
  const page = '/contoso.onmicrosoft.com/gallery/password';
  // On the genuine page an order with nothing wrong is carried out, so that each refusal below is one.
  await webkit.go(`https://login.microsoftonline.com${page}`);
  await webkit.until('the content script is there', () => webkit.inPage('() => !!window.lab_content'));
  expect(await webkit.inPage(VISIBLE, '#i0118')).toBe(true);
  expect(await webkit.order(ORDER)).toBe('done');

  let tried = 0;
  for (const address of [
    `https://login.microsoftonline.com.evil.test${page}`, `https://login.microsoftonline.com:8443${page}`,
    `https://x.login.microsoftonline.com${page}`, `https://login-microsoftonline.com${page}`, `https://login.windows.net${page}`,
    `https://contoso.b2clogin.com${page}`, `https://login.microsoftonline.com@evil.test${page}`, FRAMING,
  ]) {
    const opened = await webkit.go(address).then(() => true, () => false);
    // A browser that does not even open the address is as good a refusal.
    if (!opened) continue;
    await webkit.until('the content script is there', () => webkit.inPage('() => !!window.lab_content'));
    const before = await webkit.inPage(VALUES);
    // Without the content script in them yet. One frame of the hostile page is a sign-in under way, and moves by itself.
    const framed = async () => (await webkit.inFrames(() => webkit.session.evaluate(VALUES), { quietly: true })).toSpliced(LIVE, 1);
    const beforeInFrames = address === FRAMING && await webkit.until('the frames hold sign-in pages', async () => {
      const seen = await framed();
      return seen.length === 5 && seen.every(({ length }) => length) && seen;
    });
    await webkit.popup();
    await webkit.until('the popup is drawn', async () => /is active/.test(await webkit.popupText()));
    expect(await webkit.popupText(), `${address}: no sign-in is offered`).not.toMatch(/Sign in on this page/);
    expect(await webkit.title(), address).not.toMatch(/sign in on this page/i);
    if (address === FRAMING) {
      const here = '() => !!window.lab_content';
      await webkit.until('the content script is in the frames', async () => (await webkit.inFrames(() => webkit.session.evaluate(here))).toSpliced(LIVE, 1).every(Boolean));
      for (const key of ['user_name', 'password', 'access_pass']) {
        const outcomes = (await webkit.inFrames((frame) => (frame === LIVE ? null : webkit.order({ ...ORDER, key })))).toSpliced(LIVE, 1);
        expect(outcomes).toEqual(beforeInFrames.map(() => 'page_changed'));
      }
      await webkit.carry();
      expect(await framed()).toEqual(beforeInFrames);
      // What the frames told the worker changes nothing about the tab.
      expect(await webkit.popupText()).not.toMatch(/Sign in on this page/);
    } else {
      await webkit.in(webkit.page);
      expect(await webkit.order(ORDER), address).toBe('page_changed');
    }
    expect(await webkit.inPage(VALUES), address).toEqual(before);
    tried++;
  }
  expect(tried).toBeGreaterThan(3);
  expect(await deeds()).toEqual(done);
  await machine.latchkey(['end', '--all']);
  await webkit.until('dormant', () => dormant(entra, account));
});

test('the page that nobody knows yet: nothing is filled, copy is offered', async ({ entra, machine, webkit }) => {
  await entra.pages({ future: true });
  await webkit.go(portal('contoso.onmicrosoft.com'));
  await webkit.until('the page is built', () => webkit.inPage(VISIBLE, 'input'));
  await webkit.popup();
  await webkit.until('the popup offers the customer', async () => /Contoso[\s\S]*User Administrator/.test(await webkit.popupText()));
  await webkit.pressPrimary();
  await webkit.until('the popup says so', async () => /does not know this page[\s\S]*Show credential/.test(await webkit.popupText()));
  expect((await webkit.inPage(VALUES)).join('')).toBe('');
  expect((await entra.journal()).attempts).toEqual([]);
  expect(await secrets(machine)).toEqual([]);
  await machine.latchkey(['end', '--all']);
  await webkit.until('dormant', () => dormant(entra, machine.accounts.Contoso));
});
