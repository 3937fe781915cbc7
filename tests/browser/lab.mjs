// The lab: a simulated Entra, a home folder with the real `latchkey` set up in it, and a real Chromium with the built
// extension. Nothing in the product knows about it: the host finds the simulated Entra through HTTPS_PROXY and
// SSL_CERT_FILE, the browser through its proxy switch and the authority's public key.
import { chromium } from '@playwright/test';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';

const root = path.resolve(import.meta.dirname, '../..');
const built = (name) => path.join(process.env.CARGO_TARGET_DIR ?? path.join(root, 'target'), 'debug', name);

export const programs = {
  entra: process.env.ENTRA_SIM ?? built('entra-sim'),
  latchkey: process.env.LATCHKEY ?? built('latchkey'),
  chromium: process.env.LATCHKEY_CHROMIUM ?? '/usr/bin/chromium',
  extension: process.env.LATCHKEY_EXTENSION ?? path.join(root, 'dist/chrome'),
};

export const EXTENSION_ID = JSON.parse(fs.readFileSync(path.join(root, 'manifests/extension-ids.json'), 'utf8')).chrome;

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Asks again until `look` answers something true. How long that may take is a matter of patience, not of the product.
export async function until(what, look, patience = 20_000) {
  const end = Date.now() + patience;
  for (let last; ;) {
    try {
      const found = await look();
      if (found) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`gave up waiting: ${what}${last ? ` (${last.message})` : ''}`);
    await pause(50);
  }
}

// ---- the simulated Entra ----

export class Entra {
  static async start(...options) {
    const child = spawn(programs.entra, options, { stdio: ['ignore', 'pipe', 'inherit'] });
    const abandon = () => child.kill();
    process.once('exit', abandon);
    child.once('exit', () => process.off('exit', abandon));
    const [line] = await once(readline.createInterface({ input: child.stdout }), 'line');
    return new Entra(JSON.parse(line), child);
  }

  constructor(details, child) {
    this.details = details;
    this.child = child;
  }

