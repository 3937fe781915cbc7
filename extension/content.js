// Eyes and hands on a sign-in page, for the brain in the worker. Reports a summary when the page changes; fills or clicks
// when the page is still the one that was seen. Decides nothing, adds nothing to the document, hears nothing that
// the page says, keeps no value, writes no log. Meaning: wasm/src/brain/snapshot.rs.
'use strict';
const SELECTORS = {
  user_name: '#i0116,input[name=loginfmt]',
  password: '#i0118,input[name=passwd]',
  access_pass: 'input[name=accesspass]',
  code: '#idTxtBx_SAOTCC_OTC',
  device_code: 'input#otc',
  primary: '#idSIButton9',
  back: '#idBtn_Back',
  identity: '#displayName',
  tiles: '#tilesHolder',
  other_tile: '#otherTile',
  work_tile: '#aadTile',
  personal_tile: '#msaTile',
  stay_text: '#KmsiDescription',
  stay_box: '#KmsiCheckboxField',
  to_password: '#idA_PWD_SwitchToPassword',
  to_access_pass: '#accessPassLink',
  to_credentials: '#idA_PWD_SwitchToCredPicker',
  another_way: '#signInAnotherWay',
  credentials: '#credentialList',
  access_pass_tile: '[data-value=AccessPass]',
  methods: '#idDiv_SAOTCS_Title,#idDiv_SAOTCS_Proofs',
  approval: '#idDiv_SAOTCAS_Title,#idDiv_SAOTCAS_Description,#idDiv_RemoteNGC_PollingDescription',
  number: '#idRichContext_DisplaySign,#idRemoteNGC_DisplaySign',
  approval_over: '#idDiv_SAASDS_Description,#idDiv_SAASTO_Description',
  proof_up: '#idSubmit_ProofUp_Redirect',
  change_password: '#newPassword,#currentPassword,input[name=newpasswd],input[name=currentpasswd]',
  accept: '#idBtn_Accept',
  service_error: '#service_exception_message',
  user_name_error: '#usernameError',
  password_error: '#passwordError',
  code_error: '#idSpan_SAOTCC_Error_OTC,#idDiv_SAOTCS_Error_OTC',
  to_organization: '#redirectToIdpLink',
  self_submitting: 'form[name=hiddenform]',
  busy: '.lightbox-cover.disable-lightbox',
};
const ANY = Object.values(SELECTORS).join();
const FIELDS = ['password', 'access_pass', 'user_name', 'code'];
const { runtime } = chrome;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
// The prototypes' accessors: what a page names its fields can shadow an element's own.
const accessor = (of, name) => Object.getOwnPropertyDescriptor(of.prototype, name);
const value = accessor(HTMLInputElement, 'value');
const action = accessor(HTMLFormElement, 'action');
const isInput = (node) => node instanceof HTMLInputElement;
const isEnabled = (node) => !node.matches(':disabled,[aria-disabled=true]');
const numbers = new WeakMap();
const observer = new MutationObserver(soon);
// Until somebody asks, a glance is enough: no layout is forced, and nothing counts as clear.
let closely = false;
let count = 0, config, pending, reported;

function isVisible(node) {
  if (node.closest('.moveOffScreen,[aria-hidden=true]') || node.matches('input[tabindex="-1"]')) return false;
  if (!closely) return true;
  const { width, height } = node.getBoundingClientRect();
  return width > 0 && height > 0 && node.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
}

// Not see-through, and nothing lies over its middle.
function isClear(node, outside) {
  let opacity = 1;
  for (let at = node; at; at = at.parentElement) opacity *= getComputedStyle(at).opacity;
  if (opacity < 0.7) return false;
  const { left, top, width, height } = node.getBoundingClientRect();
  const x = left + width / 2, y = top + height / 2;
  if (x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) return outside;
  return node.contains(document.elementFromPoint(x, y));
}

// Where the form and each of its buttons lead; somewhere else if any of them does.
function formOrigin(node) {
  const form = node?.form ?? node?.closest('form');
  if (!form) return null;
  const leads = [action.get.call(form), ...all('[formaction]', form).map((button) => button.formAction)];
  const origins = leads.map((to) => (URL.canParse(to) ? new URL(to).origin : 'null'));
  return origins.find((origin) => origin !== location.origin) ?? origins[0];
}

// What the server wrote; it stays as it is.
function serverConfig() {
  const text = config ? '' : all('script:not([src])').find((script) => script.text.includes('$Config'))?.text;
  if (text) {
    config = {
      error_code: /"sErrorCode":\s*"?(\d{1,9})\b/.exec(text)?.[1],
      post_url: /"urlPost":\s*"([^"]+)"/.exec(text)?.[1].replaceAll('\\/', '/'),
    };
  }
  return config;
}

