// How every state looks and reads: light, dark, German, from right to left, at 200 %. axe finds nothing, nothing sticks
// out at the side, every control has a name. The pictures go to target/browser-screenshots; `npm run screenshots` keeps
// the chosen ones in docs/screenshots.
import { test as base } from '@playwright/test';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Gallery, optionsStates, popupStates } from '../gallery.mjs';
import { expect, picture } from './fixtures.mjs';

const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const kept = process.env.LATCHKEY_SCREENSHOTS;

const ways = {
  light: { theme: 'light' },
  dark: { theme: 'dark' },
  german: { theme: 'light', language: 'de' },
  japanese: { theme: 'light', language: 'ja' },
  'right-to-left': { theme: 'light', dir: 'rtl' },
  large: { theme: 'light', language: 'de', zoom: '28px' },
};

// Which pictures people are shown.
const SHOWN = [
  ...Object.keys(popupStates).filter((name) => name !== 'connecting').map((name) => `${name}-light`),
  ...['choose', 'progress', 'active'].map((name) => `${name}-dark`),
  ...Object.keys(optionsStates).map((name) => `${name}-light`), 'options-dark',
  ...['confirm', 'active'].flatMap((name) => [`${name}-german`, `${name}-right-to-left`]),
];

// One browser for all of them: nothing that is drawn is kept.
const test = base.extend({
  browser: [async ({}, use) => {
    const gallery = await Gallery.open();
    await use(gallery);
    await gallery.close();
  }, { scope: 'worker' }],

  gallery: async ({ browser: gallery }, use) => {
    gallery.errors.length = 0;
    await gallery.page.emulateMedia({ colorScheme: null, reducedMotion: null });
    await use(gallery);
    expect(gallery.errors).toEqual([]);
  },
});

async function check(gallery, name) {
  const { page } = gallery;
  const found = await page.evaluate(`${axe};axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html.slice(0, 120)).join(' | ')))`);
  expect.soft(found, name).toEqual([]);
  const inside = await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);
  expect.soft(inside, `${name}: nothing sticks out at the side`).toBe(true);
  // A key that has no words stands there as itself.
  expect.soft(await page.evaluate(() => document.body.innerText), name).not.toMatch(/\b[a-z]+(_[a-z]+)+\b|\$\d/);
  if (!name.endsWith('-large')) await gallery.picture(picture(`looks/${name}`));
  if (kept && SHOWN.includes(name)) fs.copyFileSync(picture(`looks/${name}`), path.join(kept, `${name}.png`));
}

for (const [way, preferred] of Object.entries(ways)) {
  test(`the popup, ${way}`, async ({ gallery }) => {
    await gallery.visit('popup', preferred);
    for (const [name, state] of Object.entries(popupStates)) {
      await gallery.popup(state);
      const screen = state.view.screen.replace('choose_tenant', 'choose').replaceAll('_', '-');
      await expect(gallery.page.locator('#app')).toHaveClass(new RegExp(`screen-${screen}\\b`));
      await check(gallery, `${name}-${way}`);
    }
  });

  test(`the options, ${way}`, async ({ gallery }) => {
    for (const [name, state] of Object.entries(optionsStates)) {
      await gallery.visit('options', preferred);
      await gallery.options(state);
      await expect(gallery.page.locator('h2')).toHaveCount(5);
      await check(gallery, `${name}-${way}`);
    }
  });
}

test('the theme that is preferred wins over the system', async ({ gallery }) => {
  const paper = () => gallery.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await gallery.page.emulateMedia({ colorScheme: 'dark' });
  await gallery.visit('popup', {});
  const dark = await paper();
  await gallery.visit('popup', { theme: 'light' });
  const light = await paper();
  expect(light).not.toBe(dark);
  await gallery.page.emulateMedia({ colorScheme: 'light' });
  await gallery.visit('popup', {});
  expect(await paper()).toBe(light);
  await gallery.visit('popup', { theme: 'dark' });
  expect(await paper()).toBe(dark);
});

test('with reduced motion nothing moves, and the mark of a step under way stays', async ({ gallery }) => {
  const moving = () => gallery.page.evaluate(() => getComputedStyle(document.querySelector('.step-running'), '::before').animationName);
  await gallery.visit('popup', {});
  await gallery.popup(popupStates.progress);
  expect(await moving()).toBe('turn');
  await gallery.page.emulateMedia({ reducedMotion: 'reduce' });
  expect(await moving()).toBe('none');
});

test('a screen that arrives begins at its first control, unless the person is at the question about sign-in pages', async ({ gallery }) => {
  const focused = () => gallery.page.evaluate(() => document.activeElement.closest('#access, #app [data-default]')?.id ?? 'elsewhere');
  await gallery.visit('popup', {});
  await gallery.popup(popupStates.active);
  expect(await focused()).toBe('');

  await gallery.visit('popup', {});
  await gallery.page.evaluate(() => {
    const access = document.createElement('aside');
    access.innerHTML = '<button type="button">Allow</button>';
    access.id = 'access';
    document.getElementById('access').replaceWith(access);
    access.firstChild.focus();
  });
  await gallery.popup(popupStates.active);
  expect(await focused()).toBe('access');
});

test('a second Enter after the click stops nothing: the focus is on no button of a sign-in, and Tab reaches Stop', async ({ gallery }) => {
  const focused = () => gallery.page.evaluate(() => document.activeElement.dataset.do ?? document.activeElement.id);
  await gallery.visit('popup', {});
  await gallery.popup(popupStates.confirm);
  expect(await focused()).toBe('start');
  await gallery.popup(popupStates.progress);
  expect(await focused()).toBe('');
  // From the top, wherever the browser goes on after a control that is gone.
  await gallery.page.evaluate(() => {
    document.body.tabIndex = -1;
    document.body.focus();
  });
  const reached = new Set();
  for (let step = 0; step < 6; step++) {
    await gallery.page.keyboard.press('Tab');
    reached.add(await focused());
  }
  expect([...reached]).toContain('stop');
  // Who is there is asked in the middle of it: what is typed goes into the box.
  await gallery.popup(popupStates['who-is-there']);
  expect(await focused()).toBe('pin');
});

test('every control shows where the focus is, by keyboard, in both themes', async ({ gallery }) => {
  for (const theme of ['light', 'dark']) {
    for (const [page, states] of [['popup', popupStates], ['options', optionsStates]]) {
      await gallery.visit(page, { theme });
      await gallery[page](Object.values(states).at(page === 'popup' ? 6 : 0));
      const count = await gallery.page.locator('button:visible, input:visible:enabled, select:visible:enabled, summary:visible').count();
      const seen = new Set();
      // From the top, wherever the screen began.
      await gallery.page.evaluate(() => {
        document.body.tabIndex = -1;
        document.body.focus();
      });
      for (let step = 0; step < count; step++) {
        await gallery.page.keyboard.press('Tab');
        const focused = await gallery.page.evaluate(() => {
          const at = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(at);
          return { what: at.id || at.dataset.do + at.dataset.for + at.textContent, ring: `${outlineStyle} ${outlineWidth}` };
        });
        expect(focused.ring, focused.what).toBe('solid 3px');
        seen.add(focused.what);
      }
      expect(seen.size, `${page}: each control once`).toBe(count);
    }
  }
});
