// The worker (in Firefox and Safari a page without a window): feeds the brain what happens in the browser and carries out what it answers. It has no opinion
// of its own about sign-in pages, tenants or leases.
//
// Who is speaking is taken from the browser's sender record, never from a message. Secrets pass through on their way
// to one field or to the open popup and are kept nowhere; `storage.session` holds the brain's state, which has none.
import init, { BrainHandle } from './brain.js';
import { reloadOncePagesAreAllowed } from './access.js';
import { clearClipboardNow, clearClipboardLater, CLIPBOARD_ALARM } from './clipboard.js';
import { openLine } from './host.js';
import { pack } from './pack.js';
import { answer, hasDoor, listenAtDoor, moveDoor } from './passkey.js';
import { onPreferences, preferences } from './preferences.js';
import { speak, words } from './words.js';

const POPUP = chrome.runtime.getURL('popup.html');
// A notification that leads to a sign-in has its tab in its id.
const WAITING = 'waiting:';
const BADGE = {
  calm: { background: '#0b6b43', text: '#ffffff' },
  busy: { background: '#8a4d00', text: '#ffffff' },
  warning: { background: '#a3211a', text: '#ffffff' },
};

let brain;
let host;
let popup;
// The notification that somebody is waited for.
let waiting;
// The last saving of the state.
let saved = Promise.resolve();
const timers = new Map();
// Tabs that the brain has asked about: there the content script looks closely, elsewhere a glance is enough.
const watched = new Set();

// ---- events: in order, and not before the brain is there ----

const queue = [];
let draining = false;

// `heard` is called once the event has been taken in and what must outlive the worker is on its way to the store.
function happened(event, heard = ignore) {
  queue.push({ frame: { now: Date.now(), event }, heard });
  drain();
}

function drain() {
  if (!brain || draining) return;
  draining = true;
  try {
    for (let next; (next = queue.shift());) {
      const effects = JSON.parse(brain.on_event(JSON.stringify(next.frame)));
      for (const effect of effects) carryOut[effect.type](effect);
      next.heard();
    }
  } finally {
    draining = false;
  }
}

async function start() {
  const [{ state, tenants }, { now: preferred }] = await Promise.all([
    chrome.storage.session.get(['state', 'tenants']),
    preferences(),
    init({ module_or_path: chrome.runtime.getURL('brain_bg.wasm') }),
  ]);
  await speak(preferred.language);
  brain = new BrainHandle(state, tenants, chrome.runtime.getManifest().version);
  const first = [
    ...(hasDoor ? [{ type: 'passkey_door', door: 'shut' }] : []),
    { type: 'worker_started' },
    { type: 'preferences_read', preferences: preferred },
  ];
  queue.unshift(...first.map((event) => ({ frame: { now: Date.now(), event }, heard: ignore })));
  drain();
}

async function forget() {
  brain?.free();
  brain = undefined;
  carryOut.disconnect_host();
  for (const name of timers.keys()) carryOut.clear_timer({ name });
  watched.clear();
  popup?.disconnect();
  await start();
  // An alarm that the old brain set; whatever it is about, the leases are looked at.
  happened({ type: 'timer_rang', name: 'watch' });
}

// ---- effects ----

