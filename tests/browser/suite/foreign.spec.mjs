// Sign-in pages that the lab did not make. They stand on the genuine host and are written here from the public facts alone
// (names, ids, attributes, events), each with other details than the lab's: another engine, hidden boxes of another kind,
// attributes that are missing, views that come late or are drawn anew. The account is active and holds a Temporary
// Access Pass. What counts is what the page's own model posts: it takes values from events only.
import { expect, test } from '@playwright/test';
import fs from 'node:fs';
import path from 'node:path';
import { Browser, Entra, Machine, until } from '../lab.mjs';
import { enabledWithoutLease } from './fixtures.mjs';

const root = path.resolve(import.meta.dirname, '../../..');
const words = JSON.parse(fs.readFileSync(path.join(root, 'extension/_locales/en/messages.json'), 'utf8'));
const message = (key) => words[key].message;
const HOST = 'https://login.microsoftonline.com';

let entra, machine, browser, page, popup, account, posts;

test.beforeAll(async () => {
  test.setTimeout(240_000);
  entra = await Entra.start();
  machine = new Machine(entra);
  await machine.install();
  account = await machine.addTenant('Contoso');
  machine.accounts = { Contoso: account };
  browser = await Browser.start(machine);
  page = await browser.page();
  await page.route(`${HOST}/**`, answer);
});

test.afterAll(async () => {
  test.setTimeout(240_000);
  if (!browser) return;
  await machine.latchkey(['end', '--all'], { code: null });
  await browser.close();
  const left = await enabledWithoutLease(entra, machine);
  machine.forget();
  await entra.stop();
  expect(left, 'accounts that are enabled although no lease says so').toEqual([]);
});

// ---- the server of the pages ----

let site;

async function answer(route) {
  const request = route.request();
  const { pathname } = new URL(request.url());
  if (!request.isNavigationRequest()) return route.fulfill({ status: 404, body: '' });
  if (request.method() === 'POST') posts.push({ path: pathname, ...Object.fromEntries(new URLSearchParams(request.postData() ?? '')) });
  const body = pathname === '/kmsi' ? '<!doctype html><title>Done</title><p>Done'
    : pathname === '/common/login' ? engine({ ...site.options, first: 'kmsi', pgid: 'KmsiInterrupt' })
      : site.document ?? engine({ first: 'name', ...site.options });
  return route.fulfill({ contentType: 'text/html; charset=utf-8', body });
}

// A document as a server sends it: a configuration, no form, and the script that draws one after `load`.
function engine({ pgid = 'ConvergedSignIn', config, meta = true, ...options }) {
  const written = config ?? `$Config={"pgid":"${pgid}","sErrorCode":"50058","urlPost":"/common/login","sPOST_Username":"${options.posted ?? ''}"};`;
  return `<!-- Copyright (C) Microsoft Corporation --><!doctype html><html><head><title>Sign in</title>
${meta ? `<meta name="PageID" content="${pgid}">` : ''}
<script>//<![CDATA[
${written}
//]]></script>
<script>window.trace = function (e) { return e && e.$Config; };</script>
<style>
  body { font: 15px sans-serif; margin: 60px } input, button { font: inherit; padding: 6px 10px }
  .moveOffScreen { position: fixed; bottom: 0; right: 0; height: 0 !important; width: 0 !important; overflow: hidden; opacity: 0 }
</style></head><body><script>(${draw})(${JSON.stringify({ account, ...options })});</script></body></html>`;
}

