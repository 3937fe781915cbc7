// Where Latchkey must do nothing, however the page asks: look-alikes, frames, other sign-ins, pages that cheat.
// In all of them: no field is written, no secret leaves the host.
import { expect, nothingHappened, signInPage, test, until, written } from './fixtures.mjs';
import { secrets, values } from './observations.mjs';

async function deliver(browser, page) {
  const popup = await browser.popup(page);
  await popup.see(/Contoso|customer/);
  return popup;
}

// What was sent to a sign-in, and how often a secret left the host.
const deeds = async ({ entra, machine }) => ({
  attempts: (await entra.journal()).attempts.length, secrets: (await secrets(machine)).length,
});

// Away from a sign-in page Enter opens the customer's portal in a tab of its own, and signs in there.
async function signedInElsewhere({ entra, machine, browser }, popup) {
  await entra.pages({ proof_up: 'off' });
  await popup.see(/User Administrator/);
  const opening = browser.context.waitForEvent('page');
  // The popup closes with the click, often before it has answered.
  await popup.press('Enter').catch(() => {});
  await (await opening).waitForSelector('#signed-in-as');
  await until('the popup is closed', () => popup.closed);
  const done = await deeds({ entra, machine });
  expect(done.attempts).toBe(1);
  return done;
}

test.describe('look-alikes', () => {
  const password = '/contoso.onmicrosoft.com/gallery/password';
  const userName = '/contoso.onmicrosoft.com/gallery/username';
  const hosts = [
    'https://login.microsoftonline.com.evil.test', 'https://login-microsoftonline.com', 'https://loginmicrosoftonline.com',
    'https://login.microsoftonline.co', 'https://x.login.microsoftonline.com', 'https://login.microsoftonline.com:8443',
    'http://login.microsoftonline.com', 'https://xn--login-microsoftonlne-2hc.com', 'https://login.ai.crforum.example',
    'https://login.microsoftonline.com.mcas.ms', 'https://contoso.ciamlogin.com', 'https://contoso.b2clogin.com',
    'https://login.contoso.example', 'https://login.microsoftonline.com.', 'https://login.microsoftonline.cn.example',
    'https://login.windows.net', 'https://sts.windows.net', 'https://device.login.microsoftonline.com',
  ];

  test('every one of them is left alone, with the lease active and the popup open', async ({ entra, machine, desktop: browser }) => {
    test.setTimeout(300_000);
    // The best case for an attacker: the account is active and the host holds the credential.
    const start = await browser.page('about:blank');
    const before = await signedInElsewhere({ entra, machine, browser }, await browser.popup(start));
    for (const host of hosts) {
      for (const path of [userName, password]) {
        const page = await browser.page();
        const answer = await page.goto(host + path).catch((error) => error);
        if (answer instanceof Error) {
          // A browser that does not even open the address is as good a refusal.
          expect(answer.message, host).toMatch(/ERR_/);
          await page.close();
          continue;
        }
        if (new URL(page.url()).origin === 'https://login.microsoftonline.com') {
          // The browser itself went from http to the real page.
          expect(host).toMatch(/^http:/);
          await page.close();
          continue;
        }
        const empty = await values(page);
        const popup = await browser.popup(page);
        const text = await popup.see(/is active/);
        expect(text, `${host}: no sign-in is offered`).not.toMatch(/Sign in on this page/);
        expect((await browser.toolbar(page)).title, host).not.toMatch(/sign in on this page/i);
        // Enter would open the customer's portal, in a tab of its own.
        await page.waitForTimeout(300);
        expect(await values(page), host + path).toEqual(empty);
        await popup.close().catch(() => {});
        await page.close();
      }
    }
    expect(await deeds({ entra, machine })).toEqual(before);
    await machine.latchkey(['end', '--all']);
  });

  test('a user name in the address does not make it another host', async ({ desktop: browser, machine, entra }) => {
    const page = await browser.page();
    await page.goto(`https://login.microsoftonline.com@evil.test${userName}`).catch(() => {});
    const popup = await deliver(browser, page);
    await popup.close();
    expect(await values(page)).toEqual([]);
    await nothingHappened(entra, machine);
  });
});

