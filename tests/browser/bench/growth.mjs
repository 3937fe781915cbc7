// What the process of the extension takes while one sign-in follows the other, with nobody looking into the worker: with a
// debugger attached to it a browser keeps what it would let go of, so `light.mjs` cannot tell. Here the toolbar's button is
// pressed by the browser itself (`Extensions.triggerAction`), and the only sessions are one on the page and, for one key, one
// on each popup. DEBUGGER=1 attaches one to the worker, too, as a test does: everything else is the same.
// Out: one JSON line. In: see ../lab.mjs; FILLS, a user name and a credential at each sign-in.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Entra, EXTENSION_ID, Machine, programs, switches, until } from '../lab.mjs';
import { descendants, memory } from './processes.mjs';

const FILLS = Number(process.env.FILLS ?? 300);
const DEBUGGER = process.env.DEBUGGER === '1';
const FILLS_OF_A_SIGN_IN = 2;

// The DevTools protocol through a pipe, with sessions only where one is asked for.
class Protocol {
  constructor(child) {
    this.into = child.stdio[3];
    this.number = 0;
    this.waiting = new Map();
    let rest = Buffer.alloc(0);
    child.stdio[4].on('data', (data) => {
      rest = Buffer.concat([rest, data]);
      for (let end; (end = rest.indexOf(0)) >= 0; rest = rest.subarray(end + 1)) this.heard(JSON.parse(rest.subarray(0, end)));
    });
  }

  heard({ id, result, error }) {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (error) waiting?.reject(new Error(error.message));
    else waiting?.resolve(result);
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.number;
    this.into.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  async target(isMeant, filter = undefined) {
    const { targetInfos } = await this.send('Target.getTargets', { filter });
    return targetInfos.find(isMeant)?.targetId;
  }

  async attach(targetId) {
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const send = (method, params) => this.send(method, params, sessionId);
    const evaluate = async (expression) => (await send('Runtime.evaluate', { expression, returnByValue: true })).result.value;
    return { send, evaluate, sessionId };
  }
}

const isPopup = ({ type, url }) => type === 'page' && url === `chrome-extension://${EXTENSION_ID}/popup.html`;
const isWorker = ({ type, url }) => type === 'service_worker' && url.includes(EXTENSION_ID);
const shows = (session, selector) => session.evaluate(`!!document.querySelector(${JSON.stringify(selector)})`);

async function signIn(protocol, page, account) {
  await page.send('Network.clearBrowserCookies');
  await page.send('Page.navigate', { url: `https://portal.azure.com/?tenant=${account.split('@')[1]}` });
  await until('the sign-in page', () => page.evaluate(`!!document.querySelector('#i0116')?.checkVisibility()`));
  await protocol.send('Extensions.triggerAction', { id: EXTENSION_ID, targetId: page.tab });
  const popup = await protocol.attach(await until('the popup', () => protocol.target(isPopup)));
  await until('something to press', () => shows(popup, '[data-do=start],[data-do=sign-in]'));
  const key = { key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13 };
  for (const [type, text] of [['keyDown', '\r'], ['keyUp']]) await popup.send('Input.dispatchKeyEvent', { type, ...key, text }).catch(() => {});
  await until('signed in', () => shows(page, '#signed-in-as'), 60_000);
  if (!(await page.evaluate(`document.querySelector('#signed-in-as').textContent`)).includes(account)) throw new Error('somebody else is signed in');
  const left = await protocol.target(isPopup);
  if (left) await protocol.send('Target.closeTarget', { targetId: left });
  await until('the popup is closed', async () => !(await protocol.target(isPopup)));
}

const entra = await Entra.start();
await entra.pages({ proof_up: 'off' });
const machine = new Machine(entra);
await machine.install();
const account = await machine.addTenant('Contoso', { minutes: 240 });
const child = spawn(programs.chromium, [
  ...switches(entra), `--user-data-dir=${machine.profile}`, '--remote-debugging-pipe', '--enable-unsafe-extension-debugging',
  '--password-store=basic', 'about:blank',
], { env: machine.environment, stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
const protocol = new Protocol(child);
const targetId = await until('a page', () => protocol.target(({ type, url }) => type === 'page' && url === 'about:blank'));
const tab = await protocol.target(() => true, [{ type: 'tab' }]);
const page = Object.assign(await protocol.attach(targetId), { tab });
await page.send('Page.enable');
let watched;
const samples = [];
for (let done = 0; done * FILLS_OF_A_SIGN_IN <= FILLS; done++) {
  if (done) await signIn(protocol, page, account);
  if (DEBUGGER && !watched) {
    watched = await protocol.attach(await until('the worker', () => protocol.target(isWorker)));
    for (const domain of ['Runtime', 'Debugger', 'Network']) await watched.send(`${domain}.enable`);
  }
  if (done > 1 && (done * FILLS_OF_A_SIGN_IN) % 20) continue;
  samples.push({ fills: done * FILLS_OF_A_SIGN_IN, ...memory(descendants(machine.profile), (line) => line.includes('--extension-process')) });
  console.error(JSON.stringify(samples.at(-1)));
}
await protocol.send('Browser.close').catch(() => {});
await once(child, 'exit');
await machine.latchkey(['end', '--all']);
machine.forget();
await entra.stop();
process.stdout.write(`${JSON.stringify({ debugger: DEBUGGER, samples })}\n`);
process.exit();
