// The table of the sign-in page (docs/pages.md), line by line and number by number, in a real browser: what is filled,
// what is clicked, what the popup says. One browser, one lab and three active accounts for the whole file: Contoso's
// signs in with a Temporary Access Pass, Fabrikam's with a password, Tailspin's with a password and a one-time code. A test opens a page as it stands, clicks in the
// popup as a person does, and reads what reached the page. No form is ever sent, so that what was clicked can be seen.
import { expect, test } from '@playwright/test';
import fs from 'node:fs';
import path from 'node:path';
import { allowCodes, codesArrive, configure } from '../codes.mjs';
import { Browser, Entra, Machine, until } from '../lab.mjs';
import { enabledWithoutLease } from './fixtures.mjs';

const root = path.resolve(import.meta.dirname, '../../..');
const words = JSON.parse(fs.readFileSync(path.join(root, 'extension/_locales/en/messages.json'), 'utf8'));
const table = fs.readFileSync(path.join(root, 'docs/pages.md'), 'utf8');
const cells = [...table.matchAll(/^\| (.*) \|$/gm)].map(([, line]) => line.split(' | '));
const LINES = cells.filter((line) => line.at(-1) === 'browser' && /^`[\w-]+`$/.test(line[0])).map(([name]) => name.slice(1, -1));
const NUMBERS = cells.filter(([number]) => /^\d+$/.test(number)).map(([number, what, said]) => ({ number, what, said: said.slice(1, -1) }));

// What the popup says by a key, whatever stands in its places.
const pattern = (text) => new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\\\$\d/g, '.*'));
// One of several: on a slow machine what is said first may be over before anybody looks.
const saying = (keys) => new RegExp([keys].flat().map((key) => pattern(words[key].message).source).join('|'));
const [SIGN_IN_HERE, SIGN_IN, STOP] = ['sign_in_here', 'start', 'stop_sign_in'].map((key) => words[key].message);

const NEXT = 'idSIButton9', BACK = 'idBtn_Back', VERIFY = 'idSubmit_SAOTCC_Continue';
const remove = (selector) => document.querySelectorAll(selector).forEach((node) => node.remove());

