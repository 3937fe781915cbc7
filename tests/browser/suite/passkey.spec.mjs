// Signing in with a passkey that nobody carries: the real extension, the real host, the simulated Entra, whose judge is
// webauthn-rs. One lab for the whole file, because Microsoft takes half a minute to know a new passkey. What is shown is
// also what must not happen: nobody else's request is ever answered.
import { expect, test } from '@playwright/test';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Browser, Entra, Machine, until } from '../lab.mjs';
import { allowPasskeys, isDoorOpen, makePasskeys, PIN } from '../passkeys.mjs';
import { dormant, enabledWithoutLease, picture, portal } from './fixtures.mjs';

const demanding = (grantControls) => [{
  displayName: 'For everybody', state: 'enabled',
  conditions: { users: { includeUsers: ['All'] }, applications: { includeApplications: ['All'] }, clientAppTypes: ['all'] },
  grantControls: { operator: 'OR', builtInControls: [], ...grantControls },
}];
const RESISTANT = demanding({ authenticationStrength: { id: '00000000-0000-0000-0000-000000000004' } });

let entra, machine, browser, account;

test.describe.configure({ mode: 'serial' });

test.beforeAll(async () => {
  test.setTimeout(300_000);
  entra = await Entra.start();
  await allowPasskeys(entra, 'Contoso');
  machine = new Machine(entra);
  await machine.install();
  account = await machine.addTenant('Contoso');
  machine.accounts = { Contoso: account };
  await makePasskeys(machine);
  browser = await Browser.start(machine);
  await noteCalls();
});

test.afterAll(async () => {
  test.setTimeout(120_000);
  if (!browser) return;
  const { violations } = await entra.journal();
  await browser.close();
  await machine.latchkey(['end', '--all'], { code: null });
  const left = await enabledWithoutLease(entra, machine);
  const { conformance } = await entra.state();
  machine.forget();
  await entra.stop();
  expect(violations, 'content security policy violations').toEqual([]);
  expect(left, 'accounts that are enabled although no lease says so').toEqual([]);
  expect(conformance.violations, 'every Graph exchange agrees with the schema').toEqual([]);
});

let open = [];
test.afterEach(async () => {
  await machine.latchkey(['end', '--all']);
  await until('dormant', () => dormant(entra, account), 60_000);
  for (const page of open.splice(0)) await page.close();
  await until('the door is shut', async () => !(await isOpen()));
  await entra.control('/sim/policies', { tenant: 'Contoso', conditional_access: [], passkeys: { state: 'enabled' } });
});

// The browser does not say whether the door is open, so what the extension calls is noted.
const calls = async () => (await browser.worker()).evaluate(() => self.calls);
const isOpen = async () => (await browser.worker()).evaluate(() => self.calls.at(-1) === 'attach');
async function noteCalls() {
  await (await browser.worker()).evaluate(() => {
    const proxy = chrome.webAuthenticationProxy;
    self.calls = [];
    for (const name of ['attach', 'detach']) {
      const call = proxy[name];
      proxy[name] = () => {
        self.calls.push(name);
        return call.call(proxy);
      };
    }
  });
}

async function visit(address) {
  const page = await browser.page(address);
  open.push(page);
  return page;
}

async function signInPage() {
  const page = await visit(portal('contoso.onmicrosoft.com', '&prompt=login'));
  await page.waitForSelector('#i0116', { state: 'visible' });
  return page;
}

// Clicks in the popup as a person does.
async function click(page) {
  const popup = await browser.popup(page);
  await popup.see(/Passkey/);
  await popup.press('Enter');
  return popup;
}

async function typePin(popup) {
  await popup.see(/it is you/);
  await popup.type(PIN);
  await popup.press('Enter');
}

async function signedIn(page, popup) {
  await page.waitForSelector('#signed-in-as', { timeout: 25_000 }).catch(async (error) => {
    throw new Error(`${error.message}\n--- ${page.url()} ---\n${await page.innerText('body')}\n--- the popup shows ---\n${await popup?.text()}\n${browser.console.join('\n')}`);
  });
  expect(await page.textContent('#signed-in-as')).toContain(account);
}

const attempts = async () => (await entra.journal()).attempts.map(({ error, user_name, fields }) => ({ error, user_name, fields }));

// What became of a page's own request: an error's name, or that it was answered.
const ask = (page, rpId) => page.evaluate((rpId) => navigator.credentials.get({
  publicKey: { challenge: crypto.getRandomValues(new Uint8Array(32)), rpId, timeout: 60_000, userVerification: 'preferred', allowCredentials: [] },
}).then(() => 'answered', ({ name }) => name), rpId);

// How often the host was about to answer a page, according to the audit log.
const assertions = async () => JSON.parse(await machine.latchkey(['audit', '--json'])).filter(({ event }) => event === 'passkey_used').length;

// What a browser has of its own: a platform authenticator with one key.
async function authenticator(page, rpId) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
  const { privateKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await cdp.send('WebAuthn.addCredential', {
    authenticatorId,
    credential: {
      credentialId: crypto.randomBytes(16).toString('base64'), isResidentCredential: true, rpId, signCount: 1,
      privateKey: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'), userHandle: Buffer.from('somebody').toString('base64'),
    },
  });
}