function look() {
  const elements = [], marks = [], seen = {}, found = all(ANY);
  for (const key in SELECTORS) {
    const nodes = found.filter((node) => node.matches(SELECTORS[key]));
    if (!nodes.length) continue;
    const visible = seen[key] = nodes.filter(isVisible);
    const node = visible[0] ?? nodes[0], input = isInput(node);
    const element = {
      key,
      count: nodes.length,
      visible: visible.length,
      enabled: isEnabled(node),
      read_only: input && node.readOnly,
      clear: closely && !!visible.length && (!FIELDS.includes(key) || isClear(node, true)),
      input_type: input ? node.type : null,
      empty: input && !value.get.call(node),
    };
    for (const each of visible) if (!numbers.has(each)) numbers.set(each, ++count);
    marks.push([key, nodes.length, visible.map((each) => numbers.get(each)), element.enabled, element.read_only]);
    if (input && key === 'user_name') element.value = value.get.call(node);
    elements.push(element);
  }
  const [name] = all(SELECTORS.identity);
  const page = {
    page_id: document.querySelector('meta[name=PageID]')?.content,
    views: all('[data-viewid]').filter(isVisible).map((view) => view.dataset.viewid),
    identity: name && (name.title || name.textContent.trim()),
    tiles: all('#tilesHolder [data-test-id]').map((tile) => tile.dataset.testId),
    form_origin: formOrigin([...FIELDS, 'primary'].flatMap((key) => seen[key] ?? [])[0]),
    top: self === top,
  };
  return {
    fingerprint: JSON.stringify([location.origin, page, marks]),
    ...page,
    ...serverConfig(),
    elements,
    ready: document.readyState,
    on_screen: document.visibilityState === 'visible',
    focused: document.hasFocus(),
  };
}

function soon() {
  pending ||= setTimeout(report, 40);
}

function report(always) {
  pending = clearTimeout(pending);
  if (!runtime.id) return stop(); // updated or removed
  // A page that has nothing yet is not news; one that never gets anything is.
  if (!always && !reported && !document.querySelector(ANY)) return;
  const snapshot = look(), { fingerprint, elements, ready, on_screen } = snapshot;
  const now = [fingerprint, ready, on_screen, elements.map((element) => [element.value, element.empty, element.clear])].join();
  if (now === reported && !always) return;
  reported = now;
  runtime.sendMessage({ type: 'page_seen', closely, snapshot }).then((wanted) => wanted && lookClosely(), () => {});
}

function lookClosely() {
  closely = true;
  report(true);
}

function watch() {
  observer.observe(document, { subtree: true, childList: true, attributeFilter: ['aria-hidden', 'class', 'disabled', 'style'] });
  report();
  setTimeout(() => reported || report(true), 3000);
}

function stop() {
  observer.disconnect();
  pending = clearTimeout(pending);
}

// The one node to act on, or why none.
function target({ origin, fingerprint, key, tile }) {
  const here = location.origin;
  if (!runtime.getManifest().host_permissions.includes(`${here}/*`) || here !== origin || self !== top) return 'page_changed';
  if (look().fingerprint !== fingerprint) return 'page_changed';
  let nodes = all(SELECTORS[key] ?? ':not(*)').filter(isVisible);
  if (tile) nodes = nodes.flatMap((node) => all('[data-test-id]', node)).filter((node) => node.dataset.testId === tile && isVisible(node));
  const [node] = nodes;
  if (nodes.length !== 1 || !isEnabled(node)) return 'not_there';
  if ((formOrigin(node) ?? here) !== here) return 'page_changed';
  if (!isClear(node)) node.scrollIntoView({ block: 'center', behavior: 'instant' });
  return isClear(node) ? node : 'covered';
}

async function act(order) {
  closely = true;
  const node = target(order);
  if (!node.nodeType) return node;
  if (order.type === 'click') {
    node.click();
    return 'done';
  }
  if (!isInput(node) || node.readOnly) return 'not_there';
  node.focus({ preventScroll: true });
  value.set.call(node, order.value);
  for (const type of ['input', 'change']) node.dispatchEvent(new Event(type, { bubbles: true }));
  await new Promise((frame) => {
    requestAnimationFrame(frame);
    setTimeout(frame, 100); // a page in the background has no frames
  });
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
for (const type of ['visibilitychange', 'transitionend', 'animationend']) document.addEventListener(type, soon);
addEventListener('pageshow', watch); // comes after load, and again from the back-forward cache
addEventListener('pagehide', stop);
if (document.readyState === 'complete') watch();
