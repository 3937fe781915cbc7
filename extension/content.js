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
  busy: '.disable-lightbox',
};
const FIELDS = ['password', 'access_pass', 'user_name', 'code'];
const STEPS = ['user_name', 'password', 'access_pass', 'tiles', 'work_tile', 'credentials', 'stay_text'];
const { runtime } = chrome;
const all = (selector) => [...document.querySelectorAll(selector)];
// The prototypes' accessors: what a page names its fields can shadow an element's own.
const accessor = (of, name) => Object.getOwnPropertyDescriptor(of.prototype, name);
const held = accessor(HTMLInputElement, 'value');
const action = accessor(HTMLFormElement, 'action');
const method = accessor(HTMLFormElement, 'method');
const { dom } = chrome;
// The tree of its own that a node draws, also a closed one: what stands in it is found by no selector.
const shadowOf = (node) => node instanceof HTMLElement && (dom?.openOrClosedShadowRoot?.(node) ?? node.openOrClosedShadowRoot ?? node.shadowRoot);
const isInput = (node) => node instanceof HTMLInputElement;
const isEnabled = (node) => !node.matches(':disabled,[aria-disabled=true]');
const numbers = new WeakMap();
const observer = new MutationObserver(soon);
// Until somebody asks, a glance is enough.
let asked = false;
let last = 0;
let config;
let pending;
let later;
let reported;

const isDecoy = (node) => node.matches('input[tabindex="-1"]') || node.closest('.moveOffScreen,[aria-hidden=true]');

// Nobody sees what is a speck, stands beside the document, or is cut off by a box around it.
function isVisible(node) {
  if (isDecoy(node) || !node.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })) return false;
  for (let at = node; at !== document.body && at; at = at.parentElement) {
    const { width, height, right, bottom } = at.getBoundingClientRect();
    const isGone = width < 9 || height < 9 || right + scrollX <= 0 || bottom + scrollY <= 0;
    if (isGone && (at === node || getComputedStyle(at).overflow !== 'visible')) return false;
  }
  return true;
}

// Not see-through, not drawn by a tree of its parents' own, and nothing lies over it.
function isClear(node, glancing) {
  let opacity = 1;
  for (let at = node; at; at = at.parentElement) {
    const style = getComputedStyle(at);
    opacity *= shadowOf(at) || /opacity|blur|url|gradient/.test(style.filter + style.maskImage) ? 0 : style.opacity;
  }
  // A link that is broken over two lines has its middle in neither of them.
  const { left, top, width, height } = node.getClientRects()[0];
  const parts = glancing ? [.5] : [.2, .5, .8];
  const veils = glancing ? [] : veilsOver(node);
  // What a popover lays behind itself is neither a node nor hit.
  return opacity >= .7 && !document.querySelector(':popover-open') && parts.every((across) => parts.every((down) => {
    const x = left + width * across, y = top + height * down;
    // Outside the window there is nothing to hit.
    const hit = document.elementFromPoint(x, y);
    return hit ? node.contains(hit) && !veils.some((veil) => veil.left < x && x < veil.right && veil.top < y && y < veil.bottom) : glancing;
  }));
}

const within = (tree) => [...tree.querySelectorAll('*')].flatMap((node) => [node, ...(shadowOf(node) ? within(shadowOf(node)) : [])]);

// What lets clicks through is never hit, and can still hide what is below.
function veilsOver(node) {
  return within(document).filter((veil) => {
    const style = getComputedStyle(veil);
    return style.pointerEvents === 'none' && !veil.contains(node) && veil.checkVisibility({ checkOpacity: true })
      && (style.backgroundImage + style.backdropFilter !== 'nonenone' || !/a.*, 0\)$/.test(style.backgroundColor) || veil.matches('iframe,img,svg,canvas,video'));
  }).map((veil) => veil.getBoundingClientRect());
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
  const written = config ? '' : all('script:not([src])').map((script) => script.text).filter((text) => text.includes('$Config')).join();
  const read = (name) => RegExp(`\\b${name}["']?\\s*:\\s*["']?([^"',}\\s]+)`).exec(written)?.[1];
  if (written) {
    config = {
      page_id: read('pgid'), error_code: read('sErrorCode') ?? errorNumber(read('strServiceExceptionMessage')),
      post_url: read('urlPost'), challenge: read('sFidoChallenge'), posted_name: read('sPOST_Username'),
    };
  }
  return config;
}

const errorNumber = (text) => /AADSTS(\d+)/.exec(text)?.[1];

