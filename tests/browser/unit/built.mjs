// What the unit tests read: the built extension, the golden messages, the sources.
import fs from 'node:fs';
import path from 'node:path';

export const root = path.resolve(import.meta.dirname, '../../..');
export const extension = process.env.LATCHKEY_EXTENSION ?? path.join(root, 'dist/chrome');
export const read = (...parts) => fs.readFileSync(path.join(root, ...parts), 'utf8');
export const json = (...parts) => JSON.parse(read(...parts));
export const fixture = (name) => json('protocol/fixtures', `${name}.json`);
export const scripts = () => fs.readdirSync(path.join(root, 'extension')).filter((name) => name.endsWith('.js'));

// The brain as the worker loads it, without a browser.
export async function brainModule() {
  const glue = fs.readFileSync(path.join(extension, 'brain.js'), 'utf8');
  const module = await import(`data:text/javascript,${encodeURIComponent(glue)}`);
  module.initSync({ module: fs.readFileSync(path.join(extension, 'brain_bg.wasm')) });
  return module;
}
