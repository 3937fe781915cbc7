// What the content script costs on the sign-in page: its main-thread time as a ratio to that of a 207-byte script that
// looks for two fields and sends one message. Each is the only extension of a browser of its own, because the first one
// that runs in a page pays for what the second one finds ready; they load the page in turn.
// Out: one JSON line. In: see ../lab.mjs.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Browser, Entra, Machine, pause, programs } from '../lab.mjs';

const LOADS = Number(process.env.LOADS ?? 21);
const REFERENCE = `(() => { const u=document.querySelector('#i0116,[name=loginfmt]'),p=document.querySelector('#i0118,[name=passwd]'); if(!u&&!p) return; chrome.runtime.sendMessage({k:'seen',u:!!u,p:!!p}).catch(()=>{}); })();\n`;
if (Buffer.byteLength(REFERENCE) !== 207) throw new Error(`the reference script has ${Buffer.byteLength(REFERENCE)} bytes`);

// The smallest extension that can send a message: the same matches, the same moment, a worker that hears it.
const reference = fs.mkdtempSync(path.join(os.tmpdir(), 'reference-'));
const { content_scripts: [{ matches, run_at }] } = JSON.parse(fs.readFileSync(path.join(programs.extension, 'manifest.json'), 'utf8'));
fs.writeFileSync(path.join(reference, 'manifest.json'), JSON.stringify({
  manifest_version: 3, name: 'Reference', version: '1', background: { service_worker: 'worker.js' },
  content_scripts: [{ matches, run_at, js: ['content.js'] }],
}));
fs.writeFileSync(path.join(reference, 'content.js'), REFERENCE);
fs.writeFileSync(path.join(reference, 'worker.js'), 'chrome.runtime.onMessage.addListener(() => {});\n');

const entra = await Entra.start();
const machines = [];
const start = async (extension) => {
  const machine = new Machine(entra);
  const browser = await Browser.start(machine, { extension });
  machines.push({ machine, browser });
  const page = await browser.page();
  return { page, cdp: await browser.context.newCDPSession(page) };
};
const own = await start(programs.extension);
const other = await start(reference);
const host = 'https://login.microsoftonline.com/contoso.onmicrosoft.com';
const query = 'client_id=c44b4083-3bb0-49c1-b47d-974e53cbdf3c&response_type=code&redirect_uri=https%3A%2F%2Fportal.azure.com%2Fsignin%2Findex%2F';

// Processor time of the page's main thread inside the script of the extension, in one load of the page.
async function load({ page, cdp }, address) {
  const events = [];
  const collect = ({ value }) => events.push(...value);
  cdp.on('Tracing.dataCollected', collect);
  await cdp.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig: { includedCategories: ['devtools.timeline', 'v8', 'disabled-by-default-v8.compile'] } });
  await page.goto(address);
  await page.waitForSelector('#i0116', { state: 'visible' });
  await pause(700);
  const complete = new Promise((done) => cdp.once('Tracing.tracingComplete', done));
  await cdp.send('Tracing.end');
  await complete;
  cdp.off('Tracing.dataCollected', collect);
  return events
    .filter(({ name, args }) => ['EvaluateScript', 'FunctionCall'].includes(name) && (args?.data?.url ?? args?.fileName ?? '').startsWith('chrome-extension://'))
    .reduce((total, { dur: elapsed = 0, tdur: time = elapsed }) => total + time / 1000, 0);
}

async function measure(address) {
  const ours = [], theirs = [];
  for (let turn = 0; turn < LOADS + 2; turn++) {
    const times = [await load(own, `${address}&state=${turn}`), await load(other, `${address}&state=${turn}`)];
    // The first two loads fill caches.
    if (turn < 2) continue;
    ours.push(times[0]);
    theirs.push(times[1]);
  }
  return { ratio: round(median(ours) / median(theirs)), ours: round(median(ours)), theirs: round(median(theirs)) };
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const round = (value) => Math.round(value * 100) / 100;

// The form as it stands once it is built: there both scripts find it and send their message.
const built = await measure(`${host}/gallery/username?${query}`);
// As the page really comes, the form is built after load. The reference script has looked by then and found nothing.
const late = await measure(`${host}/oauth2/v2.0/authorize?${query}`);
for (const { machine, browser } of machines) {
  await browser.close();
  machine.forget();
}
await entra.stop();
fs.rmSync(reference, { recursive: true });

process.stdout.write(`${JSON.stringify({
  content_script_ratio: built.ratio,
  content_script_ms: built.ours,
  reference_script_ms: built.theirs,
  content_script_ms_late_form: late.ours,
  reference_script_ms_late_form: late.theirs,
})}\n`);
