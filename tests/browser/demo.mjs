// The main job, told as a story: a technician opens the Azure portal of the customer Contoso, lands on the Entra sign-in
// page, clicks once, and is signed in; then ends the lease. `cargo xtask demo` starts this in a session of its own.
//
// In: ENTRA_DETAILS (the simulated Entra's line), DEMO_FOLDER, DEMO_AUTO (play the click), and what lab.mjs reads.
// Out: screenshots and report.json in DEMO_FOLDER. What the account is like is read from the directory itself.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { Browser, Entra, Machine, until } from './lab.mjs';

const { ENTRA_DETAILS, DEMO_FOLDER, DEMO_AUTO } = process.env;
const PORTAL = 'https://portal.azure.com/contoso.onmicrosoft.com';
const MINUTE = 60_000;
const patience = DEMO_AUTO ? MINUTE / 2 : 10 * MINUTE;
const say = (text) => process.stderr.write(`${text}\n`);
const file = (name) => path.join(DEMO_FOLDER, `${name}.png`);

const steps = [];
let begin = performance.now();
const step = (name) => {
  const ms = Math.round(performance.now() - begin);
  steps.push({ name, ms });
  say(`${String(ms).padStart(7)} ms  ${name}`);
};

const entra = new Entra(JSON.parse(ENTRA_DETAILS));
const machine = new Machine(entra);
let browser;
try {
  say('connecting Contoso: latchkey tenant add, latchkey install');
  const userName = await machine.addTenant('Contoso', { minutes: 60 });
  await machine.install();
  const account = async () => {
    const { accountEnabled, roles, passes = [] } = await entra.account(userName);
    return { enabled: accountEnabled, roles, passes: passes.length };
  };
  const before = await account();

  browser = await Browser.start(machine, { headless: Boolean(DEMO_AUTO) });
  begin = performance.now();
  const page = await browser.page(PORTAL);
  await page.locator('#i0116').first().waitFor();
  step('the sign-in page is there');
  await page.screenshot({ path: file('1-sign-in-page') });

  let popup;
  if (DEMO_AUTO) {
    popup = await browser.popup(page);
    await popup.see(/Contoso/);
    step('the popup is open and knows the tenant');
    await popup.screenshot(file('2-popup'));
    begin = performance.now();
    await popup.press('Enter');
    step('the click');
  } else {
    say('\n→ Click the Latchkey icon in the toolbar (the puzzle piece pins it), then press Enter.\n');
  }

  // Everything from here on happens by itself; it is only watched.
  const watched = (name, look) => until(name, look, patience).then(() => step(name));
  const isThere = (selector) => page.locator(selector).first().isVisible();
  const filled = (selector) => page.locator(selector).first().inputValue({ timeout: 100 }).then(Boolean, () => false);
  const signedIn = watched('the portal is open, signed in', () => isThere('#signed-in-as'));
  const quiet = (promise) => promise.catch(() => {});
  quiet(watched('the account is active', async () => (await account()).enabled));
  quiet(watched('the user name is filled', () => filled('#i0116')));
  quiet(watched('the credential is asked for', () => isThere('input[name=accesspass], #i0118:not(.moveOffScreen)')));
  quiet(watched("'Stay signed in?' is asked", () => isThere('#KmsiDescription')));
  if (popup) quiet(popup.see(/step|sign/i).then(() => popup.screenshot(file('3-under-way'))));
  await signedIn;

  const during = await account();
  const signedInAs = (await page.locator('#signed-in-as').innerText()).trim();
  const roles = during.roles.map((role) => role.displayName ?? role);
  await page.screenshot({ path: file('4-portal') });
  assert.ok(during.enabled, 'the account is enabled during the lease');
  assert.equal(signedInAs, userName);

  if (DEMO_AUTO) {
    if (popup.closed) popup = await browser.popup(page);
    await popup.see(/End now/);
    await popup.screenshot(file('5-active'));
    begin = performance.now();
    await popup.click('End now');
    step("'End now'");
  } else {
    say("\n→ You are signed in. Click the icon again and press 'End now' when you have seen enough.\n");
  }
  await watched('the account is dormant again', async () => !(await account()).enabled);
  await watched('the lease has been read back and is over', async () => (await machine.leases()).leases.length === 0);
  const after = await account();
  if (popup && !popup.closed) await popup.screenshot(file('6-ended'));

  assert.deepEqual([before.enabled, before.roles.length], [false, 0], 'dormant before');
  assert.deepEqual([after.enabled, after.roles.length, after.passes], [false, 0, 0], 'dormant after');
  assert.ok(roles.length > 0, 'roles during the lease');
  const report = { steps, account: { before, during, after }, signed_in_as: signedInAs, roles };
  fs.writeFileSync(path.join(DEMO_FOLDER, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
} finally {
  await browser?.close().catch(() => {});
  machine.forget();
}
