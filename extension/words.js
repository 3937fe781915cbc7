// Looks up words: of the language that the person prefers, else of the browser's. Empty when there is no such key.
let chosen;

export async function speak(language) {
  // Anything but a language of ours is the browser's own choice.
  const file = /^[a-z]{2}$/.test(language) && await fetch(chrome.runtime.getURL(`_locales/${language}/messages.json`)).catch(() => {});
  chosen = file?.ok ? await file.json() : undefined;
}

export function words(key, args = []) {
  if (!chosen) return chrome.i18n.getMessage(key, args);
  return (chosen[key]?.message ?? '').replace(/\$(\d)/g, (_, place) => args[place - 1] ?? '');
}
