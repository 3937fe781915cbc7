// The engine of Safari with the extension that Safari gets (`dist/safari`): its worker and its popup as pages of their
// own, with the content security policy of its manifest; its content script in the sign-in page; its native part as a
// program (`one_message`). WebKitGTK has no extensions, so `shim.js` stands for the extension API, and this file for the
// browser process: it carries messages between them and vouches for who sent them.
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import readline from 'node:readline';
import { expect } from '@playwright/test';
import { until } from '../lab.mjs';
import { Session } from '../webdriver.mjs';

const root = path.resolve(import.meta.dirname, '../../..');
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target');

export const programs = {
  driver: process.env.WEBKIT_DRIVER ?? '/usr/bin/WebKitWebDriver',
  browser: process.env.LATCHKEY_WEBKIT ?? fs.globSync?.('/usr/lib/*/webkit2gtk-4.1/MiniBrowser')[0] ?? '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser',
  native: process.env.LATCHKEY_ONE_MESSAGE ?? path.join(target, 'debug/examples/one_message'),
  extension: process.env.LATCHKEY_SAFARI_EXTENSION ?? path.join(root, 'dist/safari'),
};

const TAB = 1;
const CONTENT_SCRIPT = fs.readFileSync(path.join(programs.extension, 'content.js'), 'utf8');
const ID = 'com.latchkey.app.extension';
const MANIFEST = JSON.parse(fs.readFileSync(path.join(programs.extension, 'manifest.json'), 'utf8'));
const MATCHES = MANIFEST.host_permissions;

// What the content script has of the extension API: an id, the manifest, messages.
const IN_PAGE = `
const sent = [], heard = [];
const chrome = { runtime: {
  id: '${ID}',
  getManifest: () => (${JSON.stringify({ host_permissions: MATCHES })}),
  sendMessage: (message) => new Promise((resolve) => sent.push({ message: JSON.parse(JSON.stringify(message)), resolve })),
  onMessage: { addListener: (listener) => heard.push(listener) },
} };
window.lab_content = {
  document: arguments[0],
  pending: sent,
  taken: [],
  take() { const all = sent.splice(0); this.taken.push(...all); return all.map(({ message }) => message); },
  reply(values) { this.taken.splice(0).forEach(({ resolve }, at) => resolve(values[at])); },
  deliver(order) {
    return new Promise((resolve) => {
      const later = heard.map((listener) => listener(order, { id: chrome.runtime.id }, resolve));
      if (!later.includes(true)) resolve(null);
    });
  },
};
`;

