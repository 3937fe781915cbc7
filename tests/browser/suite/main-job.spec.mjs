// From the Entra sign-in page to signed in, with one click, and back to dormant: once with each kind of credential.
import path from 'node:path';
import { mainJob } from '../main-job.mjs';
import { dormant, expect, picture, portal, signInPage, test, until, written } from './fixtures.mjs';

test.describe('Contoso: a Temporary Access Pass', () => {
  test('dormant before, active during, dormant after', async ({ entra, machine, desktop: browser }) => {
    const account = machine.accounts.Contoso;
    const report = await mainJob({ entra, browser, account, folder: path.dirname(picture('.')) });

    expect(report.account.before).toEqual({ enabled: false, roles: [] });
    expect(report.account.during.enabled).toBe(true);
    expect(report.account.during.roles).toContain('User Administrator');
    expect(report.account.after).toEqual({ enabled: false, roles: [] });
    expect(report.signed_in_as).toContain(account);
    expect(report.roles.join()).toContain('User Administrator');
    expect(report.steps.map(({ name }) => name)).toContain('Fill the credential');

    const { attempts, stay_signed_in: stay } = await entra.journal();
    expect(attempts).toHaveLength(1);
    expect(attempts[0]).toMatchObject({ matched: true, error: 0, user_name: account, fields: ['accesspass'], view: '56', host: 'login.microsoftonline.com' });
    expect(stay).toHaveLength(1);
    expect(stay[0].stay, 'Stay signed in? is answered with No').toBe(false);
    for (const { observed } of [...attempts, ...stay]) {
      expect(Object.keys(observed.fields ?? {}).filter((key) => key.endsWith(':decoy')), 'decoys').toEqual([]);
      expect(observed.busyClicks ?? 0, 'clicks while the cover is up').toBe(0);
    }
  });

  test('the extension leaves no trace in the document and no secret in its storage', async ({ machine, desktop: browser }) => {
    const page = await signInPage(browser);
    await page.waitForSelector('#i0116', { state: 'visible' });
    const popup = await browser.popup(page);
    await popup.see(/Contoso/);
    const foreign = () => page.evaluate(() => ({
      mentions: /chrome-extension:|latchkey/i.test(document.documentElement.outerHTML),
      names: Object.keys(window).filter((name) => /latchkey|chrome_ext/i.test(name)),
      shadows: [...document.querySelectorAll('*')].filter((node) => node.shadowRoot).length,
    }));
    expect(await foreign()).toEqual({ mentions: false, names: [], shadows: 0 });
    await popup.press('Enter');
    await page.waitForSelector('#signed-in-as');

    const worker = await browser.worker();
    const stored = await worker.evaluate(async () => JSON.stringify([
      await chrome.storage.session.get(null), await chrome.storage.local.get(null), await chrome.storage.sync.get(null),
    ]));
    expect(stored).toContain(machine.accounts.Contoso);
    expect(await machine.leases()).toHaveLength(1);
    // Whatever the credential was, it is not in there: no value that is not a name, a time, an id or a state.
    const popupAgain = await browser.popup(page);
    await popupAgain.see(/is active/);
    await popupAgain.click('Show credential');
    const secret = await until('the credential is shown', () => popupAgain.evaluate(`document.querySelector('.secret-value')?.textContent ?? document.querySelector('.secret-value')?.value`));
    expect(secret.length).toBeGreaterThan(5);
    expect(stored).not.toContain(secret);
    expect(browser.console.join('\n')).not.toContain(secret);
    await popupAgain.click('End now');
    await until('dormant', () => machine.entra.account(machine.accounts.Contoso).then((account) => !account.accountEnabled), 60_000);
  });
});

test.describe('Fabrikam: a password', () => {
  test.use({ customers: ['Fabrikam'] });

  test('says what the portal will ask for, signs in, ends', async ({ entra, machine, desktop: browser }) => {
    const account = machine.accounts.Fabrikam;
    await entra.pages({ proof_up: 'off' });
    const page = await signInPage(browser, portal('fabrikam.onmicrosoft.com'));
    await page.waitForSelector('#i0116', { state: 'visible' });
    const popup = await browser.popup(page);
    await popup.see(/second factor/);
    await popup.screenshot(picture('fabrikam-confirm'));
    await popup.press('Enter');
    await page.waitForSelector('#signed-in-as');
    expect(await page.textContent('#signed-in-as')).toContain(account);
    const { attempts } = await entra.journal();
    expect(attempts.at(-1)).toMatchObject({ matched: true, user_name: account, fields: ['passwd'], view: '2' });
    await popup.see(/is active/);
    await popup.click('End now');
    await until('dormant', () => dormant(entra, account), 60_000);
  });
});

test.describe('Two customers', () => {
  test.use({ customers: ['Contoso', 'Fabrikam'] });

  test('each tab signs in to its own', async ({ entra, machine, desktop: browser }) => {
    await entra.pages({ proof_up: 'off' });
    const names = { Contoso: 'contoso.onmicrosoft.com', Fabrikam: 'fabrikam.onmicrosoft.com' };
    // Portals of two host names, so that the second session does not replace the first.
    const addresses = { Contoso: 'https://portal.azure.com/?tenant=', Fabrikam: 'https://entra.microsoft.com/?tenant=' };
    const pages = {};
    for (const [name, domain] of Object.entries(names)) {
      const page = pages[name] = await browser.page(addresses[name] + domain + '&prompt=login');
      await page.waitForSelector('#i0116', { state: 'visible' });
      const popup = await browser.popup(page);
      await popup.see(new RegExp(name));
      await popup.press('Enter');
      await page.waitForSelector('#signed-in-as');
      expect(await page.textContent('#signed-in-as')).toContain(machine.accounts[name]);
      await popup.close();
    }
    await machine.latchkey(['end', '--all']);
    for (const account of Object.values(machine.accounts)) expect(await dormant(entra, account)).toBe(true);
  });

  test('a page that names no tenant lets the technician choose by typing', async ({ machine, desktop: browser, entra }) => {
    const page = await signInPage(browser, 'https://portal.azure.com/');
    await page.waitForSelector('#i0116', { state: 'visible' });
    const popup = await browser.popup(page);
    await popup.see(/Contoso[\s\S]*Fabrikam|Fabrikam[\s\S]*Contoso/);
    await popup.screenshot(picture('choose'));
    await popup.type('conto');
    await until('the list is shorter', async () => !/Fabrikam/.test(await popup.text()));
    await popup.press('Enter');
    await popup.see(/User Administrator/);
    await popup.press('Enter');
    await page.waitForSelector('#signed-in-as');
    expect(await page.textContent('#signed-in-as')).toContain(machine.accounts.Contoso);
    await machine.latchkey(['end', '--all']);
    expect(await dormant(entra, machine.accounts.Contoso)).toBe(true);
  });
});

test('before the click nothing is filled and nobody is activated', async ({ entra, machine, desktop: browser }) => {
  const page = await signInPage(browser);
  await page.waitForSelector('#i0116', { state: 'visible' });
  const popup = await browser.popup(page);
  await popup.see(/Contoso/);
  expect(await written(page)).toEqual({ decoys: [], fields: [] });
  expect(await dormant(entra, machine.accounts.Contoso)).toBe(true);
  await popup.close();
  expect(await written(page)).toEqual({ decoys: [], fields: [] });
});
