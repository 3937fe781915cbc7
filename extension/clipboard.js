// Empties the clipboard half a minute after a credential was copied, also when the popup has been closed since.
//
// A service worker has no clipboard and a closed popup has no timer. An alarm wakes the worker, and an offscreen
// document writes for it. The clipboard is not read first: that would take a permission to read what people copy.
export const CLIPBOARD_ALARM = 'clipboard';

const SECONDS = 30;
// What the document writes is still on its way when it has loaded, and would be lost with it.
const WRITING = 1000;

export function clearClipboardLater() {
  chrome.alarms.create(CLIPBOARD_ALARM, { when: Date.now() + SECONDS * 1000 });
}

export async function clearClipboardNow() {
  // One that a worker left behind would be in the way.
  await chrome.offscreen.closeDocument().catch(() => {});
  await chrome.offscreen.createDocument({
    url: 'offscreen.html',
    reasons: ['CLIPBOARD'],
    justification: 'Empties the clipboard 30 seconds after a credential was copied to it.',
  });
  await new Promise((written) => setTimeout(written, WRITING));
  await chrome.offscreen.closeDocument();
}
