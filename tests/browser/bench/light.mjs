// What stays of Latchkey in memory: of the worker and of the host after FILLS fills (500 of a user name and 500 of a
// credential make 1,000), and after IDLE_MINUTES in which nobody touches anything.
//
// The fills are those of a person who does nothing else: page, popup, Enter, page by page to the portal, over and over in
// one browser with one lease. A debugger is attached there, so that the worker is never stopped: all that it could keep,
// it keeps. The idle browser has no debugger, because one would keep the worker alive: it does what it does on a desk.
// Its lease lasts half of the time. Beside it a host whose connection is kept open all the time.
// Out: one JSON line. In: see ../lab.mjs.
import { chromium } from '@playwright/test';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { Browser, Entra, EXTENSION_ID, Machine, pause, Popup, programs, switches, until } from '../lab.mjs';
import { descendants, memory } from './processes.mjs';

const FILLS = Number(process.env.FILLS ?? 1000);
const IDLE_MINUTES = Number(process.env.IDLE_MINUTES ?? 60);
const FILLS_OF_A_SIGN_IN = 2;
const SAMPLES = 10;

const isWorker = (line) => line.includes('--extension-process');
const isHost = (line) => line.startsWith(programs.latchkey);

// ---- fills ----

async function signIn(browser, page, account) {
  await browser.context.clearCookies();
  await page.goto(`https://portal.azure.com/?tenant=${account.split('@')[1]}`);
  await page.waitForSelector('#i0116', { state: 'visible' });
  const popup = await browser.popup(page);
  await until('something to press', () => popup.evaluate(`!!document.querySelector('[data-do=start],[data-do=sign-in]')`));
  await popup.press('Enter').catch(() => {}); // it may close before it answers
  await page.waitForSelector('#signed-in-as');
  if (!(await page.textContent('#signed-in-as')).includes(account)) throw new Error('somebody else is signed in');
  if (!popup.closed) await popup.close();
}

// The worker's heap once nothing is left to collect.
async function heap(browser) {
  const { targetInfos } = await browser.cdp.send('Target.getTargets');
  const { targetId } = targetInfos.find(({ type, url }) => type === 'service_worker' && url.includes(EXTENSION_ID));
  const { sessionId } = await browser.cdp.send('Target.attachToTarget', { targetId, flatten: false });
  const worker = new Popup(browser.cdp, targetId, sessionId);
  await worker.send('HeapProfiler.collectGarbage');
  const { usedSize } = await worker.send('Runtime.getHeapUsage');
  await browser.cdp.send('Target.detachFromTarget', { sessionId });
  return usedSize / 2 ** 20;
}

// The other heap of the worker's process: the popups'. What a closed popup leaves stays there until the browser collects it,
// which it does when it needs the room.
async function collectPopups(browser, page) {
  const popup = await browser.popup(page);
  await popup.send('HeapProfiler.collectGarbage');
  await popup.close();
  await pause(1000);
}

async function fills(entra) {
  const machine = new Machine(entra);
  await machine.install();
  const account = await machine.addTenant('Contoso', { minutes: 240 });
  const browser = await Browser.start(machine);
  const page = await browser.page();
  const samples = [];
  const signIns = Math.ceil(FILLS / FILLS_OF_A_SIGN_IN);
  const every = Math.max(1, Math.floor(signIns / SAMPLES));
  for (let done = 1; done <= signIns; done++) {
    await signIn(browser, page, account);
    if (done !== 1 && done % every) continue;
    const sample = { fills: done * FILLS_OF_A_SIGN_IN, worker: memory(descendants(machine.profile), isWorker) };
    sample.worker_heap_mib = round(await heap(browser));
    await collectPopups(browser, page);
    const running = descendants(machine.profile);
    Object.assign(sample, { worker_collected: memory(running, isWorker), host: memory(running, isHost) });
    samples.push(sample);
    console.error(JSON.stringify(sample));
  }
  await machine.latchkey(['end', '--all']);
  await browser.close();
  machine.forget();
  return samples;
}

// ---- an hour of nothing ----

// A browser that nobody looks into: started without a debugger, which comes for one sign-in and goes again.
async function browserAlone(machine) {
  const child = spawn(programs.chromium, [
    ...switches(machine.entra), `--user-data-dir=${machine.profile}`, '--remote-debugging-port=0', '--password-store=basic', 'about:blank',
  ], { env: machine.environment, stdio: 'ignore' });
  const file = path.join(machine.profile, 'DevToolsActivePort');
  const port = await until('the browser is there', () => fs.readFileSync(file, 'utf8').split('\n')[0]);
  return { child, address: `http://127.0.0.1:${port}` };
}

async function withDebugger(machine, address, act) {
  const connection = await chromium.connectOverCDP(address);
  const browser = new Browser(connection.contexts()[0], machine);
  browser.cdp = await connection.newBrowserCDPSession();
  await act(browser);
  await connection.close();
}

// A host whose browser never goes away.
function hostAlone(machine) {
  const child = spawn(programs.latchkey, [`chrome-extension://${EXTENSION_ID}/`], { env: machine.environment, stdio: ['pipe', 'ignore', 'ignore'] });
  const requests = [{ verb: 'hello', protocol: 1, extension_version: 'bench' }, { verb: 'list_tenants' }, { verb: 'list_leases' }];
  for (const [number, request] of requests.entries()) {
    const body = Buffer.from(JSON.stringify({ id: number + 1, request }));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(body.length);
    child.stdin.write(Buffer.concat([length, body]));
  }
  return child;
}

async function idle(entra) {
  const machine = new Machine(entra);
  await machine.install();
  const account = await machine.addTenant('Fabrikam', { minutes: Math.max(1, Math.round(IDLE_MINUTES / 2)) });
  const { child, address } = await browserAlone(machine);
  await withDebugger(machine, address, async (browser) => signIn(browser, await browser.page(), account));
  const host = hostAlone(machine);
  const samples = [];
  for (let minute = 1; minute <= IDLE_MINUTES; minute++) {
    await pause(60_000);
    const running = descendants(machine.profile);
    const open = (await machine.leases()).length;
    samples.push({ minute, open_leases: open, worker: memory(running, isWorker), host: memory(running, isHost), host_alone: memory([host.pid], isHost) });
    console.error(JSON.stringify(samples.at(-1)));
  }
  host.stdin.end();
  await once(host, 'exit');
  child.kill();
  await once(child, 'exit');
  await machine.latchkey(['end', '--all']);
  machine.forget();
  return samples;
}

const round = (value) => Math.round(value * 100) / 100;

// At the same time, each with a customer of its own: neither knows of the other, and memory is not time.
const entra = await Entra.start();
await entra.pages({ proof_up: 'off' });
const [after_fills, while_idle] = await Promise.all([FILLS ? fills(entra) : [], IDLE_MINUTES ? idle(entra) : []]);
await entra.stop();
process.stdout.write(`${JSON.stringify({ after_fills, while_idle })}\n`);