test('refused during the window, and tried again: another origin, another relying party, a second tab', async () => {
  // The window stays open while the person has not shown who is there.
  const page = await signInPage();
  const popup = await click(page);
  await popup.see(/it is you/);
  await page.waitForURL('https://login.microsoft.com/**');
  await until('the door is open', isOpen);

  const elsewhere = await visit('https://github.com/login');
  expect(await isDoorOpen(elsewhere)).toBe(true);
  expect(await ask(elsewhere, 'github.com')).toBe('NotAllowedError');
  expect(await ask(elsewhere, 'github.com'), 'it can try again').toBe('NotAllowedError');
  const second = await visit('https://login.microsoft.com/contoso.onmicrosoft.com/gallery/consent');
  expect(await ask(second, 'microsoft.com'), 'another relying party').toBe('NotAllowedError');
  expect(await ask(second, 'login.microsoft.com'), 'a second tab on the same host').toBe('NotAllowedError');
  expect(await attempts()).toEqual([]);
  expect(await assertions()).toBe(0);

  await page.bringToFront();
  const asked = popup.closed ? await browser.popup(page) : popup;
  await typePin(asked);
  await signedIn(page, asked);
  expect(await assertions()).toBe(1);
  await until('the door is shut', async () => !(await isOpen()));

  // Now the second tab is answered by what the browser has itself.
  expect(await isDoorOpen(elsewhere)).toBe(false);
  await second.bringToFront();
  await authenticator(second, 'login.microsoft.com');
  expect(await ask(second, 'login.microsoft.com')).toBe('answered');
  expect(await assertions()).toBe(1);
});

test('from the click to the portal: who was verified already touches nothing else', async () => {
  const page = await signInPage();
  const popup = await click(page);
  await signedIn(page, popup);
  await popup.see(/is active/);
  const shown = await popup.text();
  expect(shown).toMatch(/Passkey/);
  expect(shown).not.toMatch(/Show credential/);
  await popup.screenshot(picture('passkey-active'));
  expect(await isOpen()).toBe(false);
  expect((await attempts()).at(-1)).toMatchObject({ error: 0, user_name: account });
  await popup.close();
});

test('where phishing-resistant sign-in is demanded', async () => {
  await entra.control('/sim/policies', { tenant: 'Contoso', conditional_access: RESISTANT });
  const page = await signInPage();
  const popup = await click(page);
  await signedIn(page, popup);
  await popup.see(/is active/);
  await popup.close();
});

test('as second factor: somebody signed in with a password, and the policy asks for more', async () => {
  await entra.control('/sim/policies', { tenant: 'Contoso', conditional_access: RESISTANT });
  await entra.pages({ pref_credential: 1 });
  const first = await visit('https://github.com/login');
  const activating = await browser.popup(first);
  await activating.see(/Passkey/);
  await activating.click('Activate');
  await activating.see(/is active/);
  await activating.close();
  // A person types a password that somebody set meanwhile, up to the second factor.
  await entra.control('/sim/users', { user: account, password: 'Known-To-A-Person-7!' });
  const page = await signInPage();
  await page.fill('#i0116', account);
  await page.click('#idSIButton9');
  await page.waitForSelector('#i0118', { state: 'visible' });
  await page.fill('#i0118:not(.moveOffScreen)', 'Known-To-A-Person-7!');
  await page.click('#idSIButton9');
  await page.waitForSelector('[data-value=FidoKey]');
  const popup = await browser.popup(page);
  await popup.see(/is active/);
  await popup.press('Enter');
  await signedIn(page, popup);
  await popup.close();
  await entra.pages({ pref_credential: null });
});

test('without a click a page is never answered by us', async () => {
  const page = await visit('https://login.microsoft.com/contoso.onmicrosoft.com/gallery/consent');
  expect(await isDoorOpen(page)).toBe(false);
  await authenticator(page, 'login.microsoft.com');
  const before = await assertions();
  expect(await ask(page, 'login.microsoft.com'), 'the browser answers with its own').toBe('answered');
  expect(await isOpen()).toBe(false);
  expect(await assertions()).toBe(before);
  expect(await dormant(entra, account)).toBe(true);
});

test('another credential signs in: the browser asks nobody for the passkey, and the page\'s other ways are taken', async () => {
  const configuration = path.join(machine.home, '.config/latchkey/config.toml');
  fs.writeFileSync(configuration, '[[tenants]]\ntenant = "Contoso"\ncredential = "password"\n');
  await entra.pages({ proof_up: 'off' });
  const [before, opened] = [await assertions(), await calls()];
  const page = await signInPage();
  const popup = await browser.popup(page);
  await popup.see(/Signs in with\s+Password/);
  await popup.press('Enter');
  await signedIn(page, popup);
  expect((await attempts()).at(-1)).toMatchObject({ error: 0, fields: ['passwd'] });
  expect(await assertions()).toBe(before);
  await until('the door is shut', async () => !(await isOpen()));
  expect((await calls()).slice(opened.length)).toEqual(['attach', 'detach']);
  await popup.close();
  fs.rmSync(configuration);
  await entra.pages({ proof_up: 'skippable' });
});

test('refused at the page: the pass takes its place by itself, once, and the popup says so', async () => {
  const page = await signInPage();
  const popup = await browser.popup(page);
  await popup.see(/Passkey/);
  // The policy changed after Latchkey looked at it.
  await entra.control('/sim/policies', { tenant: 'Contoso', passkeys: { state: 'disabled' } });
  await popup.press('Enter');
  await popup.see(/Passkey did not work here. Signing in with: Temporary Access Pass/);
  await signedIn(page, popup);
  expect((await attempts()).at(-1)).toMatchObject({ error: 0, fields: ['accesspass'] });
  await popup.see(/is active/);
  expect(await popup.text()).toMatch(/Temporary Access Pass/);
  await popup.close();
});