test.describe('frames', () => {
  test('the sign-in page inside a hostile page', async ({ entra, machine, desktop: browser }) => {
    await entra.pages({ xfo_off: true });
    const page = await browser.page('https://portal.evil.test/');
    await page.waitForTimeout(1500);
    const inAllFrames = () => Promise.all(page.frames().map((frame) => values(frame).catch(() => [])));
    const before = await inAllFrames();
    expect(before.length).toBeGreaterThan(2);
    const popup = await browser.popup(page);
    const text = await popup.see(/Contoso/);
    expect(text).not.toMatch(/Sign in on this page/);
    const once = await signedInElsewhere({ entra, machine, browser }, popup);
    await page.waitForTimeout(2000);
    expect(await inAllFrames()).toEqual(before);
    expect(await deeds({ entra, machine })).toEqual(once);
    await machine.latchkey(['end', '--all'], { code: null });
  });
});

// What is told on each page of the genuine sign-in, and what is not filled there: pages.spec.mjs.
test.describe('other sign-ins', () => {
  for (const [name, url] of Object.entries({
    'login.live.com': 'https://login.live.com/login.srf', 'login.live.com, the new look': 'https://login.live.com/oauth20_authorize.srf',
    ADFS: 'https://adfs.contoso.example/adfs/ls/', Okta: 'https://contoso.okta.example/', GitHub: 'https://github.com/login',
  })) {
    test(`${name} is another sign-in`, async ({ entra, machine, desktop: browser }) => {
      const page = await browser.page(url);
      const before = await values(page);
      const popup = await deliver(browser, page);
      expect(await popup.text()).not.toMatch(/Sign in on this page/);
      expect(await values(page)).toEqual(before);
      await nothingHappened(entra, machine);
    });
  }
});

test.describe('pages that cheat', () => {
  test('the tab goes elsewhere between the click and the fill', async ({ entra, machine, desktop: browser }) => {
    await entra.knobs({ round_trip_ms: 1500 });
    const page = await signInPage(browser);
    await page.waitForSelector('#i0116', { state: 'visible' });
    const popup = await deliver(browser, page);
    await entra.pages({ gct_ms: 3000 });
    await popup.press('Enter');
    await page.waitForTimeout(400);
    await page.goto('https://login.microsoftonline.com.evil.test/contoso.onmicrosoft.com/gallery/password');
    await page.waitForTimeout(5000);
    expect(await page.inputValue('#i0118')).toBe('');
    expect((await entra.journal()).attempts).toEqual([]);
    expect(await secrets(machine)).toEqual([]);
    await machine.latchkey(['end', '--all'], { code: null });
  });

  test('a page cannot speak for the extension', async ({ entra, machine, desktop: browser }) => {
    const page = await signInPage(browser);
    await page.waitForSelector('#i0116', { state: 'visible' });
    const reached = await page.evaluate(async () => {
      const action = { type: 'popup_action', action: { action: 'start', tenant_id: '11111111-1111-4111-8111-111111111111' } };
      const order = { type: 'fill', origin: location.origin, fingerprint: '', key: 'user_name', value: 'x' };
      for (const message of [action, order, { type: 'look' }]) {
        window.postMessage(message, '*');
        document.dispatchEvent(new CustomEvent('latchkey', { detail: message }));
      }
      const runtime = globalThis.chrome?.runtime;
      const ids = ['egflaghjbokodoeiodacedndcbaoafco'];
      const answers = [typeof runtime?.sendMessage];
      for (const id of ids) {
        for (const file of ['popup.html', 'brain_bg.wasm', 'icons/known-16.png', 'content.js']) {
          answers.push(await fetch(`chrome-extension://${id}/${file}`).then(() => 'reached', () => 'refused'));
        }
      }
      return answers;
    });
    expect(reached).toEqual(['undefined', 'refused', 'refused', 'refused', 'refused']);
    await page.waitForTimeout(1500);
    expect(await written(page)).toEqual({ decoys: [], fields: [] });
    await nothingHappened(entra, machine);
  });

  test('synthetic keys and clicks do not open the popup and do not start anything', async ({ entra, machine, desktop: browser }) => {
    const page = await signInPage(browser);
    await page.waitForSelector('#i0116', { state: 'visible' });
    await page.evaluate(() => {
      for (const type of ['keydown', 'keyup']) {
        document.dispatchEvent(new KeyboardEvent(type, { key: 'K', code: 'KeyK', altKey: true, shiftKey: true, bubbles: true }));
      }
    });
    await page.waitForTimeout(800);
    expect(await browser.popupTarget()).toBeUndefined();
    await nothingHappened(entra, machine);
  });
});
