// Stops the worker at points in its own work: a debugger halts it there, and then the browser stops it. What it was told by
// then and what it had yet to do is gone; what it has done and what it has saved stays. No moment is a time.
import fs from 'node:fs';
import path from 'node:path';
import { EXTENSION_ID, Popup, programs } from '../lab.mjs';

export async function stopWorker(page, browser) {
  const cdp = await browser.context.newCDPSession(page);
  await cdp.send('ServiceWorker.enable');
  await cdp.send('ServiceWorker.stopAllWorkers');
  await cdp.detach();
}

function placeOf(file, text) {
  const source = fs.readFileSync(path.join(programs.extension, file), 'utf8').split('\n');
  const lineNumber = source.findIndex((line) => line.includes(text));
  if (lineNumber < 0) throw new Error(`${file} does not say ${text}`);
  return { lineNumber, columnNumber: source[lineNumber].indexOf(text) };
}

// Instead of doing something, the first time or a later one.
export const before = (condition, time = 1) => ({ text: 'carryOut[effect.type]', condition, time });
export const acting = (time) => before(`effect.type === 'fill' || effect.type === 'click'`, time);
export const asking = (verb) => before(`effect.type === 'ask_host' && effect.frame.request.verb === '${verb}'`);

// With all that was asked of the browser's door for passkeys done, instead of shutting it.
export const shutting = { file: 'passkey.js', text: 'proxy.detach()', condition: 'true', time: 1 };

// Instead of taking in what happened.
export const untold = (condition, time = 1) => ({ text: 'const effects', condition: `((event) => ${condition})(next.frame.event)`, time });
export const acted = (time) => untold(`event.type === 'acted'`, time);
export const answered = (reply) => untold(`event.frame?.reply?.reply === '${reply}'`);

// Stops the worker that runs now once it comes to a point, and something else has been done there. Answers a function that
// waits for that.
export async function stopAt(browser, page, moment) {
  const { halted, detach } = await haltAt(browser, moment);
  return (meanwhile) => halted.then(meanwhile).then(() => stopWorker(page, browser)).then(detach);
}

async function haltAt(browser, { file = 'background.js', text, condition, time }) {
  const { targetInfos } = await browser.cdp.send('Target.getTargets');
  const { targetId } = targetInfos.find(({ type, url }) => type === 'service_worker' && url.includes(EXTENSION_ID));
  const { sessionId } = await browser.cdp.send('Target.attachToTarget', { targetId, flatten: false });
  const worker = new Popup(browser.cdp, targetId, sessionId);
  const halted = new Promise((done) => {
    browser.cdp.on('Target.receivedMessageFromTarget', ({ sessionId: from, message }) => {
      if (from === sessionId && JSON.parse(message).method === 'Debugger.paused') done();
    });
  });
  await worker.send('Debugger.enable');
  const { locations } = await worker.send('Debugger.setBreakpointByUrl', {
    url: `chrome-extension://${EXTENSION_ID}/${file}`,
    ...placeOf(file, text),
    condition: `(${condition}) && (self.times = (self.times ?? 0) + 1) === ${time}`,
  });
  if (!locations.length) throw new Error(`the worker has no place ${text}`);
  // The browser gives the next worker to the debugger of this one, with all that it is to halt it at.
  return { halted, detach: () => browser.cdp.send('Target.detachFromTarget', { sessionId }).catch(() => {}) };
}
