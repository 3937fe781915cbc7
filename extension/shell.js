// What the popup's WASM needs from the browser, and the popup's line to the worker.
import { words } from './words.js';

export { words };

let port;

// Opens the line, and opens it again when the browser has stopped and restarted the worker.
export async function connect(onMessage) {
  const [tab] = await chrome.tabs.query({ active: true, currentWindow: true });
  port = chrome.runtime.connect({ name: 'popup' });
  port.onMessage.addListener(onMessage);
  port.onDisconnect.addListener(() => setTimeout(connect, 200, onMessage));
  port.postMessage({ type: 'popup_opened', tab_id: tab?.id, url: tab?.url });
}

export function act(action) {
  port.postMessage({ type: 'popup_action', action: JSON.parse(action) });
}

export async function copy(text, secret) {
  if (secret) port.postMessage({ type: 'clear_clipboard_later' });
  await navigator.clipboard.writeText(text);
}

export function close() {
  window.close();
}
