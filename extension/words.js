// Looks up words of the browser's language; empty when there is no such key.
export function words(key, args = []) {
  return chrome.i18n.getMessage(key, args);
}
