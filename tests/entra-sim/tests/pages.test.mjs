// The sign-in pages in a real Chromium: does the simulated page behave as the real one is known to? Everything that the
// product's own browser tests rely on is held here, without the product.
//
//   cargo build -p entra-sim && npm --prefix tests/browser ci && node --test tests/entra-sim/tests/pages.test.mjs
//
// `LATCHKEY_CHROMIUM` names another browser, `ENTRA_SIM` another program.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';
import { after, afterEach, before, describe, test } from 'node:test';

const root = path.resolve(import.meta.dirname, '../../..');
const { chromium } = createRequire(path.join(root, 'tests/browser/package.json'))('@playwright/test');

const TENANT = 'contoso.onmicrosoft.com';
const ALICE = `alice@${TENANT}`;
const HANNA = `helpdesk@${TENANT}`;
const BOB = `bob@${TENANT}`;
const PASSWORD = 'Right-Horse-1';

const NAME = '#i0116';
const BOX = '#i0118:not(.moveOffScreen)';
const PASS = 'input[name=accesspass]';
const BUTTON = '#idSIButton9';

let entra, details, browser, pass, context, page;

async function control(route, body, method = body === undefined ? 'GET' : 'POST') {
  const response = await fetch(`http://127.0.0.1:${details.control_port}${route}`, {
    method, headers: { 'content-type': 'application/json' }, body: body && JSON.stringify(body),
  });
  assert.ok(response.ok, `${method} ${route}: ${response.status}`);
  return response.json();
}

// Graph as an app would call it, for passes: those are made nowhere else.
async function graph(method, route, body) {
  const base = `http://127.0.0.1:${details.https_port}`;
  const { id, app } = details.tenants.find(({ name }) => name === 'Contoso');
  const token = await fetch(`${base}/${id}/oauth2/v2.0/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials', client_id: app.client_id, client_secret: app.client_secret,
      scope: 'https://graph.microsoft.com/.default',
    }),
  });
  const { access_token: bearer } = await token.json();
  const response = await fetch(`${base}/v1.0${route}`, {
    method, headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' }, body: body && JSON.stringify(body),
  });
  assert.ok(response.ok, `${method} ${route}: ${response.status}`);
  return response.status === 204 ? null : response.json();
}

const givePass = (user) =>
  graph('POST', `/users/${user}/authentication/temporaryAccessPassMethods`, { lifetimeInMinutes: 60, isUsableOnce: false });

before(async () => {
  const program = process.env.ENTRA_SIM ?? path.join(process.env.CARGO_TARGET_DIR ?? path.join(root, 'target'), 'debug/entra-sim');
  entra = spawn(program, { stdio: ['ignore', 'pipe', 'inherit'] });
  details = JSON.parse((await once(readline.createInterface({ input: entra.stdout }), 'line'))[0]);
  await control('/sim/users', { user: ALICE, password: PASSWORD, add_roles: ['User Administrator'] });
  pass = (await givePass(BOB)).temporaryAccessPass;
  browser = await chromium.launch({
    executablePath: process.env.LATCHKEY_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', `--ignore-certificate-errors-spki-list=${details.ca_spki_sha256_base64},${details.leaf_spki_sha256_base64}`],
    proxy: { server: `http://127.0.0.1:${details.proxy_port}` },
  });
});

after(async () => {
  await browser?.close();
  entra?.kill();
});

async function begin(knobs = {}) {
  await control('/sim/pages', undefined, 'DELETE');
  await control('/sim/pages', { delay_ms: 20, gct_ms: 20, chunk_ms: 20, ...knobs });
  context = await browser.newContext({ ignoreHTTPSErrors: true });
  page = await context.newPage();
  page.setDefaultTimeout(15_000);
}

afterEach(async () => {
  await context?.close();
  context = undefined;
});

const open = (more = '') => page.goto(`https://portal.azure.com/?tenant=${TENANT}${more}`);

// One view, and the page is not busy.
const settled = (selector) => page.waitForFunction((selector) => {
  const cover = document.querySelector('.lightbox-cover');
  return document.querySelector(selector) && document.querySelectorAll('.pagination-view').length === 1 && !cover.classList.contains('disable-lightbox');
}, selector);

async function next(user) {
  await settled(NAME);
  await page.fill(NAME, user);
  await page.click(BUTTON);
}

async function passOf(user, code) {
  await next(user);
  await settled(PASS);
  await page.fill(PASS, code);
  await page.click(BUTTON);
}

