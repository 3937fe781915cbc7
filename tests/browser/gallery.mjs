// Every state of the popup and of the options page, drawn by the built extension's own files from made-up views: no
// host, no worker's say, the same every time. Only the two small scripts that connect the pages to the worker and to
// the host are exchanged, in a copy.
import { chromium } from '@playwright/test';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { EXTENSION_ID, programs } from './lab.mjs';

// A Tuesday morning; the lease below has 3 h 12 min left.
export const NOW = Date.UTC(2026, 10, 24, 9, 30);
const UNTIL = NOW + (3 * 60 + 12) * 60_000;
const ERRORS = Object.fromEntries(JSON.parse(fs.readFileSync(path.resolve(import.meta.dirname, '../../protocol/fixtures/error-codes.json'), 'utf8')).map(([number, name]) => [name, number]));

const text = (key, ...args) => ({ key, args });
const steps = (...states) => ['step_activate', 'step_user_name', 'step_next', 'step_credential', 'step_stay', 'step_portal']
  .map((label, place) => ({ label: text(label), state: states[place] }));

// Tenants and leases as the host tells them.
let count = 0;
const tenant = (name, domain, more) => ({
  tenant_id: `0b6dd2b3-5a3c-4c7e-9f43-${(++count).toString().padStart(12, '0')}`, name, domains: [domain], cloud: 'global',
  user_name: `jit-alex@${domain}`, roles: ['User Administrator', 'Exchange Administrator'], minutes: 240, maximum_minutes: 480,
  credential: { kind: 'temporary_access_pass' }, ...more,
});
const lease = (of, state, more) => ({
  lease_id: `0193a6f0-8a10-7c3e-b0a4-${of.tenant_id.slice(-12)}`, tenant_id: of.tenant_id, tenant_name: of.name,
  user_name: of.user_name, roles: of.roles, state, credential: 'temporary_access_pass', credential_held: true,
  from: UNTIL - 240 * 60_000, until: UNTIL, ...more,
});
const contoso = tenant('Contoso', 'contoso.onmicrosoft.com');
const fabrikam = tenant('Fabrikam', 'fabrikam.com', {
  credential: { kind: 'password', because: 'The tenant does not allow Temporary Access Passes.' },
  credential_expires: NOW + 12.5 * 24 * 3_600_000, reason_required: true, ticket_pattern: 'INC-[0-9]+',
  profiles: [
    { name: 'Helpdesk', roles: ['Helpdesk Administrator'], minutes: 60, maximum_minutes: 240 },
    { name: 'Exchange', roles: ['Exchange Administrator'], groups: ['SG-Support'], minutes: 120, maximum_minutes: 240 },
  ],
});
const northwind = tenant('Northwind Traders', 'northwind.example');
const tenants = [
  contoso, fabrikam, northwind, tenant('Adventure Works', 'adventure-works.com'), tenant('Tailspin Toys', 'tailspintoys.com'),
  tenant('Wide World Importers', 'wideworldimporters.com'),
];
const problem = (code, name, message, next_step) => ({
  code, name, message, next_step, tenant: 'Contoso', graph_request_id: '8f0c2b77-1f6b-4c7e-9f43-5d1f6f0c2b77',
});
const progress = {
  screen: 'progress', tenant_name: 'Contoso', user_name: contoso.user_name,
  steps: steps('done', 'done', 'done', 'running', 'waiting', 'waiting'), credential: 'temporary_access_pass',
  status: text('status_filling'), needs_person: false, can_retry: false, lease_id: lease(contoso, 'active').lease_id,
};
const active = { screen: 'active', lease_id: lease(contoso, 'usable').lease_id, on_sign_in_page: false, page: text('signed_in') };
const secret = { credential: 'temporary_access_pass', user_name: contoso.user_name, value: 'Mk7&pQz!42xW' };