// A line: the page it stands for (a page of the gallery, or an address), what is filled and clicked there, and what the
// popup says when nothing is.
const pass = (page, expected) => ({ customer: 'Contoso', page, ...expected });
const password = (page, expected) => ({ customer: 'Fabrikam', page, ...expected });
const code = (page, expected) => ({ customer: 'Tailspin', page, ...expected });
const HOST = 'https://login.microsoftonline.com';
const shownBy = {
  'another-cloud': [pass('https://login.microsoftonline.us/contoso.onmicrosoft.com/gallery/access-pass', { untouched: true, says: 'page_wrong_cloud' })],
  unknown: [pass('future', { says: 'page_unknown' })],
  loading: ['raw-sign-in', 'raw-tfa', 'bsso'].map((page) => pass(page, { says: ['status_page', 'page_unknown'] })),
  moving: [pass('sliding', { says: ['status_page', 'page_changing'] }), password('password-busy', { says: ['status_page', 'page_changing'] })],
  'user-name-twice': [pass('username', {
    change: () => document.querySelector('form').append(document.querySelector('#i0116').cloneNode()), says: 'page_many_fields',
  })],
  'user-name-fixed': [pass('username', { change: () => { document.querySelector('#i0116').readOnly = true; }, says: 'status_page' })],
  'user-name-astray': [pass('username', { change: () => { document.querySelector('form').action = 'https://evil.test/'; }, says: 'page_foreign_form' })],
  'user-name': [
    pass('username', { fills: ['1/loginfmt'], clicks: [NEXT] }),
    pass('username-prefilled-other', { fills: ['1/loginfmt'], clicks: [NEXT] }),
    pass('username-german-branded', { fills: ['1/loginfmt'], clicks: [NEXT] }),
  ],
  'user-name-refused-before': [pass('username-error-50034', { fills: ['1/loginfmt'], clicks: [NEXT] })],
  'user-name-ours': [pass('username-prefilled', { clicks: [NEXT] })],
  'user-name-no-button': [pass('username-prefilled', { change: [remove, '#idSIButton9'], says: 'page_unknown' })],
  'secret-of-nobody': [password('password', { change: [remove, '#displayName'], says: ['status_page', 'page_unknown'] })],
  'secret-of-nobody-for-long': [password('password', { change: [remove, '#displayName'], says: 'page_unknown' })],
  'secret-of-other-account': [pass('password-other-user', { clicks: [BACK] }), pass('access-pass', { user: 'kim@contoso.com', clicks: [BACK] })],
  'secret-of-other-account-no-way-back': [pass('password-other-user', { change: [remove, '#idBtn_Back'], says: 'page_other_account' })],
  'password-with-pass-link': [pass('password-with-pass-link', { clicks: ['accessPassLink'] })],
  'password-with-pass-tile': [pass('password', {
    change: () => {
      const tile = Object.assign(document.createElement('div'), { textContent: 'x' });
      tile.dataset.value = 'AccessPass';
      document.querySelector('#loginHeader').append(tile);
    },
    clicks: ['AccessPass'],
  })],
  'password-with-options': [pass('password-other-ways', { clicks: ['idA_PWD_SwitchToCredPicker'] })],
  'password-no-pass': [pass('password', { clicks: [BACK] })],
  'password-no-pass-no-way-back': [pass('password', { change: [remove, '#idBtn_Back'], says: 'page_no_pass' })],
  'pass-with-password-link': [password('access-pass', { clicks: ['idA_PWD_SwitchToPassword'] })],
  'pass-no-password': [password('access-pass-shown', { says: 'page_no_password' })],
  'code-refused': [code('tfa-code-wrong', { says: 'page_code_refused' })],
  'code-ours': [code('tfa-code', { fills: ['2/otc'], clicks: [VERIFY] })],
  'methods-with-code': [code('tfa-methods', { clicks: ['PhoneAppOTP'] })],
  'factor-with-other-code': [code('tfa-text-message', { clicks: ['signInAnotherWay'] }), code('tfa-push', { clicks: ['signInAnotherWay'] })],
  'secret-refused': [pass('access-pass-error-130505', { says: 'refused_pass_used' }), password('password-error-50053', { says: 'refused_locked' })],
  secret: [
    pass('access-pass', { fills: ['56/accesspass'], clicks: [NEXT] }),
    pass('access-pass-shown', { fills: ['56/accesspass'], clicks: [NEXT] }),
    pass('tfa-access-pass', { fills: ['56/accesspass'], clicks: [NEXT] }),
    password('password', { fills: ['2/passwd'], clicks: [NEXT] }),
  ],
  picker: [pass('picker', { clicks: ['jit-alex@contoso.onmicrosoft.com'] })],
  'picker-twice': [pass('picker', {
    change: () => {
      const tile = document.querySelector('[data-test-id^=jit-alex]');
      tile.after(tile.cloneNode(true));
    },
    says: 'page_no_tile',
  })],
  'picker-other-accounts': [pass('picker-other-accounts', { clicks: ['otherTile'] }), pass('picker-empty', { clicks: ['otherTile'] })],
  'picker-no-way': [pass('picker-other-accounts', { change: [remove, '#otherTile'], says: 'page_no_tile' })],
  'work-or-personal': [pass('disambiguation', { clicks: ['aadTile'] })],
  'personal-only': [pass('disambiguation', { change: [remove, '#aadTile'], says: 'page_work_or_personal' })],
  'credentials-with-pass': [pass('credential-picker', { clicks: ['AccessPass'] })],
  'credentials-no-pass': [pass('credential-picker', { change: [remove, '[data-value=AccessPass]'], clicks: [BACK] })],
  'credentials-no-pass-no-way-back': [pass('credential-picker', { change: [remove, '[data-value=AccessPass],#idBtn_Back'], says: 'page_no_pass' })],
  'credentials-with-password': [password('credential-picker', { clicks: ['Password'] })],
  'credentials-no-password': [password('credential-picker', { change: [remove, '[data-value=Password]'], says: 'page_no_password' })],
  'stay-of-other-account': [pass('kmsi', { user: 'kim@contoso.com', says: 'page_other_account' })],
  stay: [pass('kmsi', { clicks: [BACK] })],
  'stay-no-way': [pass('kmsi', { change: [remove, '#idBtn_Back'], says: 'page_unknown' })],
  'methods-with-pass': [pass('tfa-methods', { clicks: ['AccessPass'] })],
  methods: [password('tfa-methods', { says: 'page_methods' })],
  code: [pass('tfa-code', { says: 'page_code' }), pass('tfa-text-message', { says: 'page_code' }), password('tfa-code-wrong', { says: 'page_code' })],
  approval: [pass('tfa-push', { says: 'page_approval' }), pass('remote-ngc', { says: 'page_approval' })],
  'approval-over': [pass('tfa-denied', { says: 'page_approval_over' }), pass('tfa-timeout', { says: 'page_approval_over' })],
  'more-information': [pass('proof-up', { says: 'page_proof_up' })],
  'change-password': [pass('change-password', { says: 'page_change_password' }), password('change-password', { says: 'page_change_password' })],
  consent: [pass('consent', { says: 'page_consent' })],
  'conditional-access': [pass('conditional-access', { query: 'error=53003', says: 'page_conditional_access' })],
  error: [pass('error', { query: 'error=700016', says: 'page_error' }), pass('error', { query: 'error=90002', says: 'refused_tenant' })],
  'device-code': [pass('device-code', { says: 'page_device_code' }), pass(`${HOST}/common/oauth2/deviceauth`, { says: 'page_device_code' })],
  'confirm-application': [pass('cmsi', { says: 'page_confirm_application' })],
  federated: [pass('federated', { says: 'page_federated' })],
  captcha: [pass('captcha', { says: 'page_captcha' })],
  'passkey-of-other-credential': [pass('fido', { clicks: ['idA_PWD_SwitchToCredPicker'] })],
  passkey: [pass('fido', { change: [remove, '#idA_PWD_SwitchToCredPicker'], says: 'page_passkey' })],
  'sign-out': [pass(`${HOST}/common/oauth2/v2.0/logout`, { says: 'page_sign_out' }), pass(`${HOST}/common/uxlogout`, { says: 'page_sign_out' })],
};

