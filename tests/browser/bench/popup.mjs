// From the popup's first moment (the start of its document) until it can be used: a view with something to choose, drawn
// by the WASM from what the host answered. On the sign-in page, as it is used. Out: one JSON line. In: see ../lab.mjs.
import { Browser, Entra, Machine, until } from '../lab.mjs';

const OPENINGS = Number(process.env.OPENINGS ?? 15);

const entra = await Entra.start();
const machine = new Machine(entra);
await machine.install();
await machine.addTenant('Contoso');
const browser = await Browser.start(machine);
const page = await browser.page('https://portal.azure.com/?tenant=contoso.onmicrosoft.com');
await page.waitForSelector('#i0116', { state: 'visible' });

const times = [];
for (let opening = 0; opening < OPENINGS + 2; opening++) {
  const popup = await browser.popup(page);
  const time = await until('the popup is usable', () => popup.evaluate(`performance.getEntriesByName('usable')[0]?.startTime`));
  if (opening >= 2) times.push(time);
  await popup.close();
}
await browser.close();
await entra.stop();
machine.forget();

const median = [...times].sort((a, b) => a - b)[times.length >> 1];
process.stdout.write(`${JSON.stringify({ popup_usable_ms: Math.round(median * 10) / 10 })}\n`);