// The popup's screens by the name of their picture: a view, and the leases that are open meanwhile.
export const popupStates = {
  connecting: { view: { screen: 'connecting' } },
  choose: {
    view: { screen: 'choose_tenant', on_sign_in_page: false },
    leases: [lease(contoso, 'usable'), lease(northwind, 'ending')],
  },
  confirm: { view: { screen: 'confirm', tenant_id: contoso.tenant_id, on_sign_in_page: true } },
  'confirm-asking': { view: { screen: 'confirm', tenant_id: fabrikam.tenant_id, on_sign_in_page: false } },
  progress: { view: progress, leases: [lease(contoso, 'active')] },
  'needs-you': {
    view: {
      ...progress, steps: steps('done', 'done', 'done', 'failed', 'waiting', 'waiting'), status: text('refused_credential'),
      needs_person: true, can_retry: true,
    },
    leases: [lease(contoso, 'active')],
  },
  active: { view: active, leases: [lease(contoso, 'usable')] },
  credential: { view: { ...active, page: undefined }, leases: [lease(contoso, 'usable')], secret },
  ending: { view: { screen: 'ending', lease_id: active.lease_id }, leases: [lease(contoso, 'ending')] },
  stuck: {
    view: { screen: 'ending', lease_id: active.lease_id },
    leases: [lease(contoso, 'stuck', {
      problem: problem(ERRORS.ending_unverified, 'ending_unverified', 'Microsoft Graph has not confirmed that the account is disabled.', 'Disable the account in the Entra admin center.'),
    })],
  },
  problem: {
    view: {
      screen: 'problem',
      problem: problem(ERRORS.client_secret_expired, 'client_secret_expired', 'AADSTS7000222: The client secret has expired.', "Run 'latchkey tenant credential rotate Contoso'."),
    },
  },
  'who-is-there': {
    view: {
      ...progress, credential: 'passkey', status: text('page_person'), needs_person: true,
      person: { verified: false, pin_set: true, wrong: true, tries_left: 2 },
    },
    leases: [lease(contoso, 'active', { credential: 'passkey' })],
  },
  'next-in-line': { view: { ...progress, replaced: 'passkey' }, leases: [lease(contoso, 'active')] },
  'host-missing': {
    view: {
      screen: 'host_missing', title: text('host_missing'), advice: text('host_missing_advice'),
      detail: 'Specified native messaging host not found.',
    },
  },
};

const findings = [
  ['program', 'good', '/usr/bin/latchkey 0.1.0'],
  ['browser', 'good', 'Chromium starts this program'],
  ['schedule', 'broken', 'Nothing ends leases on schedule.', "Run 'latchkey install'."],
  ['key_store', 'good', 'Secret Service, unlocked'],
  ['store', 'good', 'latchkey.db, sound; 412 audit entries, none missing'],
  ['disk', 'warning', '14 MB are free where the database is.', 'Make room: an ending must be written down.'],
  ['network', 'good', 'login.microsoftonline.com and graph.microsoft.com answer'],
].map(([link, state, found, next_step]) => ({ link, state, found, next_step }));
const reply = (id, reply) => ({ kind: 'reply', id, reply });

// The options page: what the browser knows, what the host answers, and how its connection ends.
export const optionsStates = {
  options: { known: { own: {}, managed: {} } },
  'options-managed': { known: { own: { theme: 'dark' }, managed: { auto_submit: false, stay_signed_in: 'no', minutes: 60 } } },
  'options-tested': {
    known: { own: { minutes: 90 }, managed: {} },
    said: [reply(1, { reply: 'welcome', protocol: 1, host_version: '0.1.0' }), reply(2, { reply: 'findings', findings })],
  },
  'options-no-host': { known: { own: {}, managed: {} }, said: [], gone: 'Specified native messaging host not found.' },
};

