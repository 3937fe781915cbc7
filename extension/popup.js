// The popup's page: hands views from the worker to the WASM that draws them. See wasm/src/popup/mod.rs.
import { askForPages } from './access.js';
import init, { PopupHandle } from './popup_view.js';
import { dress } from './looks.js';
import { unpack } from './pack.js';
import { hasDoor } from './passkey.js';
import { preferences } from './preferences.js';
import { connect } from './shell.js';

let popup;

function received(message, tenants) {
  if (message.type === 'update_tenants') popup.list(tenants);
  else popup.receive(JSON.stringify(message));
  // The button that asked for it is gone now: the focus goes on to what can be done with it.
  if (message.type === 'show_secret') document.querySelector('.secret .primary')?.focus();
  const isUsable = message.type === 'update_popup' && message.view.screen !== 'connecting';
  if (isUsable && !performance.getEntriesByName('usable').length) performance.mark('usable');
}

// One after the other, and not before there is somebody to take them; a list is unpacked meanwhile.
let begin;
let turn = new Promise((ready) => { begin = ready; });
connect((message) => {
  turn = Promise.all([message, message.tenants && unpack(message.tenants), turn]).then(([message, tenants]) => received(message, tenants)).catch(console.error);
});
const [{ pinned }, { now: preferred }, isPrivateAllowed] = await Promise.all([
  chrome.storage.local.get('pinned'),
  preferences(),
  chrome.extension.isAllowedIncognitoAccess(),
  dress(),
  init({ module_or_path: chrome.runtime.getURL('popup_view_bg.wasm') }),
]);
askForPages(document.getElementById('access'));
popup = new PopupHandle(document.getElementById('app'));
popup.set_preferences(JSON.stringify({ ...preferred, pinned, passkeys: hasDoor }), isPrivateAllowed);
popup.tick(Date.now());
begin();
setInterval(() => popup.tick(Date.now()), 1000);
addEventListener('blur', () => popup.hide_secret());
addEventListener('pagehide', () => popup.hide_secret());
