// Every word that is shown exists in every language, and none is kept that nothing shows.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fixture, json, read, root, scripts } from './built.mjs';

const languages = fs.readdirSync(path.join(root, 'extension/_locales'));
const messages = (language) => json('extension/_locales', language, 'messages.json');
const places = (text) => [...text.matchAll(/\$\d/g)].map(([place]) => place).sort().filter((place, at, all) => place !== all[at - 1]);

// The closed list of the crate, with the English beside each key.
const list = [...read('wasm/src/words.rs').matchAll(/^\s*[A-Z]\w* = "(\w+)",\s*"((?:[^"\\]|\\.)*)";/gm)];

function used() {
  const keys = new Set(list.map(([, key]) => key));
  for (const [, name] of fixture('error-codes')) keys.add(`error_${name}`);
  for (const browser of ['chrome', 'edge']) {
    for (const [, key] of read('manifests', `${browser}.json`).matchAll(/__MSG_(\w+)__/g)) keys.add(key);
  }
  for (const script of scripts()) {
    for (const [, key] of read('extension', script).matchAll(/\bwords\('(\w+)'/g)) keys.add(key);
  }
  return keys;
}

// The variants of the lists, and all the Rust that could show them.
const variants = [...read('wasm/src/words.rs').matchAll(/^\s*([A-Z]\w*) = "\w+",\s*"/gm)].map(([, variant]) => variant);
const rust = fs.readdirSync(path.join(root, 'wasm/src'), { recursive: true })
  .filter((name) => name.endsWith('.rs') && name !== 'words.rs')
  .map((name) => read('wasm/src', name)).join('\n');

test('no word is listed that nothing shows', () => {
  const shown = new Set([...rust.matchAll(/\b(?:Options)?Word::(\w+)/g)].map(([, variant]) => variant));
  assert.deepEqual(variants.filter((variant) => !shown.has(variant)), []);
});

test('the list of words was read', () => assert.ok(list.length > 100, String(list.length)));

test('English says what the list says', () => {
  const english = messages('en');
  for (const [, key, text] of list) assert.equal(english[key]?.message, text.replaceAll('\\"', '"'), key);
});

for (const language of languages) {
  test(`${language} has every key that is used, and no other`, () => {
    assert.deepEqual(Object.keys(messages(language)).sort(), [...used()].sort());
  });

  test(`${language} keeps the places of every sentence`, () => {
    const english = messages('en');
    for (const [key, { message }] of Object.entries(messages(language))) {
      assert.ok(message.trim(), key);
      assert.deepEqual(places(message), places(english[key].message), key);
    }
  });
}
