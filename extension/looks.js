// What the extension's own pages look and sound like: the theme and the language that the person prefers.
import { preferences } from './preferences.js';
import { speak, words } from './words.js';

export async function dress() {
  const { now: { theme, language } } = await preferences();
  const page = document.documentElement;
  page.dataset.theme = theme ?? 'system';
  await speak(language);
  // The language of the words, which is not the browser's where there are none in that.
  page.lang = words('language');
}
