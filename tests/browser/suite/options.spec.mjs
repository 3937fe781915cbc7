// The options page with the real host, the real worker and a real policy: preferences are obeyed, what an organisation
// sets wins, the connection is tested all the way, and what is stored can be cleared without losing an access.
import { chromium } from '@playwright/test';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { EXTENSION_ID, programs } from '../lab.mjs';
import { dormant, expect, signInPage, test, until } from './fixtures.mjs';

const OPTIONS = `chrome-extension://${EXTENSION_ID}/options.html`;

test('the connection is tested all the way, and a host that is not there is named', async ({ machine, desktop: browser }) => {
  const page = await browser.page(OPTIONS);
  await page.getByRole('button', { name: 'Test the connection' }).click();
  await expect(page.getByRole('listitem').filter({ hasText: 'key store: ' })).toBeVisible({ timeout: 90_000 });
  await expect(page.getByRole('listitem').filter({ hasText: 'network: ' }).first()).toBeVisible();
  await expect(page.getByRole('status')).toHaveText(/Everything works|Needs attention: \d+/);
  await expect(page.getByText(/^Program \d/)).toBeVisible();

  await machine.latchkey(['uninstall'], { code: null });
  await page.getByRole('button', { name: 'Test the connection' }).click();
  await expect(page.getByText('Latchkey is not installed on this computer')).toBeVisible();
  await expect(page.getByText(/Install the latchkey program/)).toBeVisible();
});

test('preferences are kept, applied at once, and obeyed', async ({ entra, machine, desktop: browser }) => {
  const options = await browser.page(OPTIONS);
  await options.getByLabel('Theme').selectOption('dark');
  await expect(options.locator('html')).toHaveAttribute('data-theme', 'dark');
  await options.getByLabel('Minutes of access').fill('45');
  await options.getByLabel('Press Next and Sign in for me').uncheck();
  await expect(options.getByRole('status')).toHaveText('Saved.');
  await options.getByLabel('Language').selectOption('de');
  await expect(options.getByRole('heading', { name: 'Latchkey-Optionen' })).toBeVisible();
  await options.reload();
  await expect(options.getByLabel('Minuten Zugriff')).toHaveValue('45');

  // In the popup: the theme, the language, the duration; on the page: filled, and not pressed.
  const page = await signInPage(browser);
  await page.waitForSelector('#i0116', { state: 'visible' });
  let popup = await browser.popup(page);
  await popup.see(/Anmelden/);
  expect(await popup.evaluate('document.documentElement.dataset.theme')).toBe('dark');
  expect(await popup.evaluate(`document.querySelector('#minutes').value`)).toBe('45');
  await popup.press('Enter');
  await until('the user name is filled', () => page.evaluate((name) => document.querySelector('#i0116').value === name, machine.accounts.Contoso));
  await popup.see(/Ausgefüllt/);
  expect((await entra.journal()).credential_types, 'nobody pressed Next').toEqual([]);
  await expect(page.locator('#i0116')).toBeVisible();
  // A click in the page closes the popup.
  await page.locator('#idSIButton9').click();
  await until('the credential is filled', () => page.evaluate(() => [...document.querySelectorAll('#i0118, [name=accesspass]')].some((field) => field.value.length > 5)), 60_000);
  popup = await browser.popup(page);
  await popup.see(/Ausgefüllt/);
  expect((await entra.journal()).attempts, 'nobody pressed Sign in').toEqual([]);
  await page.locator('#idSIButton9').click();
  await page.waitForSelector('#signed-in-as', { timeout: 60_000 });
  const [{ from, until: end }] = await machine.leases();
  expect(Math.round((end - from) / 60_000)).toBe(45);

  // Cleared: the preferences are gone, the access is not.
  await options.bringToFront();
  await options.getByRole('button', { name: 'Löschen' }).click();
  await expect(options.getByRole('heading', { name: 'Latchkey options' })).toBeVisible();
  await expect(options.getByLabel('Minutes of access')).toHaveValue('');
  await until('the badge counts down again', async () => /^\d+m$/.test((await browser.toolbar(page)).badge));
  expect(await machine.leases()).toHaveLength(1);
  await machine.latchkey(['end', '--all']);
  await until('dormant', () => dormant(entra, machine.accounts.Contoso), 60_000);
});

// Chromium on Linux reads policies of the machine from here, and nowhere else.
const POLICIES = '/etc/chromium/policies/managed';

function policy(content) {
  const file = path.join(POLICIES, `latchkey-${process.pid}.json`);
  try {
    fs.mkdirSync(POLICIES, { recursive: true });
    fs.writeFileSync(file, JSON.stringify(content));
    return file;
  } catch {
    return undefined;
  }
}

// A copy with an id of its own, so that no other browser on the machine is managed meanwhile.
function copyOfOurs(folder) {
  const { publicKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = publicKey.export({ type: 'spki', format: 'der' });
  const digest = crypto.createHash('sha256').update(key).digest('hex').slice(0, 32);
  const extension = path.join(folder, 'extension');
  fs.cpSync(programs.extension, extension, { recursive: true });
  const manifest = JSON.parse(fs.readFileSync(path.join(extension, 'manifest.json'), 'utf8'));
  fs.writeFileSync(path.join(extension, 'manifest.json'), JSON.stringify({ ...manifest, key: key.toString('base64') }));
  return { extension, id: digest.replace(/[0-9a-f]/g, (digit) => String.fromCharCode(97 + parseInt(digit, 16))) };
}

test('what an organisation sets wins, and is shown as such', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'latchkey-managed-'));
  const { extension, id } = copyOfOurs(folder);
  const file = policy({ '3rdparty': { extensions: { [id]: { auto_submit: false, minutes: 60, theme: 'dark', nonsense: 1 } } } });
  test.skip(!file, `only whoever may write to ${POLICIES} can try a policy`);
  let context;
  try {
    context = await chromium.launchPersistentContext(path.join(folder, 'profile'), {
      executablePath: programs.chromium, headless: false, locale: 'en-US',
      args: [
        '--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--lang=en-US',
        `--disable-extensions-except=${extension}`, `--load-extension=${extension}`,
      ],
    });
    const page = await context.newPage();
    await page.goto(`chrome-extension://${id}/options.html`);
    await page.evaluate(() => chrome.storage.local.set({ preferences: { theme: 'light', minutes: 5, stay_signed_in: 'yes' } }));
    await expect(async () => {
      expect(await page.evaluate(() => chrome.storage.managed.get(null))).toEqual({ auto_submit: false, minutes: 60, theme: 'dark' });
    }).toPass();
    await page.reload();
    const submit = page.getByLabel('Press Next and Sign in for me');
    await expect(submit).toBeDisabled();
    await expect(submit).not.toBeChecked();
    await expect(submit).toHaveAccessibleDescription(/^Set by your organization\./);
    await expect(page.getByLabel('Minutes of access')).toHaveValue('60');
    await expect(page.getByLabel('Minutes of access')).toBeDisabled();
    await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
    // What it does not set stays the person's own.
    await expect(page.getByLabel('Answer to “Stay signed in?”')).toHaveValue('yes');
    await expect(page.getByLabel('Answer to “Stay signed in?”')).toBeEnabled();
  } finally {
    fs.rmSync(file);
    await context?.close();
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});
