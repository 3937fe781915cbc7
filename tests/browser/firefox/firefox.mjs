// A real Firefox with the built extension, driven by geckodriver: the page over the WebDriver protocol, the toolbar and
// the popup from the browser's own window (`--allow-system-access`), where they belong.
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { Session } from '../webdriver.mjs';
import { until } from '../lab.mjs';

const root = path.resolve(import.meta.dirname, '../../..');
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target');

export const programs = {
  firefox: process.env.LATCHKEY_FIREFOX ?? '/usr/bin/firefox-esr',
  geckodriver: process.env.GECKODRIVER ?? path.join(target, 'tools/bin/geckodriver'),
  extension: process.env.LATCHKEY_FIREFOX_EXTENSION ?? path.join(root, 'dist/firefox'),
};

export const ID = JSON.parse(fs.readFileSync(path.join(root, 'manifests/extension-ids.json'), 'utf8')).firefox;

export class Firefox {
  static async start(machine) {
    const { proxy_port, ca_pem } = machine.entra.details;
    const proxy = `127.0.0.1:${proxy_port}`;
    const session = await Session.start(programs.geckodriver, ['--allow-system-access', '--log', 'fatal'], {
      // A folder for profiles that goes with the machine.
      env: { ...machine.environment, TMPDIR: machine.home },
      capabilities: {
        browserName: 'firefox',
        proxy: { proxyType: 'manual', httpProxy: proxy, sslProxy: proxy },
        timeouts: { script: 60_000, pageLoad: 120_000 },
        'moz:firefoxOptions': { binary: programs.firefox, args: ['-headless', '-width', '1200', '-height', '900'] },
      },
    });
    const firefox = new Firefox(session);
    await firefox.trust(fs.readFileSync(ca_pem, 'utf8'));
    const addon = execFileSync('python3', ['-c', ZIP, programs.extension], { maxBuffer: 64 * 1024 * 1024 });
    await session.post('/moz/addon/install', { addon: addon.toString('base64'), temporary: true });
    await until('the background has started', () => firefox.inBrowser(`async (id) =>
      WebExtensionPolicy.getByID(id)?.extension.backgroundState === 'running'`, ID));
    return firefox;
  }

  constructor(session) {
    this.session = session;
  }

  // Runs a function in the browser's own window, with the browser's rights.
  async inBrowser(body, ...args) {
    await this.session.post('/moz/context', { context: 'chrome' });
    try {
      return await this.session.evaluateAsync(body, ...args);
    } finally {
      await this.session.post('/moz/context', { context: 'content' });
    }
  }

  // The lab's certificate authority, for this profile alone.
  trust(pem) {
    const certificate = pem.match(/-----BEGIN CERTIFICATE-----([^-]+)-----END/)[1].replace(/\s/g, '');
    return this.inBrowser(`async (certificate) => {
      Cc['@mozilla.org/security/x509certdb;1'].getService(Ci.nsIX509CertDB).addCertFromBase64(certificate, 'CT,,');
    }`, certificate);
  }

  // The page in front.
  go(url) { return this.session.go(url); }
  evaluate(body, ...args) { return this.session.evaluate(body, ...args); }

  visible(selector, patience = 60_000) {
    return until(`${selector} is visible`, () => this.evaluate(`(selector) =>
      [...document.querySelectorAll(selector)].some((node) => node.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }))`, selector), patience);
  }

  // What the toolbar shows over the tab in front.
  toolbar() {
    return this.inBrowser(`async (id) => {
      const button = [...document.querySelectorAll('toolbarbutton')].find((node) => node.closest('[data-extensionid]')?.dataset.extensionid === id);
      return { badge: button.getAttribute('badge') ?? '', title: button.getAttribute('tooltiptext') ?? button.getAttribute('label') ?? '' };
    }`, ID);
  }

  // Presses the extension's button in the toolbar.
  async popup() {
    await this.inBrowser(`async (id) => {
      const button = [...document.querySelectorAll('toolbarbutton')].find((node) => node.closest('[data-extensionid]')?.dataset.extensionid === id);
      button.click();
    }`, ID);
    const popup = new Popup(this);
    await until('the popup opens', () => popup.text());
    return popup;
  }

  // The popup that is open, or else a new one.
  async openPopup() {
    const popup = new Popup(this);
    return (await popup.isOpen()) ? popup : this.popup();
  }

