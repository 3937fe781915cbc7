// The browser may stop the worker, and people may close the browser, at any moment: no sign-in, lease or secret is lost or
// left behind.
import { dormant, expect, pause, signInPage, test, until } from './fixtures.mjs';

async function killWorker(page, browser) {
  const cdp = await browser.context.newCDPSession(page);
  await cdp.send('ServiceWorker.enable');
  await cdp.send('ServiceWorker.stopAllWorkers');
  await cdp.detach();
}

async function start(browser) {
  const page = await signInPage(browser);
  await page.waitForSelector('#i0116', { state: 'visible' });
  const popup = await browser.popup(page);
  await popup.see(/User Administrator/);
  await popup.press('Enter');
  return { page, popup };
}

for (const [name, knobs, moment] of [
  ['while the account is being activated', { round_trip_ms: 2000 }, 600],
  ['while Microsoft does not accept the account yet', { sign_in_lag_ms: 6000 }, 2500],
  ['between the credential and the portal', {}, 900],
]) {
  test(`the worker is stopped ${name}`, async ({ entra, machine, desktop: browser }) => {
    await entra.knobs(knobs);
    const { page } = await start(browser);
    await pause(moment);
    await killWorker(page, browser);
    await page.waitForSelector('#signed-in-as', { timeout: 90_000 });
    expect(await page.textContent('#signed-in-as')).toContain(machine.accounts.Contoso);
    await entra.knobs({ round_trip_ms: 0 });
    expect((await machine.leases()).length).toBe(1);
    await machine.latchkey(['end', '--all']);
    expect(await dormant(entra, machine.accounts.Contoso)).toBe(true);
  });
}

test('the browser is closed in the middle: the sweep ends what is due', async ({ entra, machine, desktop: browser }) => {
  await entra.knobs({ sign_in_lag_ms: 20_000 });
  const page = await signInPage(browser);
  await page.waitForSelector('#i0116', { state: 'visible' });
  const popup = await browser.popup(page);
  await popup.see(/User Administrator/);
  await popup.evaluate(`(() => { const box = document.querySelector('#minutes'); box.value = '1'; box.dispatchEvent(new Event('input', { bubbles: true })); })()`);
  await popup.press('Enter');
  await until('active', async () => (await entra.account(machine.accounts.Contoso)).accountEnabled);
  await browser.close();
  const [lease] = await machine.leases();
  expect(lease.state).toMatch(/active|usable|activating/);
  await until('the lease is over', async () => {
    await machine.latchkey(['sweep', '--quiet'], { code: null });
    return dormant(entra, machine.accounts.Contoso);
  }, 90_000);
  expect(await machine.leases()).toEqual([]);
});

test('the portal can be used while the popup is closed, and the popup shows the lease again', async ({ entra, machine, desktop: browser }) => {
  const { page, popup } = await start(browser);
  await popup.close();
  await page.waitForSelector('#signed-in-as');
  await killWorker(page, browser);
  await pause(500);
  const again = await browser.popup(page).catch(async () => {
    // With the worker stopped there is nobody to ask for the popup; an event wakes it.
    await page.reload();
    await page.waitForSelector('#signed-in-as');
    await browser.page('https://login.microsoftonline.com/contoso.onmicrosoft.com/gallery/error');
    return browser.popup(page);
  });
  await again.see(/is active/);
  await again.click('End now');
  await until('dormant', () => dormant(entra, machine.accounts.Contoso), 60_000);
});
