// What a technician has done once before a passkey signs in: the permission granted, a PIN set, the passkey made and
// known everywhere. Shared by the tests and the demo.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { programs, until } from './lab.mjs';

export const PIN = '271828';

// What the tenant's administrator does: grants what passkeys need besides.
export async function allowPasskeys(entra, name) {
  const { permissions } = entra.tenant(name).app;
  await entra.control('/sim/apps', { tenant: name, permissions: [...permissions, 'UserAuthMethod-Passkey.ReadWrite.All'] });
}

// Runs `latchkey` in a terminal and answers what it asks.
export async function converse(machine, args, answers) {
  const child = spawn('script', ['-qec', `${programs.latchkey} ${args}`, '/dev/null'], { env: machine.environment, stdio: 'pipe' });
  let shown = '';
  child.stdout.on('data', (data) => {
    shown += data;
    while (answers.length && shown.includes(answers[0][0])) child.stdin.write(`${answers.shift()[1]}\n`);
  });
  const [status] = await once(child, 'close');
  if (status !== 0 || answers.length) throw new Error(`latchkey ${args}: exit ${status}\n${shown}`);
  return shown;
}

// A PIN, and a passkey that every sign-in page knows, for each account of this machine, or in these tenants.
export async function makePasskeys(machine, names) {
  // The PIN is in the session's key store, which the machines of one test run share.
  const { pin_set } = JSON.parse(await machine.latchkey(['--json', 'pin', 'show']));
  if (!pin_set) await converse(machine, 'pin set', [['New PIN', PIN], ['The same again', PIN]]);
  await converse(machine, 'prepare', [['PIN (not shown)', PIN]]);
  // A new passkey takes Microsoft half a minute.
  await until('the passkeys have arrived', async () => JSON.parse(await machine.latchkey(['--json', 'tenant', 'list']))
    .every(({ name, credential }) => credential.kind === 'passkey' || (names && !names.includes(name))), 120_000);
}

// Whether the browser's door for passkeys is open, as any page finds out. Latchkey says that there is somebody who can be
// asked for a passkey; the browser of these tests, asked itself, has nobody.
export const isDoorOpen = (page) => page.evaluate(() => PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable());