// ---- the one lab ----

let entra, machine, browser, page, popup, customer;

test.beforeAll(async () => {
  test.setTimeout(240_000);
  entra = await Entra.start();
  machine = new Machine(entra);
  await machine.install();
  await entra.addTenant({ name: 'Tailspin' });
  await allowCodes(entra, 'Tailspin');
  configure(machine, '[[tenants]]\ntenant = "Tailspin"\ncredential = "password_totp"\none_time_codes_beta = true\n');
  machine.accounts = {};
  for (const name of ['Contoso', 'Fabrikam', 'Tailspin']) machine.accounts[name] = await machine.addTenant(name);
  browser = await Browser.start(machine);
  page = await browser.page('about:blank');
  // Two accounts, so that signing out asks which.
  await entra.pages({ picker: [{ name: 'someone.else@contoso.com' }, { name: machine.accounts.Contoso }] });
});

test.afterAll(async () => {
  test.setTimeout(240_000);
  if (!browser) return;
  const { attempts, violations } = await entra.journal();
  await machine.latchkey(['end', '--all'], { code: null });
  await browser.close();
  const left = await enabledWithoutLease(entra, machine);
  const { conformance } = await entra.state();
  machine.forget();
  await entra.stop();
  expect(attempts, 'nothing was ever sent').toEqual([]);
  expect(violations, 'content security policy violations').toEqual([]);
  expect(left, 'accounts that are enabled although no lease says so').toEqual([]);
  expect(conformance.violations, 'every Graph exchange agrees with the schema').toEqual([]);
});

const button = (name) => `[...document.querySelectorAll('button')].find((node) => node.innerText.trim() === ${JSON.stringify(name)})`;
const press = (name) => popup.evaluate(`${button(name)}?.click()`);
const offers = (name) => popup.evaluate(`!!${button(name)}`);

const address = ({ customer, page, user, query = '' }) => (page.startsWith('https:') ? page
  : `${HOST}/${customer.toLowerCase()}.onmicrosoft.com/gallery/${page}?user=${user ?? machine.accounts[customer]}&${query}`);

// A click on a page must not lead away from it: what was clicked is read there.
async function open(row) {
  await page.goto(address(row));
  await page.evaluate(() => {
    addEventListener('submit', (event) => event.preventDefault(), true);
    addEventListener('click', (event) => event.target.closest('a') && event.preventDefault());
  });
  if (Array.isArray(row.change)) await page.evaluate(...row.change);
  else if (row.change) await page.evaluate(row.change);
}

async function stop() {
  await until('no sign-in is under way', async () => {
    await press(STOP);
    return !(await offers(STOP));
  }, 60_000);
}

