// The popup as people use it: by keyboard, by ear, in the dark, in German; the credential shown and copied; ending.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { programs } from '../lab.mjs';
import { dormant, expect, picture, portal, signInPage, test, until } from './fixtures.mjs';

const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// axe inside the popup's own page; Playwright has no page object for it.
async function violations(popup) {
  await popup.evaluate(`${axe};true`);
  const found = await popup.evaluate(`axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html.slice(0, 120)).join(' | ')))`);
  return found;
}

// Light or dark, without the colours in between that a change of it passes through.
const atRest = (scheme) => [
  { name: 'prefers-color-scheme', value: scheme }, { name: 'prefers-reduced-motion', value: 'reduce' },
];

async function ready(browser) {
  const page = await signInPage(browser);
  await page.waitForSelector('#i0116', { state: 'visible' });
  return page;
}

const focused = (popup) => popup.evaluate(`document.activeElement?.innerText?.trim() || document.activeElement?.id || document.activeElement?.tagName`);

test('the credential is shown on request, copied, and the clipboard is empty 30 seconds later', async ({ machine, desktop: browser }) => {
  const page = await browser.page('https://portal.azure.com/about');
  await browser.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  let popup = await browser.popup(page);
  await popup.see(/User Administrator/);
  await popup.press('Enter');
  await popup.see(/is active/, 30_000);
  expect(await popup.evaluate(`document.querySelector('.secret-value')`)).toBeNull();
  await popup.click('Show credential');
  const secret = await until('the credential is shown', () => popup.evaluate(`document.querySelector('.secret-value')?.textContent`));
  expect(secret.length).toBeGreaterThan(5);
  await popup.click('Copy');
  await popup.click('Hide credential');
  await until('hidden', () => popup.evaluate(`!document.querySelector('.secret-value')`));
  await popup.close();

  await page.bringToFront();
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
  // The browser may still be writing it.
  await until('the credential is in the clipboard', async () => (await clipboard()) === secret);
  const worker = await browser.worker();
  worker.on('console', (message) => console.log('worker:', message.text()));
  const alarm = await worker.evaluate(() => chrome.alarms.get('clipboard'));
  expect(alarm.scheduledTime - Date.now()).toBeLessThanOrEqual(30_000);
  await until('the clipboard is empty', async () => (await clipboard()) === '', 75_000);
  await until('the document that wrote is gone', () => worker.evaluate(async () => !await chrome.offscreen.hasDocument()));

  const events = JSON.parse(await machine.latchkey(['audit', '--json'])).map(({ event }) => event);
  expect(events.filter((event) => event === 'credential_revealed')).toHaveLength(1);
  popup = await browser.popup(page);
  await popup.click('End now');
  await until('dormant', () => dormant(machine.entra, machine.accounts.Contoso), 60_000);
});

test('axe finds nothing on any screen, light and dark', async ({ entra, machine, desktop: browser }) => {
  const page = await ready(browser);
  await entra.knobs({ sign_in_lag_ms: 4000 });
  const popup = await browser.popup(page);
  await popup.see(/User Administrator/);
  for (const scheme of ['light', 'dark']) {
    await popup.send('Emulation.setEmulatedMedia', { features: atRest(scheme) });
    await popup.screenshot(picture(`confirm-${scheme}`));
    expect.soft(await violations(popup), `confirm, ${scheme}`).toEqual([]);
  }
  await popup.press('Enter');
  await popup.see(/Signing in to/);
  expect.soft(await violations(popup), 'progress').toEqual([]);
  await popup.screenshot(picture('progress-dark'));
  await page.waitForSelector('#signed-in-as');
  await popup.see(/is active/);
  await popup.click('Show credential');
  await until('the credential is shown', () => popup.evaluate(`document.querySelector('.secret-value')?.textContent`));
  for (const scheme of ['dark', 'light']) {
    await popup.send('Emulation.setEmulatedMedia', { features: atRest(scheme) });
    expect.soft(await violations(popup), `active, ${scheme}`).toEqual([]);
  }
  await popup.click('Hide credential');
  await popup.screenshot(picture('active-light'));
  await popup.send('Emulation.setEmulatedMedia', { features: [{ name: 'forced-colors', value: 'active' }] });
  await popup.screenshot(picture('active-forced-colors'));
  await machine.latchkey(['end', '--all']);
});

