// The pictures that stores ask for, from the kept screenshots of the popup, in the stores' sizes. Run after a change of
// the looks, after `npm run screenshots`:
//   npm run store-pictures
import { chromium } from '@playwright/test';
import fs from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../../..');
const target = path.join(root, 'manifests/store/pictures');
const picture = (file) => `data:image/png;base64,${fs.readFileSync(path.join(root, file)).toString('base64')}`;

// Sentences as docs/words.md wants them.
const SCREENSHOTS = [
  ['choose-light', 'Every customer, from any tab', 'Type a name, a domain or a ticket, then press Enter. Pinned and recent ones come first.'],
  ['confirm-asking-light', 'Only what you need, only for as long as you need it', 'Profile, reason and ticket where your organisation asks for them.'],
  ['progress-light', 'One click to signed in', 'Latchkey activates your account and fills Microsoft’s sign-in page. Nobody types or copies a credential.'],
  ['active-light', 'Time left in sight', 'Extend it, open a portal in the right tenant, or end it now.'],
  ['active-dark', 'End it now, or let it end by itself', 'At the end the account loses its roles, is disabled and gets a password that nobody knows.'],
];

const style = (dark) => `*{margin:0;box-sizing:border-box}
  body{height:100vh;display:flex;align-items:center;gap:5vw;padding:0 7vw;overflow:hidden;font-family:"DejaVu Sans",sans-serif;
    background:${dark ? '#0f1c1f' : '#e4eeec'};color:${dark ? '#e8f0ef' : '#12292d'}}
  div{flex:1}h1{font-size:46px;line-height:1.15;margin-bottom:24px}p{font-size:22px;line-height:1.5}
  .shot{flex:none;max-height:720px;border-radius:8px;box-shadow:0 12px 48px #0006}`;

fs.mkdirSync(target, { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.LATCHKEY_CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const page = await browser.newPage();
async function draw(name, [width, height], content) {
  await page.setViewportSize({ width, height });
  await page.setContent(content, { waitUntil: 'load' });
  await page.screenshot({ path: path.join(target, `${name}.png`) });
}
for (const [place, [shot, title, text]] of SCREENSHOTS.entries()) {
  await draw(`screenshot-${place + 1}`, [1280, 800], `<style>${style(shot.endsWith('dark'))}</style>
    <div><h1>${title}</h1><p>${text}</p></div><img class="shot" src="${picture(`docs/screenshots/${shot}.png`)}">`);
}
const key = picture('extension/icons/known-128.png');
await draw('tile-440x280', [440, 280], `<style>${style(false)}h1{font-size:40px;margin:0}body{gap:24px;padding:0 40px}</style><img src="${key}" width="112"><div><h1>Latchkey</h1></div>`);
await draw('logo-300x300', [300, 300], `<style>*{margin:0}body{height:100vh;display:grid;place-items:center;background:#e4eeec}</style><img src="${key}" width="220">`);
await browser.close();