  // Runs a function in the worker's page; it is given `chrome` as the extension has it.
  inBackground(body) {
    return this.inBrowser(`async (id, script) => {
      const views = [...WebExtensionPolicy.getByID(id).extension.views];
      const { xulBrowser } = views.find(({ viewType }) => viewType === 'background');
      const actor = xulBrowser.browsingContext.currentWindowGlobal.getActor('MarionetteCommands');
      return actor.executeScript(script, [], { sandboxName: null, newSandbox: true, async: true, timeout: 30000 });
    }`, ID, `const done = arguments[arguments.length - 1];
      const answer = (value) => done(value === undefined ? null : value);
      Promise.resolve((${body})(window.chrome)).then(answer, (error) => answer('failed: ' + error.message));`);
  }

  // What a person would paste.
  clipboard() {
    return this.inBrowser(`async () => {
      const transfer = Cc['@mozilla.org/widget/transferable;1'].createInstance(Ci.nsITransferable);
      transfer.init(null);
      transfer.addDataFlavor('text/plain');
      Services.clipboard.getData(transfer, Ci.nsIClipboard.kGlobalClipboard);
      const data = {};
      try { transfer.getTransferData('text/plain', data); } catch { return ''; }
      return data.value.QueryInterface(Ci.nsISupportsString).data;
    }`);
  }

  // What a person does on the page of add-ons: takes the sign-in pages away.
  withholdPages() {
    return this.inBrowser(`async (id) => {
      const { ExtensionPermissions } = ChromeUtils.importESModule('resource://gre/modules/ExtensionPermissions.sys.mjs');
      const { extension } = WebExtensionPolicy.getByID(id);
      const origins = extension.manifest.host_permissions;
      await ExtensionPermissions.remove(id, { origins, permissions: [] }, extension);
    }`, ID);
  }

  // Says yes to what the browser asks on behalf of the extension.
  async answerPermissionPrompt() {
    await until('the browser asks', () => this.inBrowser(`async () => {
      const question = document.getElementById('addon-webext-permissions-notification');
      if (!question || !question.closest('panel') || question.closest('panel').state !== 'open') return false;
      question.button.click();
      return true;
    }`));
  }

  async close() {
    await this.session.stop();
  }
}

// The popup is no tab and so no window of the WebDriver protocol. The browser reaches into it as it does into tabs.
export class Popup {
  constructor(firefox) {
    this.firefox = firefox;
  }

  evaluate(body, ...args) {
    return this.firefox.inBrowser(`async (body, args) => {
      const browser = document.querySelector('browser.webextension-popup-browser');
      const actor = browser.browsingContext.currentWindowGlobal.getActor('MarionetteCommands');
      return actor.executeScript('return (' + body + ').apply(null, arguments)', args, { sandboxName: null, newSandbox: true, async: false, timeout: 10000 });
    }`, body, args);
  }

  text() {
    return this.evaluate('() => document.body.innerText');
  }

  async see(pattern, patience = 60_000) {
    let text = '';
    await until(`the popup shows ${pattern}`, async () => pattern.test(text = await this.text()), patience)
      .catch((error) => { throw new Error(`${error.message}\n--- the popup shows ---\n${text}`); });
    return text;
  }

  // A key on the keyboard, for whatever has the focus in the popup.
  press(key) {
    return this.firefox.inBrowser(`async (key) => {
      document.querySelector('browser.webextension-popup-browser').focus();
      const processor = Cc['@mozilla.org/text-input-processor;1'].createInstance(Ci.nsITextInputProcessor);
      processor.beginInputTransactionForTests(window);
      const event = new KeyboardEvent('keydown', { key, code: key });
      processor.keydown(event);
      processor.keyup(event);
    }`, key);
  }

  // Puts the focus on the button or link with this name, as the Tab key does, and presses Enter.
  async click(name) {
    await until(`a button "${name}"`, () => this.evaluate(`(name) => {
      const node = [...document.querySelectorAll('button,a,summary,[role=button]')].find((node) => (node.getAttribute('aria-label') ?? node.innerText).trim() === name);
      node?.focus();
      return !!node;
    }`, name));
    await this.press('Enter');
  }

  isOpen() {
    return this.firefox.inBrowser(`async () => !!document.querySelector('browser.webextension-popup-browser')`);
  }

  async close() {
    await this.press('Escape');
    await until('the popup closes', () => this.isOpen().then((open) => !open));
  }
}

// An add-on is a zip of its folder.
const ZIP = `
import io, pathlib, sys, zipfile
folder, archive = pathlib.Path(sys.argv[1]), io.BytesIO()
with zipfile.ZipFile(archive, 'w', zipfile.ZIP_DEFLATED) as zip:
    for file in sorted(folder.rglob('*')):
        if file.is_file(): zip.write(file, file.relative_to(folder))
sys.stdout.buffer.write(archive.getvalue())
`;
