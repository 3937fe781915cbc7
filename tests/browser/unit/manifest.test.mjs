// What the built manifest asks for and opens to others.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { extension, json } from './built.mjs';

const built = (name) => JSON.parse(fs.readFileSync(path.join(extension, '..', name, 'manifest.json'), 'utf8'));

// What each browser has more or less than Chrome, and why: manifests/README.md.
const PERMISSIONS = {
  chrome: ['alarms', 'clipboardWrite', 'nativeMessaging', 'notifications', 'offscreen', 'privacy', 'storage', 'webAuthenticationProxy'],
  firefox: ['alarms', 'clipboardWrite', 'nativeMessaging', 'notifications', 'privacy', 'storage'],
  safari: ['alarms', 'clipboardWrite', 'nativeMessaging', 'storage'],
};

for (const browser of ['chrome', 'edge']) {
  const manifest = built(browser);

  test(`${browser}: the key gives the id that the host allows`, () => {
    const digest = crypto.createHash('sha256').update(Buffer.from(manifest.key, 'base64')).digest('hex').slice(0, 32);
    const id = digest.replace(/[0-9a-f]/g, (digit) => String.fromCharCode(97 + parseInt(digit, 16)));
    assert.equal(id, json('manifests/extension-ids.json')[browser]);
  });
}

test('firefox: the id that the host allows, and what leaves the browser is declared', () => {
  const { gecko } = built('firefox').browser_specific_settings;
  assert.equal(gecko.id, json('manifests/extension-ids.json').firefox);
  assert.deepEqual(gecko.data_collection_permissions, { required: ['authenticationInfo', 'browsingActivity'] });
});

for (const browser of ['chrome', 'edge', 'firefox', 'safari']) {
  const manifest = built(browser);

  test(`${browser}: only these permissions, and only sign-in hosts`, () => {
    assert.deepEqual(manifest.permissions, PERMISSIONS[browser] ?? PERMISSIONS.chrome);
    assert.deepEqual(manifest.content_scripts[0].matches, manifest.host_permissions);
    for (const pattern of manifest.host_permissions) assert.match(pattern, /^https:\/\/login(\.[a-z]+)+\/\*$/);
    assert.ok(!manifest.host_permissions.some((pattern) => /live\.com|windows\.net|\*\./.test(pattern)));
  });

  test(`${browser}: closed to pages`, () => {
    for (const name of ['web_accessible_resources', 'externally_connectable', 'optional_permissions', 'optional_host_permissions']) {
      assert.equal(manifest[name], undefined, name);
    }
    const policy = manifest.content_security_policy.extension_pages;
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe-inline|'unsafe-eval'|https?:/);
    assert.ok(manifest.content_scripts.every((script) => script.all_frames === false && script.world === undefined));
  });

  // One worker for ordinary and private windows: a lease is open in both. Safari knows no other.
  test(`${browser}: one worker for ordinary and private windows`, () => {
    assert.equal(manifest.incognito, browser === 'safari' ? undefined : 'spanning');
  });

  test(`${browser}: every file that it names is there`, () => {
    const named = [
      ...[manifest.background.service_worker ?? manifest.background.scripts].flat(), manifest.action.default_popup, ...Object.values(manifest.icons),
      manifest.options_ui.page, ...(manifest.storage ? [manifest.storage.managed_schema] : []),
      ...Object.values(manifest.action.default_icon), ...manifest.content_scripts.flatMap((script) => script.js),
    ];
    for (const name of named) assert.ok(fs.existsSync(path.join(extension, '..', browser, name)), name);
  });
}
