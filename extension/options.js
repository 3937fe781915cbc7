// The options page: hands what the browser knows to the WASM that draws it, and carries out what comes back. See
// wasm/src/popup/options.rs.
import init, { OptionsHandle } from './popup_view.js';
import { openLine } from './host.js';
import { dress } from './looks.js';
import { onPreferences, preferences } from './preferences.js';

// Where a browser has no way of its own to show them.
const SHORTCUTS = 'chrome://extensions/shortcuts';

let options;
let line;

const carryOut = {
  save({ preferences }) {
    chrome.storage.local.set({ preferences });
  },

  // A line of the page's own, so that the test goes the whole way that the worker goes.
  ask({ frames, deadline }) {
    let late;
    const over = (reason) => {
      clearTimeout(late);
      line = undefined;
      options.host_gone(reason);
    };
    try {
      line = openLine((frame) => options.host_said(JSON.stringify(frame)), (reason) => over(reason ?? ''));
      late = setTimeout(() => {
        line?.close();
        over();
      }, deadline);
      frames.forEach((frame) => line.send(frame));
    } catch (error) {
      over(error.message);
    }
  },

  hang_up() {
    line?.close();
    line = undefined;
  },

  shortcuts() {
    const { commands } = globalThis.browser ?? chrome;
    if (commands.openShortcutSettings) commands.openShortcutSettings();
    else chrome.tabs.create({ url: SHORTCUTS });
  },

  // The worker sees its memory go and begins anew; what is open at the host stays open.
  async clear() {
    await Promise.all([chrome.storage.local.clear(), chrome.storage.session.clear()]);
    options.cleared();
  },
};

async function show() {
  await dress();
  const { own, managed } = await preferences();
  const [command] = await chrome.commands.getAll();
  const { version } = chrome.runtime.getManifest();
  options.show(JSON.stringify({ own, managed, version, shortcut: command?.shortcut }));
  document.title = document.querySelector('h1').textContent;
}

await init({ module_or_path: chrome.runtime.getURL('popup_view_bg.wasm') });
options = new OptionsHandle(document.getElementById('options'), (deed) => {
  const { do: what, ...rest } = JSON.parse(deed);
  carryOut[what](rest);
});
onPreferences(show);
await show();
