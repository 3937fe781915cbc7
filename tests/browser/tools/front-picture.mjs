// The picture at the top of the README: the popup over Microsoft's sign-in page, as the screen shows it. Run after a change
// of the looks, with a display (Xvfb will do), ImageMagick, and the environment of the browser tests:
//   npm run front-picture
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Browser, Entra, EXTENSION_ID, Machine, pause, until } from '../lab.mjs';

const target = path.resolve(import.meta.dirname, '../../../docs/images/sign-in.png');

const entra = await Entra.start();
const machine = new Machine(entra);
await machine.install();
await machine.addTenant('Contoso');
// The icon stands beside the address, as technicians keep it.
fs.mkdirSync(path.join(machine.profile, 'Default'), { recursive: true });
fs.writeFileSync(path.join(machine.profile, 'Default/Preferences'), JSON.stringify({ extensions: { pinned_extensions: [EXTENSION_ID] } }));
const browser = await Browser.start(machine, { headless: false });
try {
  const [blank] = browser.context.pages();
  const page = await browser.page('https://portal.azure.com/?tenant=contoso.onmicrosoft.com');
  await blank.close();
  await page.waitForSelector('#i0116', { state: 'visible' });
  await until('the icon knows the page', async () => /sign in on this page/i.test((await browser.toolbar(page)).title));
  const popup = await browser.popup(page);
  await popup.see(/Sign in/);
  // The browser's own animation of the window.
  await pause(1_500);
  execFileSync('import', ['-window', 'root', '-crop', '1190x750+10+10', '+repage', target]);
} finally {
  await browser.close();
  await entra.stop();
  machine.forget();
}
