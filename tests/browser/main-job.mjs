// The main job, step by step as a technician sees it, with a picture of each step. Shared by the demo and the test.
import path from 'node:path';
import { pause, until } from './lab.mjs';

const seen = ({ accountEnabled, roles }) => ({ enabled: accountEnabled, roles });

export async function mainJob({ entra, browser, account, folder, auto = true, say = () => {}, pin }) {
  const picture = (name) => path.join(folder, `${name}.png`);
  const before = seen(await entra.account(account));

  say('opening portal.azure.com, which sends us to the sign-in page');
  const page = await browser.page('https://portal.azure.com/?tenant=contoso.onmicrosoft.com');
  await page.waitForSelector('#i0116', { state: 'visible' });
  await until('the toolbar icon knows the page', async () => /sign in on this page/i.test((await browser.toolbar(page)).title));
  await page.screenshot({ path: picture('1-sign-in-page') });

  let popup;
  const steps = [];
  let clicked = performance.now();
  const step = (name) => {
    steps.push({ name, ms: Math.round(performance.now() - clicked) });
    say(`${String(steps.at(-1).ms).padStart(8)} ms  ${name}`);
  };
  if (auto) {
    popup = await browser.popup(page);
    await popup.see(/Contoso/);
    await popup.screenshot(picture('2-popup'));
    say('pressing Enter');
    clicked = performance.now();
    step('click');
    await popup.press('Enter');
    if (pin) {
      await popup.see(/it is you/);
      say('typing the PIN');
      await popup.type(pin);
      await popup.press('Enter');
    }
    await follow(popup, picture('3-progress'), step);
  }
  // A person takes as long as a person takes.
  await page.waitForURL('https://portal.azure.com/**', { timeout: auto ? 60_000 : 0 });
  await page.waitForSelector('#signed-in-as');
  step('signed in to the portal');
  await page.screenshot({ path: picture('4-portal') });

  const signed_in_as = (await page.textContent('#signed-in-as')).trim();
  const roles = (await page.locator('#roles li').allTextContents()).map((role) => role.trim());
  const during = seen(await entra.account(account));

  popup ??= await browser.popup(page);
  await popup.see(/is active/);
  await popup.screenshot(picture('5-active'));
  const ended = performance.now();
  await popup.click('End now');
  const after = await until('the account is dormant again', async () => {
    const { accountEnabled, roles } = await entra.account(account);
    return !accountEnabled && !roles.length && { enabled: accountEnabled, roles };
  }, 60_000);
  steps.push({ name: 'end now → dormant', ms: Math.round(performance.now() - ended) });
  say(`${String(steps.at(-1).ms).padStart(8)} ms  end now → dormant`);
  await pause(500);
  await popup.screenshot(picture('6-ended')).catch(() => {});
  return { steps, account: { before, during, after }, signed_in_as, roles };
}

// Notes when each step of the popup's list is done, until the list is gone or complete.
async function follow(popup, picture, step) {
  const done = new Set();
  let pictured = false;
  for (const end = Date.now() + 60_000; Date.now() < end;) {
    const rows = await popup.evaluate(`[...document.querySelectorAll('ol li')].map((row) => [row.dataset.state ?? row.className, row.innerText])`)
      .catch(() => []);
    if (rows.length && !pictured) {
      pictured = true;
      await popup.screenshot(picture).catch(() => {});
    }
    for (const [state, text] of rows) {
      const label = text.split('\n')[0].trim();
      if (/done/.test(state) && !done.has(label)) {
        done.add(label);
        step(label);
      }
    }
    if (pictured && !rows.length) return;
    await pause(20);
  }
}