// What code in the page's own world does.
const write = (selector, value, ...events) => page.evaluate(([selector, value, events]) => {
  const element = document.querySelector(selector);
  element.value = value;
  for (const type of events) element.dispatchEvent(new Event(type, { bubbles: true }));
}, [selector, value, events]);

const press = () => page.evaluate((selector) => document.querySelector(selector).click(), BUTTON);
const view = () => page.evaluate(() => document.querySelector('[data-viewid]').dataset.viewid);
const journal = async () => (await control('/sim/pages')).journal;

describe('the main path', () => {
  test('a pass, typed by a person: portal, roles, No', async () => {
    await begin();
    await open();
    await passOf(BOB, pass);
    await page.waitForSelector('#KmsiDescription');
    await page.click('#idBtn_Back');
    assert.equal(await page.textContent('#signed-in-as'), BOB);
    assert.equal(await page.getAttribute('#credential', 'data-kind'), 'access_pass');
    const { attempts, stay_signed_in: stay, violations } = await journal();
    const [attempt] = attempts.filter(({ host }) => host === 'login.microsoftonline.com');
    assert.deepEqual([attempt.fields, attempt.matched, attempt.view, attempt.observed.tamperedDecoys], [['accesspass'], true, '56', 0]);
    assert.equal(stay[0].stay, false);
    assert.deepEqual(violations, []);
  });

  test('a password: refused once on its own view, then registration, then the portal', async () => {
    await begin();
    await open();
    await next(ALICE);
    await settled(BOX);
    await page.fill(BOX, 'wrong');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#passwordError');
    assert.equal(await view(), '2');
    assert.equal(await page.getAttribute('#displayName', 'title'), ALICE);
    assert.equal(await page.inputValue(BOX), '');
    await page.fill(BOX, PASSWORD);
    await page.click(BUTTON);
    await page.click('#idSubmit_ProofUp_Redirect');
    await page.click('#registered');
    await page.waitForSelector('#KmsiDescription');
    await page.click(BUTTON);
    assert.match(await page.textContent('#roles'), /User Administrator/);
  });

  test('through a window of its own', async () => {
    await begin({ kmsi: false });
    const opener = page;
    await opener.goto(`https://entra.microsoft.com/popup?tenant=${TENANT}`);
    [page] = await Promise.all([opener.waitForEvent('popup'), opener.click('#sign-in')]);
    await passOf(BOB, pass);
    assert.equal(await opener.textContent('#signed-in-as'), BOB);
  });

  test('after one reload with sso_reload', async () => {
    await begin({ sso_reload: true });
    await open();
    await settled(NAME);
    assert.match(page.url(), /&sso_reload=true$/);
  });
});

describe('the model takes values from events only', () => {
  test('a value without an event does not exist', async () => {
    await begin();
    await open();
    await settled(NAME);
    await write(NAME, ALICE);
    await press();
    await page.waitForSelector('#usernameError');
  });

  test('textInput needs input, value needs change', async () => {
    await begin();
    await open();
    await settled(NAME);
    await write(NAME, BOB, 'input');
    await press();
    await settled(PASS);
    await write(PASS, pass, 'input');
    await press();
    await page.waitForSelector('.alert-error');
    await settled(PASS);
    await write(PASS, pass, 'input', 'change');
    await press();
    await page.waitForSelector('#KmsiDescription');
  });

  test('an isolated world signs in with input and change', async () => {
    await begin({ kmsi: false });
    await open();
    await settled(NAME);
    const session = await context.newCDPSession(page);
    const { frameTree } = await session.send('Page.getFrameTree');
    const { executionContextId: contextId } = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id });
    const fill = (selector, value) => session.send('Runtime.evaluate', {
      contextId,
      expression: `{ const box = document.querySelector(${JSON.stringify(selector)}); box.focus(); box.value = ${JSON.stringify(value)};
        for (const type of ['input', 'change']) box.dispatchEvent(new Event(type, { bubbles: true })); document.querySelector('${BUTTON}').click(); }`,
    });
    await fill(NAME, BOB);
    await settled(PASS);
    await fill(PASS, pass);
    assert.equal(await page.textContent('#signed-in-as'), BOB);
  });

  test('a controlled box ignores the page’s own world and takes a person’s keys', async () => {
    await begin({ future: true, kmsi: false });
    await open();
    await page.waitForSelector('#usernameEntry');
    await write('#usernameEntry', 'x', 'input', 'change');
    assert.equal(await page.inputValue('#usernameEntry'), '');
    await page.locator('#usernameEntry').pressSequentially(BOB);
    await page.keyboard.press('Enter');
    await page.locator('#secretEntry').pressSequentially(pass);
    await page.keyboard.press('Enter');
    assert.equal(await page.textContent('#signed-in-as'), BOB);
  });
});

