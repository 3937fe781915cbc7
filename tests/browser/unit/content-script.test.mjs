// What must hold for the code that runs inside the sign-in page, as text: its size, its table, and what it never uses.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { brainModule, extension } from './built.mjs';

const source = fs.readFileSync(path.join(extension, 'content.js'), 'utf8');

test('at most 8 KB', () => assert.ok(Buffer.byteLength(source) <= 8192, String(Buffer.byteLength(source))));

test('the table of elements is that of the brain', async () => {
  const { element_table_json } = await brainModule();
  const [, body] = /[=]\{(user_name:.*?)\}/s.exec(source);
  const table = Object.fromEntries([...body.matchAll(/(\w+):"([^"]+)"/g)].map(([, key, selector]) => [key, selector]));
  assert.deepEqual(table, JSON.parse(element_table_json()));
});

for (const [what, pattern] of [
  ['writes HTML', /innerHTML|outerHTML|insertAdjacent|document\.write/],
  ['adds nodes', /createElement|append\(|appendChild|attachShadow|adoptedStyleSheets/],
  ['hears what the page says', /'message'|onmessage|CustomEvent|wrappedJSObject/],
  ['writes a log', /console\./],
  ['stores anything', /localStorage|sessionStorage|indexedDB|chrome\.storage|document\.cookie/],
  ['talks to anything but the worker', /fetch\(|XMLHttpRequest|WebSocket|sendBeacon|WebAssembly/],
  ['reads a field through what the page may have shadowed', /document\.forms|\.elements\b(?!\.push)\[/],
]) {
  test(`it never ${what}`, () => assert.doesNotMatch(source, pattern));
}
