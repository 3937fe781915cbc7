// What a page carries with Latchkey, with KeePassXC-Browser, and with an extension that has nothing in pages: processor
// time inside the extension's scripts while the page loads, and the page's heap afterwards. On the sign-in page as it
// comes, and on a page that is none. And what the process of its worker has in memory after that.
//
// Each in a browser of its own, because KeePassXC-Browser changes pages. The time is from V8's own sampling (every 0.1 ms,
// so that what is put off into promises counts as well); it is comparable here and with nothing else.
// Out: one JSON line. In: KEEPASSXC_BROWSER, a folder with that extension (without it, it is left out); see ../lab.mjs.
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { Browser, Entra, Machine, pause, programs } from '../lab.mjs';
import { contentBytes, keepassxcBrowser } from './keepassxc-browser.mjs';
import { descendants, memory } from './processes.mjs';

const LOADS = Number(process.env.LOADS ?? 11);
const SIGN_IN = 'https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/authorize?client_id=c44b4083-3bb0-49c1-b47d-974e53cbdf3c&response_type=code&redirect_uri=https%3A%2F%2Fportal.azure.com%2Fsignin%2Findex%2F&state=';

// A page with text and a search box.
const text = '<p>Somebody has written something here, as people do.</p>'.repeat(200);
const server = http.createServer((_, answer) => answer.setHeader('content-type', 'text/html').end(`<!doctype html><title>Plain</title><form><input type="search" name="q"></form>${text}`));
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const PLAIN = `http://127.0.0.1:${server.address().port}/?load=`;

const nothing = fs.mkdtempSync(path.join(os.tmpdir(), 'nothing-'));
fs.writeFileSync(path.join(nothing, 'manifest.json'), JSON.stringify({ manifest_version: 3, name: 'Nothing', version: '1', background: { service_worker: 'worker.js' } }));
fs.writeFileSync(path.join(nothing, 'worker.js'), '');
const theirs = process.env.KEEPASSXC_BROWSER && keepassxcBrowser(process.env.KEEPASSXC_BROWSER);

const entra = await Entra.start();

// Milliseconds in which a script of an extension was on the stack.
function inExtensions({ nodes, samples, timeDeltas }) {
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const isOurs = (id) => id !== undefined && (byId.get(id).callFrame.url.startsWith('chrome-extension://') || isOurs(parents.get(id)));
  return samples.reduce((sum, id, place) => sum + (isOurs(id) ? timeDeltas[place] : 0), 0) / 1000;
}

async function measure(browser, address, ready) {
  const page = await browser.page();
  const cdp = await browser.context.newCDPSession(page);
  await cdp.send('Profiler.enable');
  await cdp.send('Profiler.setSamplingInterval', { interval: 100 });
  const [times, heaps] = [[], []];
  // The first two loads fill caches.
  for (let load = -2; load < LOADS; load++) {
    await cdp.send('Profiler.start');
    await page.goto(`${address}${load}`);
    await page.waitForSelector(ready, { state: 'visible' });
    await pause(700);
    const { profile } = await cdp.send('Profiler.stop');
    await cdp.send('HeapProfiler.collectGarbage');
    const { usedSize } = await cdp.send('Runtime.getHeapUsage');
    if (load < 0) continue;
    times.push(inExtensions(profile));
    heaps.push(usedSize / 1024);
  }
  await page.close();
  return { ms: round(median(times)), heap_kib: Math.round(median(heaps)) };
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const round = (value) => Math.round(value * 100) / 100;

const figures = {};
for (const [name, extension] of Object.entries({ nothing, latchkey: programs.extension, ...theirs && { keepassxc_browser: theirs } })) {
  const machine = new Machine(entra);
  const browser = await Browser.start(machine, { extension });
  figures[name] = {
    bytes: contentBytes(extension),
    sign_in_page: await measure(browser, SIGN_IN, '#i0116'),
    plain_page: await measure(browser, PLAIN, 'p'),
    worker: memory(descendants(machine.profile), (line) => line.includes('--extension-process')),
  };
  await browser.close();
  machine.forget();
}
await entra.stop();
server.close();
fs.rmSync(nothing, { recursive: true });
if (theirs) fs.rmSync(theirs, { recursive: true });
process.stdout.write(`${JSON.stringify(figures)}\n`);