describe('decoys', () => {
  test('the hidden user name takes a write back and empties the password', async () => {
    await begin();
    await open();
    await next(ALICE);
    await settled(BOX);
    await page.fill(BOX, PASSWORD);
    await write('input[name=loginfmt].moveOffScreen', 'somebody', 'change');
    await page.waitForFunction((box) => document.querySelector(box).value === '', BOX);
    assert.equal(await page.inputValue('input[name=loginfmt].moveOffScreen'), ALICE);
    const observed = await page.evaluate(() => window.__observed.fields);
    assert.equal(observed['2/loginfmt:decoy'].change, 1);
  });

  test('a password left in the user name view is carried along', async () => {
    await begin();
    await open();
    await settled(NAME);
    await write('#i0118.moveOffScreen', 'carried', 'input');
    await next(ALICE);
    await settled(BOX);
    assert.equal(await page.inputValue(BOX), 'carried');
  });

  test('they have a box, are not display:none and are not opaque', async () => {
    await begin();
    await open();
    await settled(NAME);
    const decoy = await page.evaluate(() => {
      const element = document.querySelector('#i0118.moveOffScreen');
      const { width, height } = element.getBoundingClientRect();
      return [width > 0 && height > 0, getComputedStyle(element).display !== 'none', element.checkVisibility(), element.checkVisibility({ opacityProperty: true }), element.offsetParent];
    });
    assert.deepEqual(decoy, [true, true, true, false, null]);
  });
});

describe('views', () => {
  test('two of them stand side by side with the same ids while the page is busy', async () => {
    await begin({ overlap_ms: 700 });
    await open();
    await next(ALICE);
    await page.waitForFunction(() => document.querySelectorAll('#i0118').length === 2 && document.querySelector('.lightbox-cover.disable-lightbox'));
    await settled(BOX);
    assert.equal(await page.locator('#i0118').count(), 1);
  });

  test('Back and Next ask again, so a pass made meanwhile is offered', async () => {
    await begin();
    await open();
    const address = page.url();
    await next(ALICE);
    await settled(BOX);
    assert.equal(await page.locator('#accessPassLink').count(), 0);
    const made = await givePass(ALICE);
    await page.click('#idBtn_Back');
    await settled(NAME);
    assert.equal(await page.inputValue(NAME), ALICE);
    await page.click(BUTTON);
    await settled(PASS);
    assert.equal(await view(), '56');
    await page.click('#idA_PWD_SwitchToPassword');
    await settled(BOX);
    await page.click('#accessPassLink');
    await settled(PASS);
    assert.equal(page.url(), address);
    await graph('DELETE', `/users/${ALICE}/authentication/temporaryAccessPassMethods/${made.id}`);
  });

  test('a login_hint begins with the pass, whose box may turn into text', async () => {
    await begin();
    await open(`&login_hint=${BOB}`);
    await settled(PASS);
    const id = await page.getAttribute(PASS, 'id');
    await page.check('label input[type=checkbox]');
    assert.equal(await page.getAttribute(PASS, 'type'), 'text');
    await open(`&login_hint=${BOB}`);
    await settled(PASS);
    assert.notEqual(await page.getAttribute(PASS, 'id'), id);
  });

  test('of several other ways only the last link is shown, and opens the list', async () => {
    await begin({ extra_credentials: ['Fido', 'CertAuth'] });
    await open();
    await next(ALICE);
    await settled(BOX);
    assert.equal(await page.locator('#idA_PWD_SwitchToFido').count(), 0);
    await page.click('#idA_PWD_SwitchToCredPicker');
    await settled('#credentialList');
    assert.equal(await view(), '24');
    await page.click('#credentialList [data-value=FidoKey]');
    await settled('[data-viewid="23"]');
  });

  test('the picker leads to an account or to another one', async () => {
    await begin({ picker: [{ name: `else@${TENANT}` }, { name: ALICE }] });
    await open();
    await settled('#tilesHolder');
    await page.click(`[data-test-id="${ALICE}"]`);
    await settled(BOX);
    assert.equal(await page.getAttribute('#displayName', 'title'), ALICE);
    await open();
    await settled('#otherTile');
    await page.click('#otherTile');
    await settled(NAME);
  });

  test('work or personal', async () => {
    await begin({ if_exists: 6 });
    await open();
    await next(ALICE);
    await settled('#msaTile');
    await page.click('#aadTile');
    await settled(BOX);
  });

  test('nobody of that name, and too many questions', async () => {
    await begin();
    await open();
    await next(`nobody@${TENANT}`);
    await page.waitForSelector('#usernameError');
    await control('/sim/pages', { if_exists: 2 });
    await next(ALICE);
    await page.waitForSelector('#usernameError');
    assert.equal(await view(), '1');
  });

  test('a federated user leaves for the organisation’s own page', async () => {
    await begin();
    await open();
    await next('carol@fed.contoso.com');
    await page.waitForSelector('#passwordInput');
    assert.equal(new URL(page.url()).host, 'adfs.fed.contoso.com');
  });
});