export class WebKit {
  static async start(machine) {
    const { proxy_port } = machine.entra.details;
    const server = await serve();
    const screen = await Screen.start();
    // The native part has one folder for everything; here it is the one with the database.
    const folder = path.join(machine.home, '.local/share/latchkey');
    fs.symlinkSync(path.join(machine.home, '.config/latchkey/config.toml'), path.join(folder, 'config.toml'));
    const session = await Session.start(programs.driver, [], {
      env: { ...machine.environment, DISPLAY: screen.display, NO_AT_BRIDGE: '1', WEBKIT_DISABLE_COMPOSITING_MODE: '1', WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1' },
      capabilities: {
        acceptInsecureCerts: true,
        // (The driver's own capability would speak TLS to the proxy.)
        'webkitgtk:browserOptions': { binary: programs.browser, args: ['--automation', `--proxy=http://127.0.0.1:${proxy_port}`, '--ignore-host=127.0.0.1'] },
      },
    });
    const webkit = new WebKit(session, server, screen, machine);
    await webkit.begin();
    return webkit;
  }

  constructor(session, server, screen, machine) {
    this.session = session;
    this.server = server;
    this.screen = screen;
    this.origin = `http://127.0.0.1:${server.address().port}`;
    this.native = spawn(programs.native, [path.join(machine.home, '.local/share/latchkey')], { env: machine.environment, stdio: ['pipe', 'pipe', 'inherit'] });
    this.answers = readline.createInterface({ input: this.native.stdout })[Symbol.asyncIterator]();
    // Puts the content script where the browser would not, to see that it and the brain refuse by themselves.
    this.everywhere = false;
  }

  async begin() {
    this.page = await this.session.get('/window');
    await this.session.post('/timeouts', { script: 60_000, pageLoad: 120_000 });
    const opened = async (address) => {
      const { handle } = await this.session.post('/window/new', { type: 'window' });
      await this.in(handle);
      await this.session.go(this.origin + address);
      return handle;
    };
    this.worker = await opened('/worker.html');
    await until('the worker has started', () => this.session.evaluate(`() => window.lab && lab.onMessage.all.length > 0`));
    this.openPage = opened;
  }

  async in(handle) {
    if (this.at !== handle) await this.session.post('/window', { handle });
    this.at = handle;
  }

  async evaluate(handle, body, ...args) {
    await this.in(handle);
    return this.session.evaluate(body, ...args);
  }

  async go(url) {
    await this.in(this.page);
    await this.session.go(url);
  }

  inPage(body, ...args) { return this.evaluate(this.page, body, ...args); }
  inWorker(body, ...args) { return this.evaluate(this.worker, body, ...args); }

  // Opens the popup's page: over the tab, as a click on the toolbar does.
  async popup() {
    await this.closePopup();
    this.popupPage = await this.openPage('/popup.html');
    await this.carry();
  }

  async closePopup() {
    if (!this.popupPage) return;
    await this.in(this.popupPage);
    await this.session.request('DELETE', `${this.session.path}/window`);
    this.popupPage = undefined;
    await this.in(this.page);
  }

  // The tooltip of the toolbar.
  title() {
    return this.inWorker('() => lab.title.text ?? ""');
  }

  // What Enter presses.
  pressPrimary() {
    return this.evaluate(this.popupPage, `() => document.querySelector('button.primary').click()`);
  }

  async press(name) {
    expect(await this.evaluate(this.popupPage, `(name) => {
      const button = [...document.querySelectorAll('button')].find((button) => button.innerText.trim() === name);
      button?.click();
      return !!button;
    }`, name), `a button "${name}"`).toBe(true);
  }

  // Does one round of what a browser process does all the time: content script into new documents, messages to where
  // they belong.
  async carry() {
    await this.carryFromPage();
    for (const sent of await this.inWorker('() => lab.outbox.splice(0)')) {
      const answer = await this.carryOut(sent).then((value) => [value ?? null, null], (error) => [null, error.message]);
      await this.inWorker('(id, value, error) => lab.answer(id, value, error)', sent.id, ...answer);
    }
  }

  async carryFromPage() {
    const now = await this.inPage(`() => ({ url: location.href, since: performance.timeOrigin })`);
    if (now.url !== this.now?.url || now.since !== this.now.since) {
      this.now = now;
      await this.tell('(tab) => { lab.tab = tab; lab.onUpdated.fire(tab.id, { status: "loading" }, tab); }');
    }
    await this.in(this.page);
    await this.carryFromDocument(0);
  }

  // From the document that the session is in: of the page (frame 0) or of a frame in it.
  async carryFromDocument(frameId) {
    const now = await this.session.evaluate(`() => ({
      url: location.href, origin: location.origin, ready: document.readyState, document: window.lab_content?.document,
      messages: window.lab_content?.take() ?? [],
    })`);
    const wanted = this.everywhere || (frameId === 0 && MATCHES.includes(`${now.origin}/*`));
    if (wanted && !now.document && now.ready === 'complete') {
      await this.session.post('/execute/sync', { script: IN_PAGE + CONTENT_SCRIPT, args: [crypto.randomUUID()] });
    }
    if (!now.messages.length) return now;
    const sender = { id: ID, tab: this.tab(), frameId, documentId: now.document, url: now.url, origin: now.origin };
    const { at } = this;
    const answers = await this.inWorker(`(messages, sender) => messages.map((message) => {
      let answered;
      lab.onMessage.fire(message, sender, (value) => { answered = value; });
      return answered ?? null;
    })`, now.messages, sender);
    await this.in(at);
    if (frameId) await this.session.post('/frame', { id: frameId - 1 });
    await this.session.evaluate('(document, answers) => { if (window.lab_content?.document === document) lab_content.reply(answers); }', now.document, answers);
    return now;
  }

  // What is in the frames of the page, one after the other. Not `quietly`, they get the content script, if it is
  // everywhere.
  async inFrames(look, { quietly = false } = {}) {
    const count = await this.inPage('() => window.length');
    const seen = [];
    for (let frame = 0; frame < count; frame++) {
      await this.in(this.page);
      await this.session.post('/frame', { id: frame });
      try {
        if (!quietly) await this.carryFromDocument(frame + 1);
        seen.push(await look(frame));
      } finally {
        this.at = undefined;
      }
    }
    return seen;
  }

  // An order for the content script of the document that the session is in, as the worker gives it: with the right
  // origin and with the fingerprint of a close look just taken.
  async order(order) {
    return this.session.evaluateAsync(`async (order) => {
      const content = window.lab_content;
      await content.deliver({ type: 'look' });
      let seen;
      for (const sent of content.pending) if (sent.message.closely) seen = sent.message.snapshot;
      if (!seen) return 'nothing reported';
      const answer = await content.deliver({ ...order, origin: location.origin, fingerprint: seen.fingerprint });
      return answer.outcome;
    }`, order);
  }

  async carryOut({ kind, message, options }) {
    if (kind === 'native') {
      this.native.stdin.write(`${message}\n`);
      return (await this.answers.next()).value;
    }
    if (kind === 'tab') {
      const { documentId } = options;
      await this.in(this.page);
      return this.session.evaluateAsync(`(document, order) => {
        const content = window.lab_content;
        if (!content || (document && content.document !== document)) throw new Error('no such document');
        return content.deliver(order);
      }`, documentId ?? null, message);
    }
    throw new Error(`not in this browser: ${kind}`);
  }

  tab() {
    const { url } = this.now;
    return { id: TAB, active: true, ...MATCHES.includes(`${new URL(url).origin}/*`) && { url } };
  }

  // Worker and popup see the same tab.
  async tell(body) {
    await this.inWorker(body, this.tab());
  }

  // Carries until `look` answers something true.
  async until(what, look, patience = 90_000) {
    return until(what, async () => {
      await this.carry();
      return look();
    }, patience);
  }

  async popupText() {
    return this.evaluate(this.popupPage, '() => document.body.innerText');
  }

  async stop() {
    this.native.stdin.end();
    await this.session.stop();
    this.server.close();
    this.server.closeAllConnections();
    await this.screen.stop();
    if (this.native.exitCode === null) await once(this.native, 'exit');
  }
}

// A screen that nobody sees, with a number that was free.
class Screen {
  static async start() {
    const child = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1280x1024x24', '-nolisten', 'tcp'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
    const abandon = () => child.kill();
    process.once('exit', abandon);
    child.once('exit', () => process.off('exit', abandon));
    const [number] = await once(readline.createInterface({ input: child.stdio[3] }), 'line');
    return new Screen(child, `:${number.trim()}`);
  }

