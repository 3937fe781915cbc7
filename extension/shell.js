// What the popup's WASM needs from the browser, and the popup's line to the worker.
import { preferences } from './preferences.js';
import { words } from './words.js';

export { words };

let port;
// What was done in the popup and the worker has not heard: one that is stopped leaves it to the next.
const unheard = [];

// The tab that the popup is about: the one it was opened over. A sign-in window that a portal opened has no toolbar to
// click on; then the popup of the window behind it is about that one.
async function currentTab() {
  const [tab] = await chrome.tabs.query({ active: true, currentWindow: true });
  if (tab?.url) return tab;
  const { host_permissions: url } = chrome.runtime.getManifest();
  const windows = await chrome.tabs.query({ active: true, windowType: 'popup', url });
  return windows.length === 1 ? windows[0] : tab;
}

// Opens the line, and opens it again when the browser has stopped and restarted the worker.
export async function connect(onMessage) {
  const current = currentTab();
  const line = chrome.runtime.connect({ name: 'popup' });
  line.onMessage.addListener((message) => {
    if (message.type === 'heard') unheard.shift();
    else onMessage(message);
  });
  line.onDisconnect.addListener(() => {
    port = undefined;
    setTimeout(connect, 200, onMessage);
  });
  const tab = await current;
  line.postMessage({ type: 'popup_opened', tab_id: tab?.id, url: tab?.url });
  for (const message of unheard) line.postMessage(message);
  port = line;
}

function say(message) {
  unheard.push(message);
  port?.postMessage(message);
}

export function act(action) {
  say({ type: 'popup_action', action: JSON.parse(action) });
}

// What was pinned and chosen: ids of tenants and names of choices, nothing secret. The choices are preferences.
export async function remember(chosen) {
  const { pinned, ...choices } = JSON.parse(chosen);
  const { own } = await preferences();
  chrome.storage.local.set({ pinned, preferences: { ...own, ...choices } });
}

// What the list of tenants is sorted and searched by, a line for each.
export function index(tenants) {
  const line = ({ tenant_id, last_used, name, domains }) => [tenant_id, last_used, name, ...domains];
  return tenants.map((tenant) => line(tenant).map((part) => String(part ?? '').replace(/\s/g, ' ')).join('\t')).join('\n');
}

export async function copy(text, secret) {
  if (secret) say({ type: 'clear_clipboard_later' });
  await navigator.clipboard.writeText(text);
}

export function close() {
  window.close();
}

export function options() {
  chrome.runtime.openOptionsPage();
  window.close();
}