// The page's own script. `o` says what is unusual about it.
function draw(o) {
  const model = { loginfmt: '', passwd: '', accesspass: '' };
  const touched = [];
  const native = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value');
  const hidden = {
    class: 'class="moveOffScreen" tabindex="-1" aria-hidden="true"',
    far: 'style="position:absolute;left:-9999px;top:40px"',
    faint: 'style="opacity:0;position:absolute;top:10px"',
    speck: 'style="width:4px;height:4px;padding:0;border:0"',
    unseen: 'style="visibility:hidden"',
    gone: 'hidden',
  };
  const decoy = (name, type) => (o.decoy === 'cut' ? `<div style="height:0;overflow:hidden"><input name="${name}" type="${type}" data-decoy></div>`
    : `<input name="${name}" type="${type}" data-decoy ${hidden[o.decoy ?? 'class']}>`);
  const id = (name) => (o.nameless ? '' : `id="${name}"`);
  const error = (name) => (o.emptyErrors ? `<div id="${name}" class="alert-error" style="padding:8px"></div>` : '');
  const next = '<!-- ko if: true --><input type="submit" id="idSIButton9" value="x"><!-- /ko -->';
  const button = o.react ? '<button type="submit" id="idSIButton9" disabled><span>x</span></button>' : next;
  const banner = o.anonymous ? '' : `<button type="button" id="idBtn_Back">x</button><div id="displayName" title="${o.account}">${o.account}</div>`;
  const peek = o.peek ? '<button type="button" style="position:absolute;right:4px;top:4px;width:30px">o</button>' : '';
  const views = {
    name: ['1', `${error('usernameError')}<!-- ko --><input ${id('i0116')} name="loginfmt" type="email"><!-- /ko -->${decoy('passwd', 'password')}${decoy('loginfmt', 'text')}${button}`],
    pass: ['56', `${banner}${error('passwordError')}${decoy('loginfmt', 'text')}${decoy('passwd', 'password')}
      <div style="position:relative;width:320px"><input name="accesspass" type="${o.shown ? 'text' : 'password'}" style="width:100%;box-sizing:border-box">${peek}</div>${button}`],
    kmsi: ['', `${o.anonymous ? '' : `<div id="displayName" title="${o.account}">${o.account}</div>`}<div id="KmsiDescription">x</div><input type="checkbox" id="KmsiCheckboxField" name="DontShowAgain">
      <input type="hidden" name="LoginOptions" value="1"><input type="button" id="idBtn_Back" value="x"><input type="submit" id="idSIButton9" value="x">`],
    tiles: ['12', `<div id="tilesHolder" role="list"><div class="row tile" role="listitem" data-test-id="someone@contoso.com"><div class="table">s</div></div>
      <div class="row tile" role="listitem" data-test-id="${o.account}" style="padding:9px"><div class="table" data-test-id="${o.account}" style="padding:9px"><span>${o.account}</span></div></div></div><div id="otherTile">x</div>`],
  };
  let form, current;

  function take(box) {
    // What React does: an event that brings the value it knows of already is none.
    let known = '';
    if (o.react) {
      Object.defineProperty(box, 'value', {
        configurable: true, get: () => native.get.call(box), set: (value) => { known = value; native.set.call(box, value); },
      });
    }
    const hear = () => {
      const value = native.get.call(box);
      if (o.react && value === known) return;
      known = value;
      model[box.name] = value;
      if (o.react) {
        box.value = value;
        setTimeout(() => form.querySelectorAll('#idSIButton9').forEach((one) => { one.disabled = !value; }), 60);
      }
    };
    for (const type of o.strict ? ['change'] : ['input', 'change']) box.addEventListener(type, hear);
  }

  function show(view, again) {
    const before = current;
    const [number, html] = views[view];
    current = document.createElement('div');
    current.className = 'pagination-view';
    current.innerHTML = o.numberless ? `<div>${html}</div>` : `<div data-viewid="${number}">${html}</div>`;
    const inputs = [...current.querySelectorAll('[name=loginfmt],[name=passwd],[name=accesspass]')];
    const own = inputs.find((box) => !('decoy' in box.dataset));
    for (const box of inputs) {
      if (box === own) take(box);
      else for (const type of ['input', 'change']) box.addEventListener(type, () => touched.push(box.name));
    }
    if (o.redrawn && view === 'name' && !again) own.addEventListener('focus', () => setTimeout(show, 0, view, true), { once: true });
    if (o.later && view === 'name' && !again) setTimeout(() => { own.value = 'someone.else@contoso.com'; }, 30);
    current.querySelector('.row.tile .table[data-test-id]')?.addEventListener('click', () => show('pass'));
    const cover = form.querySelector('.lightbox-cover');
    if (before && !again) {
      cover.classList.add('disable-lightbox');
      form.append(current);
      setTimeout(() => { before.remove(); cover.classList.remove('disable-lightbox'); }, 300);
    } else {
      before?.remove();
      form.append(current);
    }
    // Told by no event, and by no change of an attribute.
    if (o.fading) current.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 900, easing: 'steps(3)' });
    current.querySelector('#idBtn_Back')?.addEventListener('click', () => {
      if (view === 'kmsi') {
        form.querySelector('[name=LoginOptions]').value = '3';
        form.submit();
      } else show('name');
    });
  }

  function submit(event) {
    event.preventDefault();
    if (form.querySelector('.disable-lightbox')) return;
    if (form.querySelector('[name=accesspass]')) {
      // What is posted is the model.
      for (const box of form.querySelectorAll('input')) if (box.name in model) box.disabled = true;
      for (const [name, value] of Object.entries({ login: o.account, ps: '56', touched: touched.join(), ...model })) {
        form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }));
      }
      form.submit();
    } else if (form.querySelector('#KmsiDescription')) form.submit();
    else if (model.loginfmt.toLowerCase() === o.account) show('pass');
    else window.wrong = model.loginfmt;
  }

  addEventListener('load', () => setTimeout(() => {
    form = document.createElement('form');
    Object.assign(form, { name: 'f1', method: 'post', noValidate: true });
    if (o.first === 'kmsi') form.action = '/kmsi';
    else form.setAttribute('action', o.whole ? `${location.origin}/common/login` : '/common/login');
    form.innerHTML = '<div class="lightbox-cover"></div><input type="hidden" name="ctx" value="x">';
    form.addEventListener('submit', submit);
    document.body.append(form);
    show(o.first);
  }, o.delay ?? 0));
}

