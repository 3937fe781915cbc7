// Where Latchkey must do nothing, however the page asks: look-alikes, frames, other sign-ins, pages on which there is
// nothing to fill, pages that cheat. In all of them: no field is written, no secret leaves the host.
import { dormant, expect, nothingHappened, picture, portal, signInPage, test, until, written } from './fixtures.mjs';
import { secrets, values } from './observations.mjs';

async function deliver(browser, page) {
  const popup = await browser.popup(page);
  await popup.see(/Contoso|customer/);
  return popup;
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
    let popup = await browser.popup(start);
    await popup.see(/User Administrator/);
    await popup.press('Enter');
    await popup.see(/is active/, 60_000);
    await popup.close();
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
        const before = await values(page);
        popup = await browser.popup(page);
        const text = await popup.see(/is active/);
        expect(text, `${host}: no sign-in is offered`).not.toMatch(/Sign in on this page/);
        expect((await browser.toolbar(page)).title, host).not.toMatch(/sign in on this page/i);
        // Enter would open the customer's portal, in a tab of its own.
        await page.waitForTimeout(300);
        expect(await values(page), host + path).toEqual(before);
        await popup.close().catch(() => {});
        await page.close();
      }
    }
    expect((await entra.journal()).attempts).toEqual([]);
    expect(await secrets(machine)).toEqual([]);
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
    await popup.press('Enter');
    await popup.see(/is active/, 30_000);
    await page.waitForTimeout(2000);
    expect(await inAllFrames()).toEqual(before);
    expect((await entra.journal()).attempts).toEqual([]);
    expect(await secrets(machine)).toEqual([]);
    await machine.latchkey(['end', '--all'], { code: null });
  });
});

test.describe('pages with nothing to fill', () => {
  const address = (name, tenant) => `https://login.microsoftonline.com/${tenant}.onmicrosoft.com/gallery/${name}`;
  // What the popup tells the person after the click, per page. The English words of the brain's table.
  const told = {
    'tfa-code': /code of a second factor/, 'tfa-text-message': /code of a second factor/, 'tfa-push': /Approve the sign-in/,
    'tfa-denied': /denied or came too late/, 'tfa-timeout': /denied or came too late/,
    'proof-up': /register a second factor/, 'change-password': /asks for a new password/, consent: /asks for consent/,
    'conditional-access': /Conditional Access policy/, 'device-code': /Latchkey never fills it/, cmsi: /Decide on the page/,
    federated: /sends this account to another sign-in/, captcha: /you are a person/, fido: /asks for a passkey/,
    'sign-out-picker': /does not know this page/, error: /Microsoft (shows an error|refused)/,
    'raw-sign-in': /does not know this page/, 'raw-tfa': /code of a second factor|does not know this page|second factor/,
    future: /does not know this page/,
    'access-pass-error-130502': /AADSTS130502/, 'access-pass-error-130504': /AADSTS130504/, 'access-pass-error-130505': /AADSTS130505/,
  };
  const toldAboutPasswords = {
    'password-error-50053': /AADSTS50053/, 'password-error-50126': /AADSTS50126/, 'password-error-50056': /AADSTS50056/,
  };

  async function tells({ entra, machine, browser }, table, tenant, query = '') {
    test.setTimeout(600_000);
    for (const [name, words] of Object.entries(table)) {
      await test.step(name, async () => {
        const page = await browser.page(address(name, tenant) + query);
        const popup = await browser.popup(page);
        await popup.see(/User Administrator/);
        const before = await values(page);
        await popup.evaluate(`document.querySelector('button.primary, button[type=submit], button')?.click()`);
        await popup.see(words, 30_000);
        expect.soft(await values(page), name).toEqual(before);
        await popup.screenshot(picture(`page-${name}`));
        await popup.close().catch(() => {});
        await page.close();
      });
    }
    expect((await entra.journal()).attempts.filter(({ fields }) => fields.length)).toEqual([]);
    expect(await secrets(machine)).toEqual([]);
    await machine.latchkey(['end', '--all']);
  }

  test('each says what the person must do, and stays empty', async ({ entra, machine, desktop: browser }) => {
    await tells({ entra, machine, browser }, told, 'contoso');
  });

  test.describe('with a password', () => {
    test.use({ customers: ['Fabrikam'] });

    test('what Microsoft refused is not tried again', async ({ entra, machine, desktop: browser }) => {
      await tells({ entra, machine, browser }, toldAboutPasswords, 'fabrikam', `?user=${machine.accounts.Fabrikam}`);
    });
  });

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
