// Eyes and hands on a sign-in page, for the brain in the worker. Reports a summary when the page changes; fills or clicks
// when the page is still the one that was seen. Decides nothing, adds nothing to the document, hears nothing that
// the page says, keeps no value, writes no log. Meaning: wasm/src/brain/snapshot.rs.
'use strict';
const SELECTORS = {
  user_name: '#i0116,[name=loginfmt]',
  password: '#i0118,[name=passwd]',
  access_pass: '[name=accesspass]',
  masked: '[type=password]',
  code: '#idTxtBx_SAOTCC_OTC',
  own_code: '[data-value=PhoneAppOTP],[value=PhoneAppOTP]',
  device_code: '#otc',
  primary: '#idSIButton9,#idSubmit_SAOTCC_Continue',
  back: '#idBtn_Back',
  identity: '#displayName',
  tiles: '#tilesHolder',
  other_tile: '#otherTile',
  work_tile: '#aadTile',
  personal_tile: '#msaTile',
  stay_text: '#KmsiDescription',
  stay_box: '#KmsiCheckboxField',
  to_password: '#idA_PWD_SwitchToPassword,[data-value=Password]',
  to_access_pass: '#accessPassLink',
  to_passkey: '#idA_PWD_SwitchToFido',
  to_credentials: '#idA_PWD_SwitchToCredPicker',
  another_way: '#signInAnotherWay',
  credentials: '#credentialList',
  access_pass_tile: '[data-value=AccessPass]',
  passkey_tile: '[data-value=FidoKey]',
  methods: '#idDiv_SAOTCS_Proofs',
  approval: '[id^=idDiv_SAOTCAS],#idDiv_RemoteNGC_PollingDescription',
  number: '#idRichContext_DisplaySign,#idRemoteNGC_DisplaySign',
  approval_over: '#idDiv_SAASDS_Description,#idDiv_SAASTO_Description',
  proof_up: '#idSubmit_ProofUp_Redirect',
  change_password: '#newPassword,#currentPassword,[name=newpasswd],[name=currentpasswd]',
  accept: '#idBtn_Accept',
  service_error: '#service_exception_message',
  user_name_error: '#usernameError',
  password_error: '#passwordError,#idSpan_SAOTCC_Error_OTC',
  to_organization: '#redirectToIdpLink',
  self_submitting: '[name=hiddenform]',
  busy: '.lightbox-cover.disable-lightbox',
};
const FIELDS = ['password', 'access_pass', 'user_name', 'code'];
const STEPS = ['user_name', 'password', 'access_pass', 'tiles', 'work_tile', 'credentials', 'stay_text'];
const { runtime } = chrome;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
// The prototypes' accessors: what a page names its fields can shadow an element's own.
const accessor = (of, name) => Object.getOwnPropertyDescriptor(of.prototype, name);
const value = accessor(HTMLInputElement, 'value');
const action = accessor(HTMLFormElement, 'action');
const method = accessor(HTMLFormElement, 'method');
const isInput = (node) => node instanceof HTMLInputElement;
const isEnabled = (node) => !node.matches(':disabled,[aria-disabled=true]');
const numbers = new WeakMap();
const observer = new MutationObserver(soon);
// Until somebody asks, a glance is enough.
let closely = false;
let count = 0, config, pending, reported;

const isDecoy = (node) => node.matches('input[tabindex="-1"]') || node.closest('.moveOffScreen,[aria-hidden=true]');

function isVisible(node) {
  if (isDecoy(node)) return false;
  const { width, height } = node.getBoundingClientRect();
  return width && height && node.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
}

// Not see-through, and nothing lies over it.
function isClear(node, glancing) {
  let opacity = 1;
  for (let at = node; at; at = at.parentElement) opacity *= getComputedStyle(at).opacity;
  // A link that is broken over two lines has its middle in neither of them.
  const { left, top, width, height } = node.getClientRects()[0];
  return opacity >= .7 && (glancing ? [.5] : [.5, .2, .8]).every((part) => {
    const x = left + width * part, y = top + height * part;
    // Outside the window there is nothing to hit.
    const hit = document.elementFromPoint(x, y);
    return hit ? node.contains(hit) && (glancing || !isVeiled(node, x, y)) : glancing;
  });
}

// What lets clicks through is never hit, and can still hide what is below.
function isVeiled(node, x, y) {
  return all('body *').some((veil) => {
    const style = getComputedStyle(veil);
    if (style.pointerEvents !== 'none' || veil.contains(node) || !veil.checkVisibility({ checkOpacity: true })) return;
    const { left, right, top, bottom } = veil.getBoundingClientRect();
    return left < x && x < right && top < y && y < bottom
      && (style.backgroundImage !== 'none' || !/a.*, 0\)$/.test(style.backgroundColor) || veil.matches('img,svg,canvas,video'));
  });
}

// Where the form and each of its buttons (they may stand outside it) lead; somewhere else if any of them does. A form
// that would write what it holds into an address leads nowhere.
function formOrigin(node) {
  const form = node?.form ?? node?.closest('form');
  if (!form) return null;
  if (method.get.call(form) !== 'post') return 'null';
  const buttons = all('[formaction]').filter((button) => button.form === form);
  const origins = [action.get.call(form), ...buttons.map((button) => button.formAction)]
    .map((to) => (URL.canParse(to) ? new URL(to).origin : 'null'));
  return origins.find((origin) => origin !== location.origin) ?? origins[0];
}

// What the server wrote; it stays as it is.
function serverConfig() {
  const text = config ? '' : all('script:not([src])').find((script) => script.text.includes('$Config'))?.text;
  const find = (name) => RegExp(`"${name}":\\s*"?([^",}]+)`).exec(text)?.[1];
  if (text) config = { error_code: find('sErrorCode'), post_url: find('urlPost'), challenge: find('sFidoChallenge') };
  return config;
}

