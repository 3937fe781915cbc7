// What a customer's administrator and a technician have done once before one-time codes sign in: Microsoft's half on,
// ours switched on in the configuration, the token made and known everywhere. Shared by the tests and the demo.
import fs from 'node:fs';
import path from 'node:path';
import { until } from './lab.mjs';

// What the tenant's administrator does: switches the method on and grants what tokens need. They need Entra ID P1.
export async function allowCodes(entra, name) {
  const { permissions } = entra.tenant(name).app;
  const needed = ['Policy.ReadWrite.AuthenticationMethod', 'UserAuthMethod-HardwareOATH.ReadWrite.All'];
  await entra.control('/sim/apps', { tenant: name, permissions: [...permissions, ...needed] });
  await entra.control('/sim/policies', { tenant: name, hardware_oath: { state: 'enabled' }, licence: 'p1' });
}

// What the technician does before connecting the tenant.
export function configure(machine, text) {
  const file = path.join(machine.home, '.config/latchkey/config.toml');
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text);
}

// A new token takes Microsoft half a minute.
export async function codesArrive(machine, name) {
  await until('the code has arrived', async () => JSON.parse(await machine.latchkey(['--json', 'tenant', 'list']))
    .some((tenant) => tenant.name === name && tenant.credential.kind === 'password_totp'), 120_000);
}
