// What Xcode is given for Safari, as far as it can be checked without a Mac: property lists that can be read, with the
// keys that Safari, the sandbox and the app group need, and names that agree with each other and with the Rust.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { read } from './built.mjs';

// A strict reader of the XML that these files are written in; anything else is an error.
function plist(text) {
  const tokens = [...text.matchAll(/<[^>]+>|[^<]+/g)].map(([token]) => token.trim()).filter(Boolean);
  assert.match(tokens.shift(), /^<\?xml version="1\.0" encoding="UTF-8"\?>$/);
  assert.match(tokens.shift(), /^<!DOCTYPE plist /);
  const expect = (token) => assert.equal(tokens.shift(), token);
  const text_until = (end) => {
    const value = tokens[0] === end ? '' : tokens.shift();
    expect(end);
    return value;
  };
  function value() {
    const token = tokens.shift();
    if (token === '<true/>' || token === '<false/>') return token === '<true/>';
    if (token === '<string>') return text_until('</string>');
    if (token === '<array>') {
      const all = [];
      while (tokens[0] !== '</array>') all.push(value());
      tokens.shift();
      return all;
    }
    assert.equal(token, '<dict>');
    const all = {};
    while (tokens[0] !== '</dict>') {
      expect('<key>');
      const key = text_until('</key>');
      assert.ok(!(key in all), `${key} stands there twice`);
      all[key] = value();
    }
    tokens.shift();
    return all;
  }
  expect('<plist version="1.0">');
  const root = value();
  expect('</plist>');
  assert.deepEqual(tokens, []);
  return root;
}

const file = (name) => plist(read('manifests/safari', name));
const project = read('manifests/safari/project.yml');
const handler = read('manifests/safari/handler/src/handler.rs');

test('the extension is a Safari web extension and its handler has the name that the Rust registers', () => {
  const { NSExtension } = file('Extension/Info.plist');
  assert.equal(NSExtension.NSExtensionPointIdentifier, 'com.apple.Safari.web-extension');
  const [, name] = /#\[name = "(\w+)"\]/.exec(handler);
  assert.equal(NSExtension.NSExtensionPrincipalClass, name);
});

test('app and extension share one folder and one access group, in the sandbox, and may do nothing else', () => {
  for (const name of ['App/App.entitlements', 'Extension/Extension.entitlements']) {
    assert.deepEqual(file(name), {
      'com.apple.security.app-sandbox': true,
      'com.apple.security.application-groups': ['$(TeamIdentifierPrefix)com.latchkey'],
      'com.apple.security.network.client': true,
      'keychain-access-groups': ['$(AppIdentifierPrefix)com.latchkey'],
    }, name);
  }
  for (const name of ['App/Info.plist', 'Extension/Info.plist']) {
    assert.equal(file(name).LatchkeyAppGroup, '$(TeamIdentifierPrefix)com.latchkey', name);
  }
  assert.match(handler, /ns_string!\("LatchkeyAppGroup"\)/);
});

test('every bundle says what it is', () => {
  for (const [name, kind] of [['App/Info.plist', 'APPL'], ['Extension/Info.plist', '$(PRODUCT_BUNDLE_PACKAGE_TYPE)']]) {
    const info = file(name);
    assert.equal(info.CFBundlePackageType, kind);
    for (const key of ['CFBundleIdentifier', 'CFBundleExecutable', 'CFBundleName', 'CFBundleShortVersionString', 'CFBundleVersion', 'LSMinimumSystemVersion']) {
      assert.match(info[key], /^\$\(\w+\)$/, `${name}: ${key} comes from the project`);
    }
  }
});

test('the project names files that are there, and the names agree', () => {
  for (const [, name] of project.matchAll(/^ +(?:INFOPLIST_FILE|CODE_SIGN_ENTITLEMENTS): (\S+)/gm)) file(name);
  for (const [, name] of project.matchAll(/^ {6}- (\S+\.c)$/gm)) assert.ok(read('manifests/safari', name));
  const [, app] = /PRODUCT_BUNDLE_IDENTIFIER: (com\.latchkey\.app)$/m.exec(project);
  assert.match(project, new RegExp(`PRODUCT_BUNDLE_IDENTIFIER: ${app}\\.extension$`, 'm'));
  assert.match(read('manifests/safari/handler/src/app.rs'), new RegExp(`"${app}\\.extension"`));
  assert.match(read('manifests/safari/App/main.c'), /latchkey_app_main/);
  assert.match(project, /-force_load,\$\{LATCHKEY_LIBRARY\}\/liblatchkey_safari\.a/);
});