const POPUP = `
import init, { PopupHandle } from './popup_view.js';
import { dress } from './looks.js';
await Promise.all([dress(), init({ module_or_path: chrome.runtime.getURL('popup_view_bg.wasm') })]);
globalThis.handle = new PopupHandle(document.getElementById('app'));
`;
const OPTIONS = `
import init, { OptionsHandle } from './popup_view.js';
import { dress } from './looks.js';
await Promise.all([dress(), init({ module_or_path: chrome.runtime.getURL('popup_view_bg.wasm') })]);
globalThis.handle = new OptionsHandle(document.getElementById('options'), () => {});
`;

export class Gallery {
  static async open() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'latchkey-gallery-'));
    const extension = path.join(folder, 'extension');
    fs.cpSync(programs.extension, extension, { recursive: true });
    fs.writeFileSync(path.join(extension, 'popup.js'), POPUP);
    fs.writeFileSync(path.join(extension, 'options.js'), OPTIONS);
    const context = await chromium.launchPersistentContext(path.join(folder, 'profile'), {
      executablePath: programs.chromium, headless: false, viewport: { width: 360, height: 1000 }, locale: 'en-US',
      timezoneId: 'Europe/Berlin',
      args: [
        '--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--lang=en-US',
        `--disable-extensions-except=${extension}`, `--load-extension=${extension}`,
      ],
    });
    const page = context.pages()[0] ?? await context.newPage();
    return new Gallery(folder, context, page);
  }

  constructor(folder, context, page) {
    Object.assign(this, { folder, context, page });
    // What the page complains about.
    this.errors = [];
    page.on('pageerror', (error) => this.errors.push(error.message));
  }

  // Opens one of the pages as somebody with these preferences sees it.
  async visit(name, { theme, language, dir, width, zoom } = {}) {
    const { page } = this;
    const address = `chrome-extension://${EXTENSION_ID}/${name}.html`;
    await page.setViewportSize({ width: width ?? (name === 'popup' ? 360 : 780), height: 1000 });
    await page.goto(address);
    await page.evaluate((preferences) => chrome.storage.local.set({ preferences }), { theme, language });
    await page.reload();
    await page.waitForFunction(() => 'handle' in globalThis);
    await page.evaluate(([dir, zoom]) => {
      document.documentElement.dir = dir;
      document.documentElement.style.fontSize = zoom;
    }, [dir ?? 'ltr', zoom ?? '']);
  }

  async popup({ view, leases = [], secret }) {
    await this.page.evaluate(([view, leases, tenants, secret, now]) => {
      const receive = (effect) => handle.receive(JSON.stringify(effect));
      handle.hide_secret();
      handle.set_preferences(JSON.stringify({ pinned: [tenants[0].tenant_id] }), true);
      handle.tick(now);
      handle.list(JSON.stringify(tenants));
      receive({ type: 'update_popup', view, leases });
      if (secret) receive({ type: 'show_secret', ...secret });
    }, [view, leases, tenants, secret, NOW]);
  }

  async options({ known, said, gone }) {
    await this.page.evaluate(([known, said, gone]) => {
      handle.show(JSON.stringify(known));
      if (said) document.querySelector('[data-do=examine]').click();
      said?.forEach((frame) => handle.host_said(JSON.stringify(frame)));
      if (gone) handle.host_gone(gone);
    }, [{ version: '0.1.0', shortcut: 'Alt+Shift+K', ...known }, said, gone]);
  }

  async picture(file) {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    await this.page.evaluate(() => document.activeElement?.blur());
    // As wide and high as the browser makes the popup, and without a scroll bar.
    const size = this.page.viewportSize();
    const [width, height] = await this.page.evaluate(() => [
      document.getElementById('app') ? Math.ceil(document.body.getBoundingClientRect().width) : innerWidth,
      Math.ceil(document.querySelector('main').getBoundingClientRect().bottom + scrollY),
    ]);
    await this.page.setViewportSize({ width, height: Math.max(height, 100) });
    await this.page.screenshot({ path: file, animations: 'disabled' });
    await this.page.setViewportSize(size);
  }

  async close() {
    await this.context.close();
    fs.rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
