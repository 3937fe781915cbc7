// What the built manifest asks for and opens to others.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { extension, json, root } from './built.mjs';

const built = (name) => JSON.parse(fs.readFileSync(path.join(extension, '..', name, 'manifest.json'), 'utf8'));

for (const browser of ['chrome', 'edge']) {
  const manifest = built(browser);

  test(`${browser}: the key gives the id that the host allows`, () => {
    const digest = crypto.createHash('sha256').update(Buffer.from(manifest.key, 'base64')).digest('hex').slice(0, 32);
    const id = digest.replace(/[0-9a-f]/g, (digit) => String.fromCharCode(97 + parseInt(digit, 16)));
    assert.equal(id, json('manifests/extension-ids.json')[browser]);
  });

  test(`${browser}: only these permissions, and only sign-in hosts`, () => {
    assert.deepEqual(manifest.permissions, ['alarms', 'clipboardWrite', 'nativeMessaging', 'notifications', 'offscreen', 'privacy', 'storage']);
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

  test(`${browser}: every file that it names is there`, () => {
    const named = [
      manifest.background.service_worker, manifest.action.default_popup, ...Object.values(manifest.icons),
      ...Object.values(manifest.action.default_icon), ...manifest.content_scripts.flatMap((script) => script.js),
    ];
    for (const name of named) assert.ok(fs.existsSync(path.join(root, 'dist', browser, name)) || fs.existsSync(path.join(extension, name)), name);
  });
}