test('everything by keyboard: start, show, hide, end', async ({ machine, desktop: browser, entra }) => {
  const page = await ready(browser);
  const popup = await browser.popup(page);
  await popup.see(/User Administrator/);
  expect(await focused(popup), 'the focus begins at what Enter does').toMatch(/Sign in/);
  await popup.press('Enter');
  await page.waitForSelector('#signed-in-as');
  await popup.see(/is active/);
  const reach = async (label) => {
    for (let step = 0; step < 20; step++) {
      if ((await focused(popup)).startsWith(label)) return;
      await popup.press('Tab');
    }
    throw new Error(`${label} cannot be reached with the Tab key; the focus is on ${await focused(popup)}`);
  };
  await reach('Show credential');
  await popup.press(' ');
  await until('shown', () => popup.evaluate(`!!document.querySelector('.secret-value')`));
  await reach('Hide credential');
  await popup.press(' ');
  await until('hidden', () => popup.evaluate(`!document.querySelector('.secret-value')`));
  await reach('End now');
  await popup.press('Enter');
  await until('dormant', () => dormant(entra, machine.accounts.Contoso), 60_000);
  await popup.press('Escape').catch(() => {}); // it may close before it answers
  await until('Escape closes the popup', () => popup.closed);
});

test('the icon and the badge follow the page and the lease', async ({ machine, desktop: browser, entra }) => {
  const blank = await browser.page('about:blank');
  expect(await browser.toolbar(blank)).toEqual({ badge: '', title: 'Latchkey' });
  const page = await ready(browser);
  await until('known', async () => /sign in on this page/.test((await browser.toolbar(page)).title));
  const popup = await browser.popup(page);
  await popup.see(/User Administrator/);
  await popup.evaluate(`(() => { const box = document.querySelector('#minutes'); box.value = '59'; box.dispatchEvent(new Event('input', { bubbles: true })); })()`);
  await popup.press('Enter');
  await page.waitForSelector('#signed-in-as');
  await until('the badge counts down', async () => /^5\d?m?/.test((await browser.toolbar(page)).badge));
  expect((await browser.toolbar(page)).title).toMatch(/Contoso is active/);
  const [{ from, until: end }] = await machine.leases();
  expect(Math.round((end - from) / 60_000)).toBe(59);
  await popup.see(/is active/);
  await popup.click('End now');
  await until('dormant', () => dormant(entra, machine.accounts.Contoso), 60_000);
  await until('the badge is gone', async () => (await browser.toolbar(page)).badge === '');
});

// The browser of a test machine often speaks English only, so the extension gets no English words to fall back to.
function inGerman() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'latchkey-de-'));
  fs.cpSync(programs.extension, folder, { recursive: true });
  fs.rmSync(path.join(folder, '_locales/en'), { recursive: true });
  const manifest = JSON.parse(fs.readFileSync(path.join(folder, 'manifest.json'), 'utf8'));
  fs.writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify({ ...manifest, default_locale: 'de' }));
  return folder;
}

test.describe('in German', () => {
  test.use({ browserOptions: async ({}, use) => {
    const extension = inGerman();
    await use({ extension });
    fs.rmSync(extension, { recursive: true });
  } });

  test('every word is German, and fits at 200 %', async ({ machine, desktop: browser }) => {
    const page = await ready(browser);
    const popup = await browser.popup(page);
    await popup.see(/Anmelden/);
    expect(await popup.evaluate('document.documentElement.lang')).toBe('de');
    expect(await popup.text()).not.toMatch(/Account|Roles|Sign in|Minutes /);
    await popup.screenshot(picture('confirm-german'));
    expect(await violations(popup)).toEqual([]);
    await popup.evaluate(`document.documentElement.style.fontSize = '28px'`);
    expect(await popup.evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth')).toBe(true);
    await popup.screenshot(picture('confirm-german-200'));
    await popup.evaluate(`document.documentElement.style.fontSize = ''`);
    await popup.press('Enter');
    await page.waitForSelector('#signed-in-as');
    await popup.see(/Contoso ist aktiv/);
    await popup.screenshot(picture('active-german'));
    await popup.click('Jetzt beenden');
    await until('dormant', () => dormant(machine.entra, machine.accounts.Contoso), 60_000);
  });
});

test('a host that is not installed is named, with what to do', async ({ machine, desktop: browser }) => {
  await machine.latchkey(['uninstall'], { code: null });
  const page = await browser.page(portal('contoso.onmicrosoft.com'));
  const popup = await browser.popup(page);
  await popup.see(/not installed on this computer/);
  await popup.see(/latchkey install/);
  await popup.screenshot(picture('host-missing'));
  expect(await violations(popup)).toEqual([]);
  await machine.install();
  await popup.click('Try again');
  await popup.see(/User Administrator|Contoso/);
});
