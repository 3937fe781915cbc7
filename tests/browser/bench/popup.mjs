// From the popup's first moment (the start of its document) until it can be used: a view with something to choose, drawn
// by the WASM from what the host answered. With one customer on the sign-in page, as it is used, and with 10, 100 and
// 1,000 customers on any page, from a host that has that many. Out: one JSON line. In: see ../lab.mjs.
import { Browser, Entra, Machine, until } from '../lab.mjs';
import { hostWithTenants } from './many-tenants.mjs';

const OPENINGS = Number(process.env.OPENINGS ?? 15);

const entra = await Entra.start();
const usable = (popup) => until('the popup is usable', () => popup.evaluate(`performance.getEntriesByName('usable')[0]?.startTime`));

async function median(browser, page, ready) {
  const times = [];
  for (let opening = 0; opening < OPENINGS + 2; opening++) {
    const popup = await browser.popup(page);
    const time = await usable(popup);
    if (opening >= 2) times.push(time);
    await ready?.(popup);
    await popup.close();
  }
  return Math.round([...times].sort((a, b) => a - b)[times.length >> 1] * 10) / 10;
}

async function withHost(change, measure) {
  const machine = new Machine(entra);
  await machine.install();
  await change(machine);
  const browser = await Browser.start(machine);
  const time = await measure(browser);
  await browser.close();
  machine.forget();
  return time;
}

const figures = {};

figures.popup_usable_ms = await withHost((machine) => machine.addTenant('Contoso'), async (browser) => {
  const page = await browser.page('https://portal.azure.com/?tenant=contoso.onmicrosoft.com');
  await page.waitForSelector('#i0116', { state: 'visible' });
  return median(browser, page);
});

for (const count of [10, 100, 1000]) {
  figures[`popup_usable_${count}_tenants_ms`] = await withHost((machine) => hostWithTenants(machine, count), async (browser) => {
    const page = await browser.page('about:blank');
    const listed = (popup) => until('everybody is listed', () => popup.evaluate(`!!document.querySelector('.status')?.textContent.includes('${count}')`));
    return median(browser, page, listed);
  });
}

await entra.stop();
process.stdout.write(`${JSON.stringify(figures)}\n`);
