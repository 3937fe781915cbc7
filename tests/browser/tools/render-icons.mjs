// Draws the toolbar icons: one key, five states, four sizes. Run once after a change of the drawing:
//   node tools/render-icons.mjs
// The states differ by shape as well as by colour, so that they can be told apart without seeing colours.
import { chromium } from '@playwright/test';
import fs from 'node:fs';
import path from 'node:path';

const target = path.resolve(import.meta.dirname, '../../../extension/icons');
const browserPath = process.env.LATCHKEY_CHROMIUM ?? '/usr/bin/chromium';

// A key lying diagonally on a 32 unit grid: the bow above left, the bit below right.
const bow = '<circle cx="11.5" cy="11.5" r="7" fill="BOW" stroke="INK" stroke-width="4"/>';
const blade = '<path d="M16.8 16.8 27.5 27.5M22 22l4-4M26 26l3-3" fill="none" stroke="INK" stroke-width="4" stroke-linecap="round" stroke-linejoin="round"/>';
const key = (ink, fill) => (blade + bow).replaceAll('INK', ink).replaceAll('BOW', fill);

const states = {
  // Nothing to do here: an outlined key.
  idle: key('#7b8794', 'none'),
  // A sign-in page that Latchkey knows: the bow is filled.
  known: key('#1f5fbf', '#bcd6ff'),
  // Working: three quarters of a ring instead of the bow.
  busy: blade.replaceAll('INK', '#a35b00')
    + '<circle cx="11.5" cy="11.5" r="7" fill="none" stroke="#a35b00" stroke-width="4" stroke-dasharray="7.6 3.4" stroke-linecap="butt"/>',
  // An account is active: a solid disc with a tick.
  active: blade.replaceAll('INK', '#0b7a4b')
    + '<circle cx="11.5" cy="11.5" r="10" fill="#0b7a4b"/><path d="m6.8 11.8 3.4 3.4 6-6.6" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"/>',
  // Somebody must look: a triangle with an exclamation mark.
  problem: blade.replaceAll('INK', '#b3261e')
    + '<path d="M12 1.5 23 21.5H1Z" fill="#b3261e" stroke="#b3261e" stroke-width="2" stroke-linejoin="round"/><path d="M12 8v6.2M12 17.6v.4" stroke="#fff" stroke-width="2.8" stroke-linecap="round"/>',
};

fs.mkdirSync(target, { recursive: true });
const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] });
const page = await browser.newPage();
for (const [state, drawing] of Object.entries(states)) {
  for (const size of [16, 32, 48, 128]) {
    await page.setViewportSize({ width: size, height: size });
    await page.setContent(`<style>*{margin:0}svg{display:block}</style><svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}" viewBox="0 0 32 32">${drawing}</svg>`);
    await page.screenshot({ path: path.join(target, `${state}-${size}.png`), omitBackground: true });
  }
}
await page.setViewportSize({ width: 900, height: 200 });
await page.setContent(`<body style="background:#fff;font:12px sans-serif">${Object.entries(states).map(([s, d]) => [128, 48, 32, 16].map((z) => `<svg width="${z * 0.6}" viewBox="0 0 32 32">${d}</svg>`).join(' ')).join(' ')}</body>`);
if (process.argv[2]) await page.screenshot({ path: process.argv[2] });
await browser.close();
