// Empties the clipboard half a minute after a credential was copied, also when the popup has been closed since. Takes
// the place of extension/clipboard.js where the worker is a page without a window: that may write to the clipboard
// itself, and there are no offscreen documents.
export const CLIPBOARD_ALARM = 'clipboard';

const SECONDS = 30;

export function clearClipboardLater() {
  chrome.alarms.create(CLIPBOARD_ALARM, { when: Date.now() + SECONDS * 1000 });
}

export async function clearClipboardNow() {
  await navigator.clipboard.writeText('');
}