const carryOut = {
  connect_host() {
    if (host) return;
    try {
      const line = openLine(
        (frame) => host === line && happened({ type: 'host_message', frame }),
        (reason) => host === line && lost(reason),
      );
      host = line;
    } catch (error) {
      lost(error.message);
    }
  },

  ask_host({ frame }) {
    try {
      host.send(frame);
    } catch (error) {
      lost(error.message);
    }
  },

  disconnect_host() {
    const line = host;
    host = undefined;
    line?.close();
  },

  fill: act,
  click: act,

  look({ tab_id }) {
    watched.add(tab_id);
    chrome.tabs.sendMessage(tab_id, { type: 'look' }, { frameId: 0 }).catch(() => missed(tab_id));
  },

  set_icon({ tab_id, icon }) {
    const path = Object.fromEntries([16, 32, 48].map((size) => [size, `/icons/${icon}-${size}.png`]));
    chrome.action.setIcon({ tabId: tab_id, path }).catch(ignore);
  },

  set_badge({ tab_id, text, tone }) {
    const { background, text: ink } = BADGE[tone];
    chrome.action.setBadgeText({ tabId: tab_id, text }).catch(ignore);
    chrome.action.setBadgeBackgroundColor({ tabId: tab_id, color: background }).catch(ignore);
    chrome.action.setBadgeTextColor?.({ tabId: tab_id, color: ink }).catch(ignore);
  },

  set_title({ tab_id, title }) {
    chrome.action.setTitle({ tabId: tab_id, title: words(title.key, title.args) }).catch(ignore);
  },

  update_tenants({ type }) {
    tell(packed(brain.tenants()).then((tenants) => ({ type, tenants })));
  },

  update_popup: tell,
  show_secret: tell,

  set_timer({ name, after }) {
    clearTimeout(timers.get(name));
    timers.set(name, setTimeout(() => {
      timers.delete(name);
      happened({ type: 'timer_rang', name });
    }, after));
  },

  clear_timer({ name }) {
    clearTimeout(timers.get(name));
    timers.delete(name);
  },

  set_alarm({ name, at }) {
    chrome.alarms.create(name, { when: at });
  },

  clear_alarm({ name }) {
    chrome.alarms.clear(name);
  },

  notify({ lease_id, text, button }) {
    const notice = noticeOf(words(text.key, text.args));
    try {
      const buttons = button && { buttons: [{ title: words(button.key, button.args) }] };
      chrome.notifications?.create(lease_id, { ...notice, ...buttons });
    } catch {
      // Firefox has no buttons there; a click on the notification opens the popup, which has one.
      chrome.notifications.create(lease_id, notice);
    }
  },

  open_tab({ act: number, url, place, tab_id }) {
    const opened = (id) => happened({ type: 'tab_opened', act: number, tab_id: id });
    saved.then(() => open[place](url, tab_id)).then(opened, () => opened(undefined));
  },

  passkey_door({ open }) {
    moveDoor(open).then((door) => happened({ type: 'passkey_door', door }));
  },

  answer_passkey({ request_id, response }) {
    answer(request_id, response);
  },

  async show_popup({ tab_id }) {
    const isOpen = await isInFront(tab_id) && await chrome.action.openPopup().then(() => true, () => false);
    // A slow browser may say that it did not open what is open.
    if (isOpen || popup) return;
    waiting = WAITING + (tab_id ?? '');
    chrome.notifications?.create(waiting, noticeOf(words('person_notice')));
  },

  save_passwords({ allowed }) {
    const passwordSavingEnabled = chrome.privacy?.services.passwordSavingEnabled;
    if (passwordSavingEnabled) (allowed ? passwordSavingEnabled.clear({}) : passwordSavingEnabled.set({ value: false })).catch(ignore);
  },

  save_state({ tenants }) {
    saved = chrome.storage.session.set({ state: brain.state(), ...tenants && { tenants: brain.tenants() } }).catch(ignore);
  },

  log({ message }) {
    console.info(message);
  },
};

// To the popup, in order.
let told;

function tell(message) {
  const port = popup;
  told = Promise.all([message, told]).then(([message]) => port?.postMessage(message)).catch(ignore);
}

// The list is the same at most openings of the popup.
let list;

function packed(text) {
  if (list?.text !== text) list = { text, packed: pack(text) };
  return list.packed;
}

function lost(reason) {
  host = undefined;
  happened({ type: 'host_gone', reason });
}

// Each answers the tab's id, or none where the browser does not tell the extension about it.
const open = {
  new_tab: (url) => chrome.tabs.create({ url }).then(({ id }) => id),
  this_tab: (url, tab) => chrome.tabs.update(tab, { url }).then(({ id }) => id),
  private_window: (url) => chrome.windows.create({ url, incognito: true }).then((made) => made?.tabs?.[0]?.id),
};

const noticeOf = (message) => ({ type: 'basic', iconUrl: '/icons/problem-128.png', title: words('extension_name'), message });

// The popup is about the tab in front: over another one it would ask for nothing.
async function isInFront(tab_id) {
  const [{ id } = {}] = await chrome.tabs.query({ active: true, lastFocusedWindow: true });
  return tab_id === undefined || id === tab_id;
}

// The technician clicked on a notification: its tab comes to the front, with the popup over it. A sign-in window that a
// portal opened has no toolbar; there the popup belongs to the window behind it.
async function goTo(tab_id) {
  const { windowId } = await chrome.tabs.update(tab_id, { active: true });
  let { id, type } = await chrome.windows.get(windowId);
  if (type !== 'normal') ({ id } = await chrome.windows.getLastFocused({ windowTypes: ['normal'] }));
  await chrome.windows.update(id, { focused: true });
  await chrome.action.openPopup({ windowId: id });
}