// What is to be done on a page stands in the popup before the click as well: only a sign-in can be stopped.
async function begin(choices) {
  await until('a sign-in has begun', async () => {
    for (const name of choices) await press(name);
    return offers(STOP);
  });
}

// The popup of this customer, open over the one tab, with the account active and no sign-in under way.
async function ready(name) {
  if (popup && !popup.closed) await stop();
  if (customer !== name || popup.closed) {
    if (popup && !popup.closed) await popup.close();
    await page.goto(address({ customer: name, page: 'consent' }));
    popup = await browser.popup(page);
    customer = name;
    await begin([SIGN_IN, SIGN_IN_HERE]);
    await stop();
  }
  await page.goto('about:blank');
  await popup.see(saying('active_title'), 60_000);
  await until('no sign-in is offered elsewhere', async () => !(await offers(SIGN_IN_HERE)));
}

const done = () => page.evaluate(() => {
  const { fields = {}, clicks = [] } = window.__observed ?? {};
  return {
    fills: Object.keys(fields).filter((key) => fields[key].input + fields[key].change > 0),
    clicks: clicks.filter(({ trusted }) => !trusted).map(({ on }) => on),
  };
});

async function clicked() {
  await until('the page is clicked', async () => (await done()).clicks.length > 0, 30_000)
    .catch(async (error) => { throw new Error(`${error.message}\n--- the popup shows ---\n${await popup.text()}`); });
}

async function shows(row) {
  const { fills = [], clicks = [], says, untouched } = row;
  await ready(row.customer);
  await open(row);
  if (untouched) {
    await popup.see(saying(says));
    expect(await offers(SIGN_IN_HERE)).toBe(false);
  } else {
    await until('a sign-in is offered', () => offers(SIGN_IN_HERE));
    await begin([SIGN_IN_HERE]);
    if (says) await popup.see(says instanceof RegExp ? says : saying(says), 30_000);
    if (clicks.length) await clicked();
  }
  expect(await done()).toEqual({ fills, clicks });
}

test('there is a test for every line and every number of the table', () => {
  expect(Object.keys(shownBy).sort()).toEqual([...LINES].sort());
  expect(NUMBERS.length).toBeGreaterThan(20);
});

const HELD = { Contoso: 'a Temporary Access Pass', Fabrikam: 'a password', Tailspin: 'a password and a one-time code' };
for (const name of Object.keys(HELD)) {
  test.describe(HELD[name], () => {
    if (name === 'Tailspin') test.beforeAll(() => codesArrive(machine, name));

    for (const [line, rows] of Object.entries(shownBy)) {
      const own = rows.filter(({ customer }) => customer === name);
      if (!own.length) continue;
      test(line, async () => {
        for (const row of own) await test.step(row.page, () => shows(row));
      });
    }

    // Numbers of passes are told on the page of a pass, all others on that of a password.
    for (const { number, what, said } of NUMBERS) {
      if (name === 'Tailspin') break;
      if (/^130/.test(number) !== (name === 'Contoso')) continue;
      // This pass serves all the other lines: passkey.spec.mjs shows how the next credential in line takes its place.
      if (/^has the next/.test(what) && name === 'Contoso') continue;
      const [view, field] = name === 'Contoso' ? ['access-pass', '56/accesspass'] : ['password', '2/passwd'];
      const row = { customer: name, page: view, query: `error=${number}` };
      test(`AADSTS${number} ${what.split(/[:;,]/)[0]}`, async () => {
        if (/^waits/.test(what)) {
          // By itself, after the seconds that the popup counts.
          await shows({ ...row, says: ['status_not_yet', 'status_submitted'], fills: [field], clicks: [NEXT] });
        } else if (/^goes on/.test(what)) {
          await shows({ ...row, fills: [field], clicks: [NEXT] });
        } else {
          await shows({ ...row, says: pattern(said.replace('…', number)) });
          expect(await offers(words.retry.message)).toBe(/Try again/.test(what));
        }
      });
    }
  });
}

// ---- presentation ----

const main = [
  pass('username', { fills: ['1/loginfmt'], clicks: [NEXT] }),
  pass('access-pass', { fills: ['56/accesspass'], clicks: [NEXT] }),
  pass('picker', { clicks: ['jit-alex@contoso.onmicrosoft.com'] }),
  pass('kmsi', { clicks: [BACK] }),
];

async function mainLooks(query = '') {
  for (const row of main) await test.step(row.page, () => shows({ ...row, query }));
}

