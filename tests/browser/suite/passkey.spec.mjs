// Signing in with a passkey that nobody carries: the real extension, the real host, the simulated Entra, whose judge is
// webauthn-rs. One lab for the whole file, because Microsoft takes half a minute to know a new passkey. What is shown is
// also what must not happen: nobody else's request is ever answered.
import { expect, test } from '@playwright/test';
import { Browser, Entra, Machine, until } from '../lab.mjs';
import { allowPasskeys, makePasskeys, PIN } from '../passkeys.mjs';
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

// Attaching twice fails: so one sees whether the door is open.
const isOpen = async () => (await browser.worker()).evaluate(async () => {
  const error = await chrome.webAuthenticationProxy.attach().catch((error) => error.message);
  if (!error) await chrome.webAuthenticationProxy.detach();
  return !!error;
});

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

test('from the click to the portal: the PIN is asked for once, and the door is shut again', async () => {
  const page = await signInPage();
  const popup = await click(page);
  await typePin(popup);
  await signedIn(page, popup);
  await popup.see(/is active/);
  const shown = await popup.text();
  expect(shown).toMatch(/Passkey/);
  expect(shown).not.toMatch(/Show credential/);
  await popup.screenshot(picture('passkey-active'));
  expect(await isOpen()).toBe(false);
  expect((await attempts()).map(({ error, user_name }) => [error, user_name])).toEqual([[0, account]]);
  await popup.close();
});