// A fill or a click in exactly one document. The browser refuses an id that is not the tab's current document. Not before
// it is written down that it is done: a worker that is stopped meanwhile leaves the next one to find out what became of it.
function act({ tab_id, document_id, act: number, ...order }) {
  watched.add(tab_id);
  const acted = ({ outcome, snapshot }) => happened({ type: 'acted', tab_id, document_id, act: number, outcome, snapshot });
  saved.then(() => chrome.tabs.sendMessage(tab_id, order, { documentId: document_id }))
    .then((answer) => acted(answer ?? { outcome: 'document_gone' }))
    .catch(() => acted({ outcome: 'document_gone' }));
}

// Nobody there could be asked. Where the extension has no say it is not told an address, and so knows that the tab has left
// the sign-in pages; it may have done so, or been closed, while no worker was there to hear of it.
function missed(tab_id) {
  const left = ({ url }) => url === undefined && happened({ type: 'tab_navigated', tab_id });
  chrome.tabs.get(tab_id).then(left, () => happened({ type: 'tab_closed', tab_id }));
}

// The tab was closed meanwhile: there is nothing left to show or to ask.
function ignore() {}

// ---- what the browser tells; every listener is registered before the first await ----

chrome.runtime.onMessage.addListener((message, sender, answer) => {
  const { id, tab, frameId, documentId, documentLifecycle, url, origin } = sender;
  if (id !== chrome.runtime.id || !tab || !documentId || message?.type !== 'page_seen') return;
  if (documentLifecycle !== undefined && documentLifecycle !== 'active') return;
  if (watched.has(tab.id) && !message.closely) {
    answer(true); // look again, closely
    return;
  }
  happened({
    type: 'page_seen', tab_id: tab.id, frame_id: frameId, document_id: documentId, url, origin, snapshot: message.snapshot,
  }, () => answer(false));
  return true;
});

chrome.runtime.onConnect.addListener((port) => {
  const { id, tab, url } = port.sender;
  if (id !== chrome.runtime.id || tab || url !== POPUP) {
    port.disconnect();
    return;
  }
  popup = port;
  if (waiting) chrome.notifications.clear(waiting);
  port.onDisconnect.addListener(() => {
    if (popup !== port) return;
    popup = undefined;
    happened({ type: 'popup_closed' });
  });
  port.onMessage.addListener((message) => {
    if (popup !== port) return;
    const heard = () => popup === port && port.postMessage({ type: 'heard' });
    if (message.type === 'clear_clipboard_later') {
      clearClipboardLater();
      heard();
      return;
    }
    happened(message, message.type === 'popup_action' ? heard : ignore);
    // Whatever is decided over this tab now is decided on a close look.
    if (message.type === 'popup_opened' && message.url) carryOut.look(message);
  });
});

listenAtDoor(happened);

chrome.tabs.onUpdated.addListener((tab_id, change, { url }) => {
  if (change.url !== undefined || change.status === 'loading') happened({ type: 'tab_navigated', tab_id, url });
});

chrome.tabs.onRemoved.addListener((tab_id) => {
  watched.delete(tab_id);
  happened({ type: 'tab_closed', tab_id });
});

chrome.notifications?.onButtonClicked?.addListener((lease_id) => happened({ type: 'notification_pressed', lease_id }));
chrome.notifications?.onClicked.addListener((id) => {
  const [, tab] = id.split(WAITING);
  chrome.notifications.clear(id);
  (tab ? goTo(Number(tab)) : chrome.action.openPopup()).catch(ignore);
});

chrome.alarms.onAlarm.addListener(({ name }) => {
  if (name === CLIPBOARD_ALARM) clearClipboardNow();
  else happened({ type: 'timer_rang', name });
});

onPreferences(async ({ now: preferred }) => {
  await speak(preferred.language);
  happened({ type: 'preferences_read', preferences: preferred });
});

// Somebody cleared what is stored: what is open is asked for afresh.
chrome.storage.onChanged.addListener(({ state }, area) => {
  if (area === 'session' && state && !state.newValue) forget();
});

// Both wake the worker, so that a lease that is still open is shown again.
chrome.runtime.onStartup.addListener(ignore);
chrome.runtime.onInstalled.addListener(ignore);
reloadOncePagesAreAllowed();

start().catch((error) => console.error('Latchkey did not start:', error));