test.describe('presentation changes nothing', () => {
  for (const language of ['de', 'fr', 'es', 'it', 'nl', 'pt', 'pl', 'ja', 'zh', 'ko', 'ar', 'he']) {
    test(`language ${language}`, async () => {
      await mainLooks(`language=${language}`);
      const direction = await page.evaluate(() => [document.documentElement.lang, document.documentElement.dir]);
      expect(direction).toEqual([language, /ar|he/.test(language) ? 'rtl' : 'ltr']);
    });
  }

  test('branding, vertical', () => mainLooks('branded=1&vertical=1'));

  for (const [name, media, query] of [
    ['dark', { colorScheme: 'dark' }, 'theme=dark'],
    ['reduced motion', { reducedMotion: 'reduce' }],
    ['forced colours', { forcedColors: 'active' }],
  ]) {
    test(name, async () => {
      await page.emulateMedia(media);
      await mainLooks(query);
      await page.emulateMedia({ colorScheme: null, reducedMotion: null, forcedColors: null });
    });
  }

  for (const zoom of [0.5, 2]) {
    test(`zoom ${zoom}`, async () => {
      // Kept by the browser for the host, as a person's own setting.
      const set = async (zoom) => {
        await ready('Contoso');
        await page.goto(address(main[0]));
        const worker = await browser.worker();
        await worker.evaluate(async ([url, zoom]) => {
          const tabs = await chrome.tabs.query({});
          await chrome.tabs.setZoom(tabs.find((tab) => tab.url === url).id, zoom);
        }, [page.url(), zoom]);
      };
      await set(zoom);
      await mainLooks();
      expect(await page.evaluate(() => devicePixelRatio)).toBe(zoom);
      await set(1);
    });
  }
});

// ---- what moves, comes back, or is never known ----

// How often a credential left the host.
async function handedOut() {
  const entries = JSON.parse(await machine.latchkey(['audit', '--json']));
  return entries.filter(({ event }) => /^credential_/.test(event)).length;
}

test.describe('a page that moves', () => {
  test('back, forward and reload: no second credential without a word', async () => {
    const row = pass('access-pass', { fills: ['56/accesspass'], clicks: [NEXT] });
    await shows(row);
    const before = await handedOut();
    await page.goto(address(pass('consent')));
    await popup.see(saying('page_consent'));
    for (const move of ['goBack', 'goForward', 'goBack', 'reload']) {
      await page[move]();
      if (move === 'goForward') await popup.see(saying('page_consent'));
      // From the browser's cache it is the same document, else a new one that asks again.
      else await popup.see(saying(['status_submitted', 'page_asks_again']), 30_000);
    }
    expect(await done()).toEqual({ fills: [], clicks: [] });
    expect(await handedOut()).toBe(before);
  });

  test('under the cover nothing is done; without it the credential is filled', async () => {
    await shows(password('password-busy', { says: ['status_page', 'page_changing'] }));
    await page.evaluate(() => document.querySelector('.disable-lightbox').classList.remove('disable-lightbox'));
    await clicked();
    expect(await done()).toEqual({ fills: ['2/passwd'], clicks: [NEXT] });
  });

  test('two views at once: nothing is done before the old one is gone', async () => {
    await shows(password('sliding', { says: ['status_page', 'page_changing'] }));
    await page.evaluate(() => {
      document.querySelector('.pagination-view').remove();
      document.querySelector('.disable-lightbox').classList.remove('disable-lightbox');
    });
    await clicked();
    expect(await done()).toEqual({ fills: ['2/passwd'], clicks: [NEXT] });
  });
});

test('an unknown page is counted for doctor, without anything of it, and copying is offered', async () => {
  const count = async () => {
    const { findings } = JSON.parse(await machine.latchkey(['--json', 'doctor', '--offline'], { code: null }));
    const finding = findings.find(({ link }) => link === 'sign_in_page');
    return { found: finding?.found ?? '', times: Number(/so far: (\d+)/.exec(finding?.found)?.[1] ?? 0) };
  };
  const { times } = await count();
  await shows(pass('kmsi', { change: [remove, '#idBtn_Back'], says: 'page_unknown' }));
  expect(await offers(words.show_credential.message)).toBe(true);
  const { found } = await until('it is counted', async () => {
    const now = await count();
    return now.times > times && now;
  });
  expect(found).not.toMatch(/contoso|https|login\./i);
});
