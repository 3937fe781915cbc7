// Puts a host with made-up tenants where the browser looks for ours.
import fs from 'node:fs';
import path from 'node:path';

export function hostWithTenants(machine, count) {
  const host = path.join(machine.home, 'host.sh');
  fs.writeFileSync(host, `#!/bin/sh\nTENANTS=${count} exec ${process.execPath} ${path.join(import.meta.dirname, 'many-tenants-host.mjs')}\n`, { mode: 0o755 });
  const manifest = path.join(machine.profile, 'NativeMessagingHosts/com.latchkey.host.json');
  fs.writeFileSync(manifest, JSON.stringify({ ...JSON.parse(fs.readFileSync(manifest, 'utf8')), path: host }));
}
