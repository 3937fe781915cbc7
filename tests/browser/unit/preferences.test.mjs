// The preferences: what a policy may set is what the options page offers and the brain reads, and every language that
// can be chosen is there.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { json, read, root } from './built.mjs';

const { properties } = json('extension/managed_schema.json');
const page = read('wasm/src/popup/options.rs');
const offered = (name) => [...page.match(new RegExp(`let ${name} =\\s+(\\[[^;]*\\]);`))[1].matchAll(/\("(\w+)"/g)].map(([, value]) => value);

test('a policy can set every preference, and nothing else', () => {
  const controls = page.match(/for key in \[([^\]]*)\]/)[1].match(/\w+/g);
  assert.deepEqual(Object.keys(properties).sort(), controls.sort());
});

test('a policy can set what the options page offers', () => {
  assert.deepEqual(properties.stay_signed_in.enum, offered('stay'));
  assert.deepEqual(properties.theme.enum, offered('themes'));
  const portals = [...read('protocol/src/portal.rs').matchAll(/^\s+\w+ = "(\w+)", "/gm)].map(([, key]) => key);
  assert.deepEqual(properties.portal.enum, portals);
  const places = [...read('wasm/src/popup/action.rs').matchAll(/Self::\w+ => "(\w+)"/g)].map(([, key]) => key);
  assert.deepEqual(properties.place.enum.toSorted(), places.sort());
});

test('every language can be chosen, by a person and by a policy', () => {
  const there = fs.readdirSync(path.join(root, 'extension/_locales')).sort();
  const listed = read('wasm/src/preferences.rs').match(/LANGUAGES[^;]*; \d+\] =([^;]*);/)[1];
  assert.deepEqual([...listed.matchAll(/\("(\w+)"/g)].map(([, tag]) => tag).sort(), there);
  assert.deepEqual(properties.language.enum.filter((tag) => tag !== 'browser').sort(), there);
  for (const language of there) assert.equal(json('extension/_locales', language, 'messages.json').language.message, language);
});

test('the duration is bounded in one way everywhere', () => {
  assert.equal(Number(read('wasm/src/preferences.rs').match(/MAXIMUM_MINUTES: u32 = (\d+)/)[1]), properties.minutes.maximum);
});

test('every preference is documented for whoever sets it by policy', () => {
  const guide = read('docs/managed.md');
  for (const key of Object.keys(properties)) assert.match(guide, new RegExp(`\`${key}\``), key);
});
