// What every test in Firefox gets: the lab of the tests in Chromium, with a Firefox in the place of the Chromium.
import { expect, test as base } from '../suite/fixtures.mjs';
import { Firefox } from './firefox.mjs';

export { dormant, expect, nothingHappened, portal, until } from '../suite/fixtures.mjs';

export const test = base.extend({
  firefox: async ({ machine, entra }, use) => {
    const firefox = await Firefox.start(machine);
    await use(firefox);
    await firefox.close();
    const { violations } = await entra.journal();
    expect(violations, 'content security policy violations').toEqual([]);
  },
});

// What the page's own bookkeeping says: decoys that were written to, and fields that hold something.
export const written = (firefox) => firefox.evaluate(`() => {
  const { fields, now } = window.__observed;
  return {
    decoys: Object.entries(fields).filter(([, { decoy, input, change }]) => decoy && input + change > 0).map(([key]) => key),
    fields: now.filter(({ key, length, decoy }) => length > 0 && !decoy && !/idSIButton9|idBtn_Back/.test(key)).map(({ key }) => key),
  };
}`);

// The technician's sign-in page, known to the toolbar.
export async function signInPage(firefox, address) {
  await firefox.go(address);
  await firefox.visible('#i0116');
}
