// Sign-in pages that the browser keeps from the extension: Firefox and Safari let a person withhold them, Chrome and
// Edge do when somebody chooses "on click". Without them nothing is seen and nothing can be filled, so the popup asks.
import { words } from './words.js';

const { host_permissions: origins } = chrome.runtime.getManifest();

// Shows the question in `box` as long as it has to be asked.
export async function askForPages(box) {
  const [text, button] = box.children;
  text.textContent = words('pages_withheld');
  button.textContent = words('allow_pages');
  // The browser asks the person only in answer to a click.
  button.addEventListener('click', () => chrome.permissions.request({ origins }).then(() => show(box)));
  await show(box);
}

async function show(box) {
  box.hidden = await chrome.permissions.contains({ origins });
}

// For the worker: pages that are open get no content script afterwards, so the one in front is loaded again.
export function reloadOncePagesAreAllowed() {
  chrome.permissions.onAdded.addListener(async () => {
    for (const { id } of await chrome.tabs.query({ active: true, url: origins })) chrome.tabs.reload(id);
  });
}
