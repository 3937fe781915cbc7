// The popup's page: hands views from the worker to the WASM that draws them. See wasm/src/popup/mod.rs.
import { askForPages } from './access.js';
import init, { PopupHandle } from './popup_view.js';
import { connect, words } from './shell.js';

// The language of the words, which is not the browser's where there are none in that.
document.documentElement.lang = words('language');

let popup;
const early = [];

function received(message) {
  if (!popup) {
    early.push(message);
    return;
  }
  popup.receive(JSON.stringify(message));
  // The button that asked for it is gone now: the focus goes on to what can be done with it.
  if (message.type === 'show_secret') document.querySelector('.secret .primary')?.focus();
  const isUsable = message.type === 'update_popup' && message.view.screen !== 'connecting';
  if (isUsable && !performance.getEntriesByName('usable').length) performance.mark('usable');
}

connect(received);
askForPages(document.getElementById('access'));
const [preferences, isPrivateAllowed] = await Promise.all([
  chrome.storage.local.get(['pinned', 'portal', 'place']),
  chrome.extension.isAllowedIncognitoAccess(),
  init({ module_or_path: chrome.runtime.getURL('popup_view_bg.wasm') }),
]);
popup = new PopupHandle(document.getElementById('app'));
popup.set_preferences(JSON.stringify(preferences), isPrivateAllowed);
popup.tick(Date.now());
early.splice(0).forEach(received);
setInterval(() => popup.tick(Date.now()), 1000);
addEventListener('blur', () => popup.hide_secret());
addEventListener('pagehide', () => popup.hide_secret());