describe('between the credential and the portal', () => {
  for (const [interrupt, mark] of [
    ['change_password', '#currentPassword'], ['consent', '.scopes'], ['conditional_access', '#errorCode'],
    ['error', '#service_exception_message'], ['cmsi', '#cmsiTitle'], ['proof_up', '#idSubmit_ProofUp_Redirect'],
  ]) {
    test(interrupt, async () => {
      await begin({ interrupt });
      await open();
      await passOf(BOB, pass);
      await page.waitForSelector(mark);
    });
  }

  test('MFA: a notification with a number', async () => {
    await begin({ interrupt: 'tfa_code' });
    await open();
    await passOf(BOB, pass);
    await settled('#idTxtBx_SAOTCC_OTC');
    await page.click('#signInAnotherWay');
    await settled('#idDiv_SAOTCS_Proofs');
    await page.click('[data-value=PhoneAppNotification]');
    await settled('#idRichContext_DisplaySign');
    assert.match(await page.textContent('#idRichContext_DisplaySign'), /^\d\d$/);
    await control('/sim/pages', { push: 'approved' });
    await page.waitForSelector('#KmsiDescription');
  });

  test('the device code page goes its own way', async () => {
    await begin();
    await page.goto('https://login.microsoftonline.com/common/oauth2/deviceauth');
    await page.fill('#otc', 'ABCDEFGH');
    await page.click(BUTTON);
    await page.waitForSelector('#cmsiTitle');
    await page.click(BUTTON);
    await page.waitForSelector('#message');
  });
});

describe('hostile surroundings', () => {
  test('the policy stops an inline script and the violation is kept', async () => {
    await begin();
    await open();
    await settled(NAME);
    await page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'window.ran = true';
      document.head.append(script);
    });
    assert.equal(await page.evaluate(() => window.ran), undefined);
    while ((await journal()).violations.length === 0) await page.waitForTimeout(50);
  });

  test('a framed page stays hidden even without X-Frame-Options', async () => {
    await begin({ xfo_off: true });
    const arrived = page.waitForEvent('framenavigated', (frame) => frame.url().includes('/authorize?'));
    await page.goto('https://portal.evil.test/');
    const frame = await arrived;
    await frame.waitForLoadState();
    assert.equal(await frame.evaluate(() => document.body.style.display), 'none');
  });

  test('look-alikes serve the whole thing, on another port and without TLS too', async () => {
    await begin();
    for (const origin of [
      'https://login.microsoftonline.com.evil.test', 'https://login.microsoftonline.com:8443', 'http://login.microsoftonline.com',
      'https://login.microsoftonline.com.', 'https://contoso.ciamlogin.com',
    ]) {
      await page.goto(`${origin}/organizations/oauth2/v2.0/authorize`);
      await settled(NAME);
      await page.goto(`${origin}/gallery/password`);
      assert.equal(await page.locator(BOX).count(), 1, origin);
    }
  });
});

test('right to left, dark, at the side', async () => {
  await begin({ language: 'ar', theme: 'dark', layout: 'vertical', reduced_motion: true });
  await open();
  await settled(NAME);
  assert.equal(await page.evaluate(() => document.documentElement.dir), 'rtl');
  await next(BOB);
  await settled(PASS);
});

test('signing out asks which account', async () => {
  await begin({ kmsi: false, picker: [{ name: `else@${TENANT}` }] });
  await open('&prompt=login');
  await passOf(BOB, pass);
  await page.click('#sign-out');
  await settled('#tilesHolder');
  await page.click(`[data-test-id="${BOB}"]`);
  await page.waitForSelector('#message');
});

