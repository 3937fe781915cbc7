// The main job, for people to watch and for a report: from the sign-in page to signed in, with one click, and back to
// dormant. Run by `cargo xtask demo`, which starts the simulated Entra and the session around it.
import fs from 'node:fs';
import path from 'node:path';
import { allowCodes, codesArrive, configure } from './codes.mjs';
import { Browser, Entra, Machine } from './lab.mjs';
import { mainJob } from './main-job.mjs';
import { allowPasskeys, makePasskeys, PIN } from './passkeys.mjs';

const { ENTRA_DETAILS, DEMO_FOLDER, DEMO_AUTO, DEMO_CREDENTIAL: credential } = process.env;
const say = (text) => process.stderr.write(`${text}\n`);

const entra = new Entra(JSON.parse(ENTRA_DETAILS));
const machine = new Machine(entra);
if (credential === 'passkey') await allowPasskeys(entra, 'Contoso');
// A tenant without passes: the password is what is left.
if (credential === 'password') await entra.control('/sim/policies', { tenant: 'Contoso', pass_enabled: false });
if (credential === 'password') await entra.pages({ proof_up: 'off' });
if (credential === 'password-totp') {
  await allowCodes(entra, 'Contoso');
  configure(machine, '[access]\ncredential = "password_totp"\none_time_codes_beta = true\n');
}
say('registering the native messaging host');
await machine.install();
say('connecting Contoso');
const account = await machine.addTenant('Contoso');
if (credential === 'passkey') {
  say('setting a PIN and making the passkey, which takes Microsoft half a minute to know');
  await makePasskeys(machine);
  if (!DEMO_AUTO) say(`the PIN is ${PIN}`);
}
if (credential === 'password-totp') {
  say('waiting until Microsoft knows the token, which takes it half a minute');
  await codesArrive(machine, 'Contoso');
}
say(`opening the browser${DEMO_AUTO ? '' : '; click the Latchkey icon (or press Alt+Shift+K), then Enter'}`);
const browser = await Browser.start(machine, { headless: !!DEMO_AUTO });
try {
  const report = await mainJob({ entra, browser, account, folder: DEMO_FOLDER, auto: !!DEMO_AUTO, say, pin: credential === 'passkey' ? PIN : undefined });
  fs.writeFileSync(path.join(DEMO_FOLDER, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
} finally {
  await browser.close();
  machine.forget();
}