// ---- the technician ----

const button = (name) => `[...document.querySelectorAll('button')].find((node) => node.innerText.trim() === ${JSON.stringify(name)})`;
const press = (key) => popup.evaluate(`${button(message(key))}?.click()`);
const offers = (key) => popup.evaluate(`!!${button(message(key))}`);

async function open(what, address = '/organizations/oauth2/v2.0/authorize?client_id=x') {
  [site, posts] = [what, []];
  if (popup && !popup.closed) {
    await until('no sign-in is under way', async () => {
      await press('stop_sign_in');
      return !(await offers('stop_sign_in'));
    }, 60_000);
  }
  await page.goto('about:blank');
  await page.goto(HOST + address);
  if (!popup || popup.closed) popup = await browser.popup(page);
  await until('a sign-in has begun', async () => {
    for (const key of ['sign_in_here', 'start']) await press(key);
    return offers('stop_sign_in');
  }, 60_000);
}

async function signsIn(options) {
  await open({ options });
  await until('‘No’ is pressed', () => posts.some(({ path }) => path === '/kmsi'), 60_000)
    .catch(async (error) => { throw new Error(`${error.message}\n${JSON.stringify(posts)}\n--- the popup shows ---\n${await popup.text()}`); });
  await page.waitForURL(`${HOST}/kmsi`);
  const [login, stay] = posts;
  expect(login).toMatchObject({ path: '/common/login', login: account, passwd: '', ps: '56', touched: '' });
  if (options.first !== 'tiles' && options.first !== 'pass') expect(login.loginfmt.toLowerCase()).toBe(account);
  expect(login.accesspass.length, 'the pass').toBeGreaterThan(5);
  expect(stay.LoginOptions).toBe('3');
  expect(posts.length).toBe(2);
}

