// More customers than one message of the host can name: listed, found, and reached by scrolling in the popup, with only
// what is to be seen drawn.
import { expect, test as base, until } from './fixtures.mjs';
import { hostWithTenants } from '../bench/many-tenants.mjs';

const COUNT = 3000;
const rows = (popup) => popup.evaluate(`document.querySelectorAll('.rows > li').length`);

const test = base.extend({
  customers: [[], { option: true }],
  machine: async ({ machine }, use) => {
    hostWithTenants(machine, COUNT);
    await use(machine);
    // The real host again, which the last look at the machine asks.
    await machine.install();
  },
});

test('all are counted, a few are drawn, scrolling and searching reach the others', async ({ desktop: browser }) => {
  const page = await browser.page('about:blank');
  const popup = await browser.popup(page);
  await popup.see(/3000/);
  const first = await rows(popup);
  expect(first).toBeGreaterThan(5);
  expect(first).toBeLessThan(20);
  expect(await popup.evaluate(`document.querySelector('.rows .row').closest('li').getAttribute('aria-setsize')`)).toBe(String(COUNT));

  const scroll = `(() => { const list = document.querySelector('.rows'); list.scrollTop = list.scrollHeight; })()`;
  for (let drawn = first, times = 0; times < 3; times++) {
    await popup.evaluate(scroll);
    await until('more rows', async () => await rows(popup) > drawn);
    drawn = await rows(popup);
    expect(drawn).toBeLessThan(COUNT);
  }

  await popup.type('customer 2987');
  await until('the one is found', async () => await rows(popup) === 1);
  expect(await popup.text()).toContain('Customer 2987');
  expect(await popup.text()).toContain('customer2987.onmicrosoft.com');
});
