// The popup's page: hands views from the worker to the WASM that draws them. See wasm/src/popup/mod.rs.
import { askForPages } from './access.js';
import init, { PopupHandle } from './popup_view.js';
import { connect, words } from './shell.js';

// The language of the words, which is not the browser's where there are none in that.
document.documentElement.lang = words('language');

let popup;
const early = [];

function received(message) {
  if (!popup) early.push(message);
  else if (message.type === 'update_popup') show(message.view);
  else if (message.type === 'show_secret') showSecret(message);
}

// The button that asked for it is gone now: the focus goes on to what can be done with it.
function showSecret(message) {
  popup.show_secret(JSON.stringify(message));
  document.querySelector('.secret .primary')?.focus();
}

function show(view) {
  popup.render(JSON.stringify(view));
  if (view.screen !== 'connecting' && !performance.getEntriesByName('usable').length) performance.mark('usable');
}

connect(received);
askForPages(document.getElementById('access'));
await init({ module_or_path: chrome.runtime.getURL('popup_view_bg.wasm') });
popup = new PopupHandle(document.getElementById('app'));
popup.tick(Date.now());
early.splice(0).forEach(received);
setInterval(() => popup.tick(Date.now()), 1000);
addEventListener('blur', () => popup.hide_secret());
addEventListener('pagehide', () => popup.hide_secret());
