// KeePassXC-Browser as Debian packages it, for a browser that does not load extensions of manifest version 2 any more:
// its files are as they are, only the manifest is written anew, and a worker loads the scripts of its background page in
// their order and finds the names there that a page has. Without KeePassXC it is connected to nothing and fills nothing;
// it looks at pages as it always does.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export function keepassxcBrowser(packaged) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'keepassxc-browser-'));
  fs.cpSync(packaged, folder, { recursive: true, dereference: true });
  const file = path.join(folder, 'manifest.json');
  const { background, browser_action, web_accessible_resources, permissions, applications, key, minimum_chrome_version, ...rest } = JSON.parse(fs.readFileSync(file, 'utf8'));
  fs.writeFileSync(file, JSON.stringify({
    ...rest,
    manifest_version: 3,
    background: { service_worker: 'worker.js' },
    action: { default_title: browser_action.default_title },
    permissions: permissions.filter((one) => !one.includes('://') && one !== '<all_urls>' && one !== 'webRequestBlocking'),
    host_permissions: ['<all_urls>'],
    web_accessible_resources: [{ resources: web_accessible_resources, matches: ['<all_urls>'] }],
    content_security_policy: undefined,
  }));
  fs.writeFileSync(path.join(folder, 'worker.js'), `self.window = self;\nself.HTMLElement = self.Element = class {};\nchrome.browserAction = chrome.action;\nimportScripts(${background.scripts.map((script) => `'/${script}'`).join(', ')});\n`);
  return folder;
}

// What a page is given to run and to wear, in bytes.
export function contentBytes(folder) {
  const { content_scripts = [] } = JSON.parse(fs.readFileSync(path.join(folder, 'manifest.json'), 'utf8'));
  const files = content_scripts.flatMap(({ js = [], css = [] }) => [...js, ...css]);
  return files.reduce((sum, name) => sum + fs.statSync(path.join(folder, name)).size, 0);
}
