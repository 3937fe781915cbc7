// Signing in with a passkey that nobody carries: the real extension, the real host, the simulated Entra, whose judge is
// webauthn-rs. What is shown is also what must not happen: nobody else's request is ever answered.
import { allowPasskeys, makePasskeys, PIN } from '../passkeys.mjs';
import { dormant, expect, picture, portal, signInPage, test as base, until } from './fixtures.mjs';

const RESISTANT = {
  displayName: 'Phishing-resistant for everybody', state: 'enabled',
  conditions: { users: { includeUsers: ['All'] }, applications: { includeApplications: ['All'] }, clientAppTypes: ['all'] },
  grantControls: { operator: 'OR', builtInControls: [], authenticationStrength: { id: '00000000-0000-0000-0000-000000000004' } },
};

const test = base.extend({
  entra: async ({ entra }, use) => {
    await allowPasskeys(entra, 'Contoso');
    await use(entra);
  },
  machine: async ({ entra, machine }, use) => {
    await makePasskeys(entra, machine);
    await use(machine);
  },
});

const attempts = async (entra) => (await entra.journal()).attempts;
const isOpen = async (browser) => (await browser.worker()).evaluate(async () => {
  // Attaching twice fails: that is how to see whether the door is open, without a change.
  const error = await chrome.webAuthenticationProxy.attach();
  if (!error) await chrome.webAuthenticationProxy.detach();
  return !!error;
});

// Clicks in the popup as a person does, and types the PIN when it is asked for.
async function click(browser, page, { pin = PIN } = {}) {
  const popup = await browser.popup(page);
  await popup.see(/Passkey/);
  await popup.press('Enter');
  if (pin) {
    await popup.see(/it is you/);
    await popup.type(pin);
    await popup.press('Enter');
  }
  return popup;
}

async function signedIn(page, machine) {
  await page.waitForSelector('#signed-in-as');
  expect(await page.textContent('#signed-in-as')).toContain(machine.accounts.Contoso);
}

async function end(entra, machine) {
  await machine.latchkey(['end', '--all']);
  await until('dormant', () => dormant(entra, machine.accounts.Contoso), 60_000);
}

test('from the click to the portal; the second time nothing is touched', async ({ entra, machine, desktop: browser }) => {
  const page = await signInPage(browser);
  await page.waitForSelector('#i0116', { state: 'visible' });
  const popup = await click(browser, page);
  await signedIn(page, machine);
  expect((await attempts(entra)).map(({ error, user_name }) => ({ error, user_name }))).toEqual([{ error: 0, user_name: machine.accounts.Contoso }]);
  await popup.see(/is active/);
  expect(await popup.text()).toMatch(/Passkey/);
  expect(await popup.text()).not.toMatch(/Show credential/);
  await popup.screenshot(picture('passkey-active'));
  await until('the door is shut', async () => !(await isOpen(browser)));
  await popup.click('End now');
  await until('dormant', () => dormant(entra, machine.accounts.Contoso), 60_000);
  await popup.close();

  const again = await signInPage(browser, portal('contoso.onmicrosoft.com', '&prompt=login'));
  await again.waitForSelector('#i0116', { state: 'visible' });
  const second = await click(browser, again, { pin: null });
  await signedIn(again, machine);
  await second.close();
  await end(entra, machine);
});