const circumstances = () => ({
  page_id: document.querySelector('meta[name=PageID]')?.content,
  ready: document.readyState,
  on_screen: !document.hidden,
  top: self === top,
});

// Which step the page seems to show, without forcing a layout. Its fingerprint fits nothing, so nobody can act on it.
function glance() {
  const keys = STEPS.filter((key) => !all(SELECTORS[key]).every(isDecoy));
  return { fingerprint: '', ...circumstances(), elements: keys.map((key) => ({ key, count: 1, visible: 1, enabled: true })) };
}

function look() {
  const elements = [], marks = [], seen = {};
  for (const key in SELECTORS) {
    const nodes = all(SELECTORS[key]);
    if (!nodes.length) continue;
    const visible = seen[key] = nodes.filter(isVisible);
    const node = visible[0] ?? nodes[0], input = isInput(node);
    const element = {
      key,
      count: nodes.length,
      visible: visible.length,
      enabled: isEnabled(node),
      read_only: !!node.readOnly,
      clear: !!visible.length && (!FIELDS.includes(key) || isClear(node, true)),
      input_type: node.type,
      empty: input && !value.get.call(node),
    };
    for (const each of visible) numbers.has(each) || numbers.set(each, ++count);
    marks.push([key, nodes.length, visible.map((each) => numbers.get(each)), element.enabled, element.read_only, element.input_type]);
    if (input && key === 'user_name') element.value = value.get.call(node);
    elements.push(element);
  }
  const name = seen.identity?.[0];
  const page = {
    views: all('[data-viewid]').filter(isVisible).map((view) => view.dataset.viewid),
    identity: name && (name.title || name.textContent.trim()),
    tiles: all('#tilesHolder [data-test-id]').map((tile) => tile.dataset.testId),
    form_origin: formOrigin([...FIELDS, 'primary'].flatMap((key) => seen[key] ?? [])[0]),
  };
  const here = circumstances();
  return {
    fingerprint: JSON.stringify([location.origin, here.page_id, page, marks]),
    ...here,
    ...page,
    ...serverConfig(),
    elements,
  };
}

function soon() {
  pending ||= setTimeout(report, 40);
}

function report() {
  pending = 0;
  // Without an id the extension was updated or removed.
  if (!runtime.id) return observer.disconnect();
  const snapshot = closely ? look() : glance();
  // A form that has not been built is not news; one that is never built is.
  if (!closely && !snapshot.elements.length && snapshot.page_id === 'ConvergedSignIn') return;
  if (reported === (reported = !closely || JSON.stringify(snapshot))) return;
  if (!closely) observer.disconnect();
  // A worker that was stopped has not heard it.
  runtime.sendMessage({ type: 'page_seen', closely, snapshot }).catch(() => {})
    .then((wanted) => (wanted ? lookClosely() : wanted ?? setTimeout(lookClosely, 500)));
}

function watch() {
  observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
  report();
  if (!reported) setTimeout(() => reported || lookClosely(), 3000);
}

function lookClosely() {
  for (const type of ['visibilitychange', 'transitionend', 'animationend']) document.addEventListener(type, soon);
  closely = true;
  reported = null;
  watch();
}

// The one node to act on, or why none.
function target({ origin, fingerprint, key, tile }) {
  const isOurs = (at) => runtime.getManifest().host_permissions.includes(`${at}/*`);
  if (!isOurs(origin) || self !== top || location.origin !== origin || look().fingerprint !== fingerprint) return 'page_changed';
  let nodes = all(SELECTORS[key]).filter(isVisible);
  if (tile) nodes = nodes.flatMap((node) => all('[data-test-id]', node)).filter((node) => node.dataset.testId === tile && isVisible(node));
  const [node] = nodes;
  if (nodes.length !== 1 || !isEnabled(node)) return 'not_there';
  // The passkey's page stands on one of our hosts and answers to another.
  if (!isOurs(formOrigin(node) ?? origin)) return 'page_changed';
  if (!isClear(node)) node.scrollIntoView({ block: 'center', behavior: 'instant' });
  return isClear(node) ? node : 'covered';
}

function frame() {
  return new Promise((done) => {
    requestAnimationFrame(done);
    // A page in the background has no frames.
    setTimeout(done, 100);
  });
}

async function act(order) {
  const node = target(order);
  if (!node.nodeType) return node;
  if (order.type === 'click') {
    node.click();
    return 'done';
  }
  if (!isInput(node) || node.readOnly) return 'not_there';
  // A field that never stands still is not what a person sees.
  let frames = 60, still = 0, place;
  while (still < 4) {
    if (!frames--) return 'covered';
    still = place === (place = JSON.stringify(node.getBoundingClientRect())) ? still + 1 : 0;
    await frame();
  }
  node.focus({ preventScroll: true });
  // The page has been told of the focus, and may have changed, or taken it away, on hearing it.
  if (target(order) !== node || document.activeElement !== node) return 'page_changed';
  value.set.call(node, order.value);
  for (const type of ['input', 'change']) node.dispatchEvent(new Event(type, { bubbles: true }));
  await frame();
  return node.isConnected && value.get.call(node) === order.value ? 'done' : 'value_lost';
}

runtime.onMessage.addListener((order, sender, answer) => {
  if (sender.id !== runtime.id || sender.tab) return;
  if (order.type === 'look') lookClosely();
  else if (order.type === 'fill' || order.type === 'click') {
    act(order).then((outcome) => answer({ outcome, snapshot: look() }));
    return true;
  }
});
// Comes after load, and again from the back-forward cache.
addEventListener('pageshow', watch);
if (document.readyState === 'complete') watch();
