// What the person prefers, with what the organisation sets laid over it. Keys and values: wasm/src/preferences.rs.

export async function preferences() {
  const [{ preferences: own = {} }, managed] = await Promise.all([
    chrome.storage.local.get('preferences'),
    // Refused by browsers that nobody manages, and not there in every one.
    Promise.resolve(chrome.storage.managed?.get(null)).catch(() => ({})),
  ]);
  return { own, managed: managed ?? {}, now: { ...own, ...managed } };
}

// Also when the organisation changes something while the browser runs.
export function onPreferences(changed) {
  chrome.storage.onChanged.addListener((changes, area) => {
    if (area === 'managed' || (area === 'local' && changes.preferences)) preferences().then(changed);
  });
}
