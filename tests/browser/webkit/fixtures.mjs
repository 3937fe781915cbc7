// What every test in WebKit gets: the lab of the tests in Chromium, with a WebKit in the place of the Chromium.
import { expect, portal, test as base } from '../suite/fixtures.mjs';
import { WebKit } from './webkit.mjs';

export { dormant, expect, portal } from '../suite/fixtures.mjs';

export const test = base.extend({
  webkit: async ({ machine, entra }, use) => {
    const webkit = await WebKit.start(machine);
    await use(webkit);
    await webkit.stop();
    const { violations } = await entra.journal();
    expect(violations, 'content security policy violations').toEqual([]);
  },
});

// Whether a person can see one of these.
export const VISIBLE = `(selector) => [...document.querySelectorAll(selector)].some((node) => node.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }))`;

// What stands in the boxes of a document.
export const VALUES = `() => [...document.querySelectorAll('input')]
  .filter(({ type }) => !['hidden', 'submit', 'button', 'checkbox'].includes(type)).map(({ value }) => value)`;

// What the page's own bookkeeping says: decoys that were written to, and fields that hold something.
export const written = (webkit) => webkit.inPage(`() => {
  const { fields, now } = window.__observed;
  return {
    decoys: Object.entries(fields).filter(([, { decoy, input, change }]) => decoy && input + change > 0).map(([key]) => key),
    fields: now.filter(({ key, length, decoy }) => length > 0 && !decoy && !/idSIButton9|idBtn_Back/.test(key)).map(({ key }) => key),
  };
}`);

// Opens the customer's portal, clicks once in the popup, and answers who is signed in.
export async function signIn(webkit, domain, customer) {
  await webkit.go(portal(domain));
  await webkit.until('the sign-in page', () => webkit.inPage(VISIBLE, '#i0116'));
  await webkit.until('the toolbar knows the page', async () => /sign in on this page/i.test(await webkit.title()));
  expect(await written(webkit), 'before the click').toEqual({ decoys: [], fields: [] });
  await webkit.popup();
  await webkit.until(`the popup offers ${customer}`, async () => customer.test(await webkit.popupText()));
  await webkit.pressPrimary();
  await webkit.until('signed in', () => webkit.inPage(VISIBLE, '#signed-in-as'));
  return webkit.inPage(`() => document.querySelector('#signed-in-as').textContent`);
}
