// The page as it really behaves: late, slow, moving, reloading, in another language, in a window of its own.
import { dormant, expect, picture, portal, signInPage, test, until } from './fixtures.mjs';

async function signIn(browser, page, { see = /Contoso/ } = {}) {
  const popup = await browser.popup(page);
  await popup.see(see);
  await popup.press('Enter');
  return popup;
}

async function signedIn(page, machine, name = 'Contoso') {
  await page.waitForSelector('#signed-in-as', { timeout: 90_000 });
  expect(await page.textContent('#signed-in-as')).toContain(machine.accounts[name]);
}

test.afterEach(async ({ machine, entra }) => {
  await machine.latchkey(['end', '--all'], { code: null });
  for (const account of Object.values(machine.accounts)) {
    await until('dormant', () => dormant(entra, account), 60_000);
  }
});

for (const [name, knobs] of Object.entries({
  'the form appears three seconds after load': { delay_ms: 3000 },
  'GetCredentialType and the lazy view are slow': { gct_ms: 1500, chunk_ms: 1500 },
  'old and new view stand side by side for 0.7 s': { overlap_ms: 700 },
  'the page reloads itself once first': { sso_reload: true },
  'no animations': { reduced_motion: true },
  'right to left': { language: 'ar' },
  'German, branded, vertical': { language: 'de', branding: true, layout: 'vertical' },
  'dark': { theme: 'dark' },
  'the login hint is in the box': { hint: 'prefill' },
  'without "Stay signed in?"': { kmsi: false },
  'the policy still allows eval': { csp: 'enforced_eval' },
  'the policy is only reported': { csp: 'report_only' },
})) {
  test(name, async ({ entra, machine, desktop: browser }) => {
    await entra.pages(knobs);
    const page = await signInPage(browser);
    await signIn(browser, page);
    await signedIn(page, machine);
    const { attempts } = await entra.journal();
    expect(attempts).toHaveLength(1);
  });
}

test('the account is usable only some seconds after it was enabled (50057)', async ({ entra, machine, desktop: browser }) => {
  await entra.knobs({ sign_in_lag_ms: 6000 });
  const page = await signInPage(browser);
  const popup = await signIn(browser, page);
  await popup.see(/does not accept the account yet/, 30_000);
  await popup.screenshot(picture('waiting-for-microsoft'));
  await signedIn(page, machine);
  const { attempts } = await entra.journal();
  expect(attempts.filter(({ error }) => error === 50057).length).toBeGreaterThan(0);
  expect(attempts.every(({ error }) => [0, 50057].includes(error))).toBe(true);
});

test('a box that holds somebody else is overwritten', async ({ machine, desktop: browser }) => {
  const page = await signInPage(browser, portal('contoso.onmicrosoft.com', '&login_hint=somebody.else@contoso.com'));
  await signIn(browser, page);
  await signedIn(page, machine);
});

test('the picker: our own tile is taken', async ({ entra, machine, desktop: browser }) => {
  await entra.pages({ force_view: 'picker', picker: [{ name: 'someone.else@contoso.com' }, { name: machine.accounts.Contoso }] });
  const page = await signInPage(browser);
  await signIn(browser, page);
  await signedIn(page, machine);
});

test('the picker without us: another account is used', async ({ entra, machine, desktop: browser }) => {
  await entra.pages({ force_view: 'picker', picker: [{ name: 'someone.else@contoso.com' }] });
  const page = await signInPage(browser);
  await signIn(browser, page);
  await signedIn(page, machine);
});

test('work or personal: work', async ({ entra, machine, desktop: browser }) => {
  await entra.pages({ if_exists: 6 });
  const page = await signInPage(browser);
  await signIn(browser, page);
  await signedIn(page, machine);
});

test('a sign-in window of its own', async ({ machine, desktop: browser }) => {
  const page = await browser.page('https://portal.azure.com/popup?tenant=contoso.onmicrosoft.com');
  const [window] = await Promise.all([page.waitForEvent('popup'), page.click('button, #sign-in')]);
  await window.waitForSelector('#i0116', { state: 'visible' });
  // That window has no toolbar: the icon is clicked in the one behind it.
  await signIn(browser, page);
  await page.waitForSelector('#signed-in-as', { timeout: 60_000 });
  expect(await page.textContent('#signed-in-as')).toContain(machine.accounts.Contoso);
});

test('refused (50126): never filled again by itself, once more on request', async ({ entra, machine, desktop: browser }) => {
  await entra.pages({ force_error: 50126 });
  const page = await signInPage(browser);
  const popup = await signIn(browser, page);
  await popup.see(/AADSTS50126|130503/, 30_000);
  await popup.screenshot(picture('refused'));
  const count = (await entra.journal()).attempts.length;
  expect(count).toBe(1);
  await page.waitForTimeout(4000);
  expect((await entra.journal()).attempts).toHaveLength(1);
  await entra.pages({ force_error: null });
  await popup.click('Try again');
  await signedIn(page, machine);
});

test('the page that nobody knows yet: nothing is filled, copy is offered', async ({ entra, desktop: browser }) => {
  await entra.pages({ future: true });
  const page = await browser.page(portal('contoso.onmicrosoft.com'));
  await page.waitForSelector('input');
  const popup = await signIn(browser, page);
  await popup.see(/does not know this page/, 30_000);
  await popup.screenshot(picture('unknown-page'));
  const values = await page.evaluate(() => [...document.querySelectorAll('input')].filter(({ type }) => !['hidden', 'submit', 'button'].includes(type)).map(({ value }) => value));
  expect(values.join('')).toBe('');
  expect((await entra.journal()).attempts).toEqual([]);
  await popup.see(/Show credential/);
});