// The accounts to choose from; a node inside another one of the same name is the same one.
const accounts = () => all('#tilesHolder [data-test-id]').filter((tile) => isVisible(tile)
  && tile.parentElement.closest('[data-test-id]')?.dataset.testId !== tile.dataset.testId);

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
  const elements = [];
  const marks = [];
  const seen = {};
  for (const key in SELECTORS) {
    const nodes = all(SELECTORS[key]);
    if (!nodes.length) continue;
    const shown = seen[key] = nodes.filter(key === 'busy' ? (node) => node.checkVisibility() : isVisible);
    const node = shown[0] ?? nodes[0];
    const field = isInput(node);
    const element = {
      key,
      count: nodes.length,
      visible: shown.length,
      enabled: isEnabled(node),
      read_only: !!node.readOnly,
      clear: !!shown.length && (!FIELDS.includes(key) || isClear(node, true)),
      input_type: node.type,
      empty: !(field ? held.get.call(node) : node.textContent.trim()),
    };
    for (const each of shown) if (!numbers.has(each)) numbers.set(each, ++last);
    marks.push([key, nodes.length, shown.map((each) => numbers.get(each)), element.enabled, element.read_only, element.input_type]);
    if (field && key === 'user_name') element.value = held.get.call(node);
    elements.push(element);
  }
  const name = seen.identity?.[0];
  const page = {
    views: all('[data-viewid]').filter(isVisible).map((view) => view.dataset.viewid),
    identity: name && (name.title || name.textContent.trim()),
    tiles: accounts().map((tile) => tile.dataset.testId),
    form_origin: formOrigin([...FIELDS, 'primary'].flatMap((key) => seen[key] ?? [])[0]),
  };
  const sight = { ...serverConfig(), ...page, ...circumstances(), elements };
  sight.page_id ??= config?.page_id;
  sight.error_code ??= errorNumber(seen.service_error?.[0]?.textContent);
  sight.fingerprint = JSON.stringify([page, location.origin, sight.page_id, marks]);
  return sight;
}

function soon() {
  pending ||= setTimeout(report, 40);
}

function report() {
  pending = 0;
  clearTimeout(later);
  // Without an id the extension was updated or removed.
  if (!runtime.id) return observer.disconnect();
  const sight = asked ? look() : glance();
  // Not all that changes a page is told: a style sheet that comes late, a value that a script sets.
  if (asked) later = setTimeout(soon, 1000);
  // A form that has not been built is not news; one that is never built is.
  if (!asked && !sight.elements.length && sight.page_id === 'ConvergedSignIn') return;
  if (reported === (reported = !asked || JSON.stringify(sight))) return;
  if (!asked) observer.disconnect();
  // A worker that was stopped has not heard it.
  runtime.sendMessage({ type: 'page_seen', closely: asked, snapshot: sight }).catch(() => {})
    .then((wanted) => (wanted ? lookClosely() : wanted ?? setTimeout(lookClosely, 500)));
}

function watch() {
  observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
  report();
  if (!reported) setTimeout(() => reported || lookClosely(), 3000);
}

function lookClosely() {
  for (const type of ['visibilitychange', 'transitionend', 'animationend']) document.addEventListener(type, soon);
  asked = true;
  reported = null;
  watch();
}

// The one node to act on, or why none.
function target({ origin, fingerprint, key, tile }) {
  const isOurs = (at) => runtime.getManifest().host_permissions.includes(`${at}/*`);
  if (!isOurs(origin) || self !== top || location.origin !== origin || look().fingerprint !== fingerprint) return 'page_changed';
  const nodes = tile ? accounts().filter((node) => node.dataset.testId === tile) : all(SELECTORS[key]).filter(isVisible);
  const [node] = nodes;
  if (nodes.length !== 1 || !isEnabled(node)) return 'not_there';
  // The passkey's page stands on one of our hosts and answers to another.
  if (!isOurs(formOrigin(node) ?? origin)) return 'page_changed';
  if (!isClear(node)) node.scrollIntoView({ block: 'center', behavior: 'instant' });
  return !isClear(node) ? 'covered' : node;
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
    // What is no button itself may hold the one that listens: what a person would hit.
    const { left, top, width, height } = node.getClientRects()[0];
    const hit = document.elementFromPoint(left + width / 2, top + height / 2);
    (!node.matches('a,button,input,[role=button]') && hit.click ? hit : node).click();
    return 'done';
  }
  if (!isInput(node) || node.readOnly) return 'not_there';
  node.focus({ preventScroll: true });
  // A field that never stands still, or does not keep the focus, is not what a person sees.
  let frames = 60;
  let still = 0;
  let place;
  while (still < 8) {
    if (document.activeElement !== node) return 'page_changed';
    if (!frames--) return 'covered';
    still = place === (place = JSON.stringify(node.getBoundingClientRect())) ? still + 1 : 0;
    await frame();
  }
  // The page has been told of the focus, and may have changed on hearing it; a person may have gone to another tab.
  if (target(order) !== node || (document.hidden && order.key !== 'user_name')) return 'page_changed';
  held.set.call(node, order.value);
  for (const type of ['input', 'change']) node.dispatchEvent(new Event(type, { bubbles: true }));
  await frame();
  return node.isConnected && held.get.call(node) === order.value ? 'done' : 'value_lost';
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
