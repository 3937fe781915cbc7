// What every test gets: a simulated Entra, a technician's machine with customers connected, a browser with the built
// extension. After every test the directory is asked what must hold whatever happened: no account is enabled without
// an open lease, every exchange agrees with Microsoft's schema, no page complained about its security policy.
import { expect, test as base } from '@playwright/test';
import path from 'node:path';
import { Browser, Entra, Machine, pause, until } from '../lab.mjs';

export { expect, pause, until };

const screenshots = path.resolve(import.meta.dirname, '../../../target/browser-screenshots');
export const picture = (name) => path.join(screenshots, `${name}.png`);

export const test = base.extend({
  // Customers to connect before the browser starts.
  customers: [['Contoso'], { option: true }],
  entraOptions: [[], { option: true }],
  browserOptions: [{}, { option: true }],

  entra: async ({ entraOptions }, use) => {
    const entra = await Entra.start(...entraOptions);
    await use(entra);
    await entra.stop();
  },

  machine: async ({ entra, customers }, use) => {
    const machine = new Machine(entra);
    await machine.install();
    machine.accounts = {};
    for (const name of customers) machine.accounts[name] = await machine.addTenant(name);
    await use(machine);
    const left = await enabledWithoutLease(entra, machine);
    const { conformance } = await entra.state();
    machine.forget();
    expect(left, 'accounts that are enabled although no lease says so').toEqual([]);
    expect(conformance.violations, 'every Graph exchange agrees with the schema').toEqual([]);
  },

  desktop: async ({ machine, entra, browserOptions }, use) => {
    const browser = await Browser.start(machine, browserOptions);
    await use(browser);
    await browser.close();
    const { violations } = await entra.journal();
    expect(violations, 'content security policy violations').toEqual([]);
  },
});

export async function enabledWithoutLease(entra, machine) {
  const open = new Set((await machine.leases()).filter(({ state }) => !['ended', 'failed'].includes(state)).map(({ user_name }) => user_name));
  const left = [];
  for (const name of Object.values(machine.accounts)) {
    const account = await entra.account(name);
    if (account && (account.accountEnabled || account.roles.length) && !open.has(name)) left.push(name);
  }
  return left;
}

// The sign-in page of a tenant, as the Azure portal opens it.
export const portal = (tenant, query = '') => `https://portal.azure.com/?tenant=${tenant}${query}`;

export async function signInPage(browser, address = portal('contoso.onmicrosoft.com')) {
  const page = await browser.page(address);
  await page.waitForSelector('#lightbox, .sign-in-box', { state: 'attached' });
  return page;
}

// Nothing was filled, asked for or handed out.
export async function nothingHappened(entra, machine) {
  const { attempts, credential_types, stay_signed_in } = await entra.journal();
  expect(attempts).toEqual([]);
  expect(credential_types).toEqual([]);
  expect(stay_signed_in).toEqual([]);
  for (const name of Object.values(machine.accounts)) {
    expect(await dormant(entra, name)).toBe(true);
  }
}

export async function dormant(entra, userName) {
  const account = await entra.account(userName);
  return !account.accountEnabled && account.roles.length === 0;
}

// What the page's own bookkeeping says: decoys that were written to, and fields that hold something.
export function written(page) {
  return page.evaluate(() => {
    const { fields, now } = window.__observed;
    return {
      decoys: Object.entries(fields).filter(([, { decoy, input, change }]) => decoy && input + change > 0).map(([key]) => key),
      fields: now.filter(({ key, length, decoy }) => length > 0 && !decoy && !/idSIButton9|idBtn_Back/.test(key)).map(({ key }) => key),
    };
  });
}