  async control(route, body) {
    const response = await fetch(`http://127.0.0.1:${this.details.control_port}${route}`, body === undefined ? undefined : {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${route}: ${response.status} ${text}`);
    try { return JSON.parse(text); } catch { return text; }
  }

  state() { return this.control('/sim/state'); }
  knobs(change) { return this.control('/sim/knobs', change); }
  pages(change) { return this.control('/sim/pages', change); }

  // What the pages noted, without the browser's own errands to its maker.
  async journal() {
    const { journal } = await this.control('/sim/pages');
    const attempts = journal.attempts.filter(({ host }) => !/\.(google|googleapis)\.com$/.test(host));
    return { ...journal, attempts };
  }

  tenant(name) {
    return this.details.tenants.find((tenant) => tenant.name === name);
  }

  // One more customer: a recipe of the simulated Entra.
  async addTenant(recipe) {
    const tenant = await this.control('/sim/tenants', recipe);
    this.details.tenants.push(tenant);
    return tenant;
  }

  // What Entra itself says about one account: whether it is enabled and which roles it holds.
  async account(userName) {
    const { tenants } = await this.state();
    for (const tenant of tenants) {
      const user = tenant.users.find(({ upn }) => upn === userName);
      if (user) return user;
    }
    return null;
  }

  async stop() {
    if (this.child) {
      this.child.kill();
      await once(this.child, 'exit');
    }
  }
}

// ---- the technician's machine ----

export class Machine {
  constructor(entra) {
    this.entra = entra;
    this.home = fs.mkdtempSync(path.join(os.tmpdir(), 'latchkey-home-'));
    // Where Chromium keeps its profile; the installer looks for it and puts the host's manifest inside.
    this.profile = path.join(this.home, '.config/chromium');
    fs.mkdirSync(this.profile, { recursive: true });
    fs.mkdirSync(path.join(this.home, '.mozilla'));
    const { XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_STATE_HOME, ...inherited } = process.env;
    this.environment = {
      ...inherited,
      HOME: this.home,
      HTTPS_PROXY: `http://127.0.0.1:${entra.details.proxy_port}`,
      SSL_CERT_FILE: entra.details.ca_pem,
    };
  }

  // Runs `latchkey`; answers its standard output, fails on any exit code but 0.
  async latchkey(args, { input = '', code = 0 } = {}) {
    const child = spawn(programs.latchkey, args, { env: this.environment, stdio: 'pipe' });
    let output = '', errors = '';
    child.stdout.on('data', (data) => { output += data; });
    child.stderr.on('data', (data) => { errors += data; });
    child.stdin.on('error', () => {}).end(input);
    const [status] = await once(child, 'close');
    if (code !== null && status !== code) throw new Error(`latchkey ${args.join(' ')}: exit ${status}\n${output}${errors}`);
    return output;
  }

  async install() {
    await this.latchkey(['install']);
  }

  async addTenant(name, { roles = ['User Administrator'], technician = 'alex@msp.example', minutes } = {}) {
    const { id, app, domains } = this.entra.tenant(name);
    await this.latchkey([
      'tenant', 'add', '--name', name, '--tenant-id', id, '--client-id', app.client_id, '--domain', domains[0].name,
      ...roles.flatMap((role) => ['--role', role]), '--technician', technician,
      ...(minutes ? ['--minutes', String(minutes)] : []), '--secret-stdin',
    ], { input: app.client_secret });
    return `jit-${technician.split('@')[0]}@${domains[0].name}`;
  }

  async leases() {
    return JSON.parse(await this.latchkey(['list', '--json'])).leases;
  }

  forget() {
    fs.rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}

// ---- the browser ----

// How Chromium is started: with our extension alone, and nothing but the simulated Entra to reach.
export function switches(entra, { extension = programs.extension, headless = true } = {}) {
  const { details } = entra;
  return [
    ...(headless ? ['--headless=new'] : []),
    '--no-sandbox', '--disable-gpu', '--window-size=1200,900', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-quic', '--lang=en-US',
    `--proxy-server=http://127.0.0.1:${details.proxy_port}`,
    `--ignore-certificate-errors-spki-list=${details.leaf_spki_sha256_base64}`,
    `--disable-extensions-except=${extension}`, `--load-extension=${extension}`,
  ];
}

export class Browser {
  static async start(machine, { args = [], extension, headless, ...options } = {}) {
    const context = await chromium.launchPersistentContext(machine.profile, {
      executablePath: programs.chromium,
      headless: false,
      env: machine.environment,
      viewport: null,
      locale: 'en-US',
      args: [...switches(machine.entra, { extension, headless }), ...args],
      ...options,
    });
    context.setDefaultTimeout(45_000);
    const browser = new Browser(context, machine);
    browser.cdp = await context.browser().newBrowserCDPSession();
    await browser.worker();
    return browser;
  }

  constructor(context, machine) {
    this.context = context;
    this.machine = machine;
    this.console = [];
    context.on('console', (message) => this.console.push(message.text()));
  }

  async worker() {
    return this.context.serviceWorkers().at(-1) ?? this.context.waitForEvent('serviceworker');
  }

  async page(url) {
    const page = await this.context.newPage();
    if (url) await page.goto(url);
    return page;
  }

  async popupTarget() {
    const { targetInfos } = await this.cdp.send('Target.getTargets');
    return targetInfos.find(({ type, url }) => type === 'page' && url === `chrome-extension://${EXTENSION_ID}/popup.html`);
  }

  // Opens the popup over `page` as a click on the toolbar does.
  async popup(page) {
    await page?.bringToFront();
    const worker = await this.worker();
    await worker.evaluate(async () => {
      const { id: windowId } = await chrome.windows.getLastFocused({ windowTypes: ['normal'] });
      await chrome.windows.update(windowId, { focused: true });
      await chrome.action.openPopup({ windowId });
    });
    const { targetId } = await until('the popup opens', () => this.popupTarget());
    return Popup.attach(this.cdp, targetId);
  }

  // What the toolbar shows on the tab of `page`.
  async toolbar(page) {
    const worker = await this.worker();
    const url = page.url();
    return worker.evaluate(async (url) => {
      const [tab] = (await chrome.tabs.query({})).filter((tab) => tab.url === url || (tab.active && !tab.url));
      const tabId = tab?.id;
      return { badge: await chrome.action.getBadgeText({ tabId }), title: await chrome.action.getTitle({ tabId }) };
    }, url);
  }

  async close() {
    await this.context.close();
  }
}

// The popup is a target that Playwright does not count among its pages; it is driven over the protocol.
export class Popup {
  static async attach(cdp, targetId) {
    const { sessionId } = await cdp.send('Target.attachToTarget', { targetId, flatten: false });
    const popup = new Popup(cdp, targetId, sessionId);
    await popup.send('Runtime.enable');
    await popup.send('Page.enable');
    await popup.send('Emulation.setFocusEmulationEnabled', { enabled: true });
    return popup;
  }

  constructor(cdp, targetId, sessionId) {
    this.cdp = cdp;
    this.targetId = targetId;
    this.sessionId = sessionId;
    this.number = 0;
    this.waiting = new Map();
    this.closed = false;
    cdp.on('Target.receivedMessageFromTarget', ({ sessionId, message }) => {
      if (sessionId !== this.sessionId) return;
      const { id, result, error } = JSON.parse(message);
      const waiting = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) waiting?.reject(new Error(error.message));
      else waiting?.resolve(result);
    });
    cdp.on('Target.detachedFromTarget', ({ sessionId }) => {
      if (sessionId !== this.sessionId) return;
      this.closed = true;
      for (const { reject } of this.waiting.values()) reject(new Error('the popup has closed'));
    });
  }

  send(method, params = {}) {
    const id = ++this.number;
    return new Promise((resolve, reject) => {
      if (this.closed) return reject(new Error('the popup has closed'));
      this.waiting.set(id, { resolve, reject });
      this.cdp.send('Target.sendMessageToTarget', { sessionId: this.sessionId, message: JSON.stringify({ id, method, params }) }).catch(reject);
    });
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true, userGesture: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  text() {
    return this.evaluate('document.body.innerText');
  }

  async see(pattern, patience) {
    let text = '';
    await until(`the popup shows ${pattern}; it shows:\n${text}`, async () => {
      text = await this.text();
      return text.match(pattern) !== null;
    }, patience).catch(async (error) => { throw new Error(`${error.message}\n--- the popup shows ---\n${text}`); });
    return text;
  }

  async press(key) {
    const codes = { Enter: 13, Escape: 27, Tab: 9, ' ': 32, ArrowDown: 40, ArrowUp: 38 };
    const text = key === 'Enter' ? '\r' : key.length === 1 ? key : undefined;
    const base = { key, code: key === ' ' ? 'Space' : key, windowsVirtualKeyCode: codes[key] ?? key.toUpperCase().charCodeAt(0), text };
    await this.send('Input.dispatchKeyEvent', { type: text ? 'keyDown' : 'rawKeyDown', ...base });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...base, text: undefined });
  }

  async type(text) {
    for (const key of text) await this.press(key);
  }

  // Clicks the button or link whose accessible name is `name`.
  async click(name) {
    const box = await until(`a button "${name}"`, () => this.evaluate(`(() => {
      const node = [...document.querySelectorAll('button,a,summary,[role=button]')].find((node) => (node.getAttribute('aria-label') ?? node.innerText).trim() === ${JSON.stringify(name)});
      if (!node) return null;
      node.scrollIntoView({ block: 'center' });
      const { left, top, width, height } = node.getBoundingClientRect();
      return { x: left + width / 2, y: top + height / 2 };
    })()`));
    for (const type of ['mousePressed', 'mouseReleased']) {
      await this.send('Input.dispatchMouseEvent', { type, ...box, button: 'left', clickCount: 1 });
    }
  }

  async screenshot(file) {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, Buffer.from(data, 'base64'));
  }

  async close() {
    await this.cdp.send('Target.closeTarget', { targetId: this.targetId }).catch(() => {});
    await until('the popup closes', () => this.closed);
  }
}