  constructor(child, display) {
    this.child = child;
    this.display = display;
  }

  async stop() {
    this.child.kill();
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit');
  }
}

// The built extension over HTTP, its pages under the policy of its manifest, the shim before everything else.
async function serve() {
  const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.wasm': 'application/wasm', '.png': 'image/png' };
  const worker = '<!doctype html><title>worker</title><script src="/shim.js"></script><script type="module" src="/start.js"></script>';
  const made = {
    '/worker.html': worker,
    '/start.js': `await lab.ready;\nfor (const script of ${JSON.stringify(MANIFEST.background.scripts)}) await import('/' + script);`,
    '/shim.js': fs.readFileSync(path.join(import.meta.dirname, 'shim.js')),
    '/popup.html': fs.readFileSync(path.join(programs.extension, 'popup.html'), 'utf8')
      .replace('<script type="module" src="popup.js"></script>', '<script src="/shim.js"></script>\n<script type="module" src="/open.js"></script>'),
    '/open.js': "await lab.ready;\nawait import('/popup.js');",
  };
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://127.0.0.1');
    const file = path.join(programs.extension, path.normalize(pathname));
    const body = made[pathname] ?? (file.startsWith(programs.extension) && fs.existsSync(file) ? fs.readFileSync(file) : undefined);
    if (body === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {
      'content-type': types[path.extname(pathname)] ?? 'application/octet-stream',
      'content-security-policy': MANIFEST.content_security_policy.extension_pages,
    }).end(body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