for (const [name, options] of Object.entries({
  'another engine, views that overlap': {},
  'bindings that hear of changes alone, whole addresses': { strict: true, whole: true },
  'controlled inputs, a button that wakes up later, no ids, no numbers, no PageID': { react: true, nameless: true, numberless: true, meta: false },
  'boxes far outside the document': { decoy: 'far' },
  'boxes that are see-through': { decoy: 'faint' },
  'boxes that are a speck': { decoy: 'speck' },
  'boxes that are cut off': { decoy: 'cut' },
  'boxes that are not drawn': { decoy: 'unseen' },
  'boxes that are not displayed': { decoy: 'gone', nameless: true },
  'a form that comes late and fades in, told by nothing': { delay: 5000, fading: true },
  'errors that stand there empty, a switch inside the box, a pass in the clear': { emptyErrors: true, peek: true, shown: true },
  'a name that a script puts in later': { later: true },
  'a view that is drawn anew as soon as it has the focus': { redrawn: true },
  'a pass for whom the server was told, with nobody named': { first: 'pass', anonymous: true, posted: 'ACCOUNT' },
  'tiles in tiles, the listener inside': { first: 'tiles' },
})) {
  test(`signs in: ${name}`, async () => {
    await signsIn({ ...options, posted: options.posted && account });
  });
}

// ---- what is only said ----

const bare = (pgid, config, html) => `<!doctype html>${pgid ? `<meta name="PageID" content="${pgid}">` : ''}<script>$Config = { ${config} };</script><form method="post" action="/common/login">${html}</form>`;
const passBox = (config) => bare('ConvergedSignIn', config, '<div id="displayName" title="ACCOUNT">x</div><div data-viewid="56"><input name="accesspass" type="password"><div id="passwordError">x</div><input type="submit" id="idSIButton9"></div>');
const says = (key) => new RegExp(message(key).replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\\\$\d/g, '.*'));

for (const [name, [document, key, address]] of Object.entries({
  'a number that is not a text, in another spelling': [passBox("pgid: 'ConvergedSignIn', sErrorCode : 130505"), 'refused_pass_used'],
  'a pass that is refused by name': [passBox('"pgid":"ConvergedSignIn","sErrorCode":"AccessPassAlreadyUsed"'), 'refused_pass_used'],
  'an error that has its number in the text alone': [bare('', '"pgid":"ConvergedError"', '<div id="service_exception_message">AADSTS53003: x</div>'), 'refused_policy'],
  'an error that has its number in the configuration alone': [bare('', '"pgid":"ConvergedError","strServiceExceptionMessage":"AADSTS90002: x"', '<p>x</p>'), 'refused_tenant'],
  'a policy, by the number of its view': [bare('ConvergedSignIn', '"pgid":"ConvergedSignIn"', '<div data-viewid="35"><p>x</p></div>'), 'page_conditional_access'],
  'more information, by the number of its view': [bare('ConvergedSignIn', '"pgid":"ConvergedSignIn"', '<div data-viewid="59"><p>x</p></div>'), 'page_proof_up'],
  'consent without its PageID': [bare('', '"pgid":"ConvergedConsent"', '<input type="submit" id="idSIButton9"><input type="button" id="idBtn_Back">'), 'page_consent'],
  'the code of another device, in capital letters': [bare('', '"pgid":"x"', '<input name="otc" type="text"><input name="loginfmt" type="email"><input type="submit" id="idSIButton9">'), 'page_device_code', '/common/OAuth2/DeviceAuth/'],
})) {
  test(`says: ${name}`, async () => {
    await open({ document: document.replaceAll('ACCOUNT', account) }, address);
    await popup.see(says(key), 30_000);
    expect(await page.evaluate(() => [...document.querySelectorAll('input')].map(({ type, value }) => (/submit|button/.test(type) ? '' : value)).join(''))).toBe('');
    expect(posts).toEqual([]);
  });
}