// Chromium's own virtual authenticator: it signs as any security key does, and knows nothing of this project.
describe('a passkey', () => {
  let device, authenticatorId, key;

  afterEach(async () => {
    await control('/sim/policies', { tenant: 'Contoso', conditional_access: [] });
    if (key) {
      await graph('DELETE', `/users/${HANNA}/authentication/fido2Methods/${key.id}`);
      key = undefined;
    }
  });

  async function plugIn() {
    // A sign-in with a key crosses five pages.
    page.setDefaultTimeout(60_000);
    device = await context.newCDPSession(page);
    await device.send('WebAuthn.enable');
    ({ authenticatorId } = await device.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2', transport: 'usb', hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    }));
  }

  // A key for Hanna, made in this browser and registered on her behalf through Graph.
  async function register() {
    const { app } = details.tenants.find(({ name }) => name === 'Contoso');
    await control('/sim/apps', { tenant: 'Contoso', permissions: [...app.permissions, 'UserAuthMethod-Passkey.ReadWrite.All'] });
    const methods = `/users/${HANNA}/authentication/fido2Methods`;
    const { publicKey } = await graph('GET', `${methods}/creationOptions`);
    await page.goto(`https://${publicKey.rp.id}/gallery/error`);
    const publicKeyCredential = await page.evaluate(async (options) => {
      const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (character) => character.charCodeAt(0));
      const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
      const { id, response } = await navigator.credentials.create({
        publicKey: {
          rp: options.rp,
          user: { ...options.user, id: bytes(options.user.id) },
          challenge: bytes(options.challenge),
          pubKeyCredParams: options.pubKeyCredParams,
          authenticatorSelection: options.authenticatorSelection,
          attestation: 'none',
        },
      });
      return {
        id,
        response: { clientDataJSON: text(response.clientDataJSON), attestationObject: text(response.attestationObject) },
        clientExtensionResults: {},
      };
    }, publicKey);
    key = await graph('POST', methods, { displayName: 'A virtual key', publicKeyCredential });
  }

  test('comes first, is asked for on the other host under the strict policy, and opens the portal', async () => {
    await begin({ kmsi: false });
    await plugIn();
    await register();
    await open();
    await next(HANNA);
    assert.equal(await page.textContent('#signed-in-as'), HANNA);
    assert.equal(await page.getAttribute('#credential', 'data-kind'), 'passkey');
    const { attempts, pages, violations } = await journal();
    assert.deepEqual(attempts.map(({ host, fields, view, matched }) => [host, fields, view, matched]),
      [['login.microsoftonline.com', ['assertion'], '23', true]]);
    assert.ok(pages.some(({ host, path: at }) => host === 'login.microsoft.com' && at.endsWith('/fido/get')));
    assert.deepEqual(violations, []);
  });

  test('that is not verified opens nothing, and the page can try again', async () => {
    await begin({ kmsi: false });
    await plugIn();
    await register();
    await device.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
    await open();
    await next(HANNA);
    await page.waitForSelector('.alert-error');
    assert.equal(await view(), '23');
    assert.deepEqual((await journal()).attempts, []);
    await device.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: true });
    await page.click('[data-bind="click: tryAgain"]');
    assert.equal(await page.textContent('#signed-in-as'), HANNA);
  });

  test('is found without a name, by way of the sign-in options', async () => {
    await begin({ kmsi: false });
    await plugIn();
    await register();
    await open();
    await settled(NAME);
    await page.click('[data-test-id=signinOptions]');
    await page.click('[data-value=FidoKey]');
    assert.equal(await page.textContent('#signed-in-as'), HANNA);
  });

  test('is asked for after a password where a policy wants what withstands phishing', async () => {
    await begin({ kmsi: false });
    await plugIn();
    await register();
    await control('/sim/users', { user: HANNA, password: PASSWORD });
    await control('/sim/policies', {
      tenant: 'Contoso',
      conditional_access: [{
        displayName: 'Withstands phishing', state: 'enabled',
        conditions: { users: { includeUsers: ['All'] }, applications: { includeApplications: ['MicrosoftAdminPortals'] } },
        grantControls: { operator: 'OR', builtInControls: [], authenticationStrength: { id: '00000000-0000-0000-0000-000000000004' } },
      }],
    });
    await open();
    await next(HANNA);
    await page.waitForSelector('#signed-in-as');
    await context.clearCookies();
    await control('/sim/pages', { pref_credential: 1 });
    await open();
    await next(HANNA);
    await settled(BOX);
    await page.fill(BOX, PASSWORD);
    await page.click(BUTTON);
    await page.click('#idDiv_SAOTCS_Proofs [data-value=FidoKey]');
    assert.equal(await page.getAttribute('#credential', 'data-kind'), 'password_passkey');
  });
});
