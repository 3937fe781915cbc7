// The browser may stop the worker, and people may close the browser, at any moment: no sign-in, lease or secret is lost or
// left behind.
import { acted, acting, answered, asking, before, stopAt, stopWorker, untold } from './stopping.mjs';
import { dormant, expect, signInPage, test, until } from './fixtures.mjs';

async function open(browser) {
  const page = await signInPage(browser);
  await page.waitForSelector('#i0116', { state: 'visible' });
  const popup = await browser.popup(page);
  await popup.see(/User Administrator/);
  return { page, popup };
}

async function start(browser) {
  const { page, popup } = await open(browser);
  await popup.press('Enter');
  return { page, popup };
}

async function signedIn(page, popup, account) {
  await page.waitForSelector('#signed-in-as', { timeout: 90_000 }).catch(async (error) => {
    throw new Error(`${error.message}\n--- ${page.url()} ---\n${await page.innerText('body')}\n--- the popup shows ---\n${await popup.text().catch(String)}`);
  });
  expect(await page.textContent('#signed-in-as')).toContain(account);
}

// What was sent to Microsoft's pages as a credential.
function sentFrom(page) {
  const sent = [];
  page.on('request', (request) => {
    const said = new URLSearchParams(request.method() === 'POST' ? request.postData() ?? '' : '');
    for (const name of ['accesspass', 'passwd']) if (said.get(name)) sent.push(said.get(name));
  });
  return sent;
}

// Of the account nothing lives on in Entra, and no lease is open.
async function allIsOver(entra, machine) {
  const account = await until('dormant', async () => {
    const found = await entra.account(machine.accounts.Contoso);
    return !found.accountEnabled && !found.roles.length && found;
  }, 60_000);
  expect(account.passes, 'passes that are left').toEqual([]);
  expect(account.sessions.filter(({ live }) => live), 'sessions that live on').toEqual([]);
  await until('no lease is open', async () => !(await machine.leases()).length, 60_000);
}

const MOMENTS = {
  'the account is to be activated': asking('start_lease'),
  'the account was activated': answered('lease'),
  'the user name is to be filled': acting(1),
  'the user name was filled': acted(1),
  'Next is to be pressed': acting(2),
  'Next was pressed': acted(2),
  'the credential is to be asked for': asking('fill_credential'),
  'the credential was handed out': answered('secret'),
  'the credential is to be filled': acting(3),
  'the credential was filled': acted(3),
  'the credential is to be sent': acting(4),
  'the credential was sent': acted(4),
  'No is to be pressed': acting(5),
  'No was pressed': acted(5),
  'the portal was reached': untold(`event.type === 'tab_navigated' && !event.url`),
  'the sign-in is to be confirmed': asking('confirm_sign_in'),
  'the sign-in was confirmed': untold(`event.frame?.reply?.lease?.state === 'usable'`),
};

test('the worker is stopped at any point of a sign-in', async ({ entra, machine, desktop: browser }) => {
  test.setTimeout(900_000);
  for (const [name, moment] of Object.entries(MOMENTS)) {
    await test.step(`when ${name}`, async () => {
      await browser.context.clearCookies();
      const { page, popup } = await open(browser);
      const sent = sentFrom(page);
      const stopped = await stopAt(browser, page, moment);
      await popup.press('Enter');
      await stopped();
      await signedIn(page, popup, machine.accounts.Contoso);
      await popup.see(/is active/);
      const leases = await until('the host knows of the sign-in', async () => {
        const open = await machine.leases();
        return open.some(({ state }) => state === 'usable') && open;
      });
      expect(leases).toHaveLength(1);
      const { attempts } = await entra.journal();
      expect(attempts.map(({ error }) => error).filter(Boolean), 'what Microsoft refused').toEqual([]);
      const worker = await browser.worker();
      const stored = await worker.evaluate(async () => JSON.stringify([await chrome.storage.session.get(), await chrome.storage.local.get()]));
      expect(stored).toContain(leases[0].lease_id);
      expect(sent.length).toBeGreaterThan(0);
      for (const secret of sent) expect(stored).not.toContain(secret);
      await machine.latchkey(['end', '--all']);
      await allIsOver(entra, machine);
      await popup.see(/User Administrator/);
      await popup.close();
      await page.close();
    });
  }
});

for (const [name, knobs, isThere] of [
  ['while the account is being activated', { round_trip_ms: 1500 }, async (entra, machine) => (await machine.leases()).length],
  ['while Microsoft does not accept the account yet', { sign_in_lag_ms: 6000 }, async (entra) => (await entra.journal()).attempts.length],
]) {
  test(`the worker is stopped ${name}`, async ({ entra, machine, desktop: browser }) => {
    await entra.knobs(knobs);
    const { page, popup } = await start(browser);
    await until('it is there', () => isThere(entra, machine));
    await stopWorker(page, browser);
    await signedIn(page, popup, machine.accounts.Contoso);
    await entra.knobs({ round_trip_ms: 0 });
    expect((await machine.leases()).length).toBe(1);
    await machine.latchkey(['end', '--all']);
    await allIsOver(entra, machine);
  });
}

const PORTAL_MOMENTS = {
  'the portal is to be opened': before(`effect.type === 'open_tab'`),
  'the portal was opened': untold(`event.type === 'tab_opened'`),
};

test('the worker is stopped when a portal is opened: one is signed in to by itself', async ({ entra, machine, desktop: browser }) => {
  test.setTimeout(300_000);
  for (const [name, moment] of Object.entries(PORTAL_MOMENTS)) {
    await test.step(`when ${name}`, async () => {
      await browser.context.clearCookies();
      const here = await browser.page('about:blank');
      const popup = await browser.popup(here);
      await popup.see(/Open Azure/);
      const opened = [];
      browser.context.on('page', (page) => opened.push(page));
      const stopped = await stopAt(browser, here, moment);
      await popup.click('Open Azure').catch(() => {});
      await stopped();
      const isSignedIn = async (page) => await page.locator('#signed-in-as').count() > 0;
      const page = await until('signed in', async () => {
        for (const page of opened) if (await isSignedIn(page)) return page;
      }, 90_000);
      expect(await page.textContent('#signed-in-as')).toContain(machine.accounts.Contoso);
      expect(await machine.leases()).toHaveLength(1);
      await machine.latchkey(['end', '--all']);
      await allIsOver(entra, machine);
      for (const page of [...opened, here]) await page.close();
    });
  }
});

test('the worker is stopped when access is to be extended and to be ended', async ({ entra, machine, desktop: browser }) => {
  test.setTimeout(300_000);
  const end = async () => (await machine.leases())[0].until;
  const minutesShown = async (popup) => {
    const [, hours, minutes] = await popup.see(/(\d+) h (\d+) min left/).then((text) => text.match(/(\d+) h (\d+) min left/));
    return Number(hours) * 60 + Number(minutes);
  };
  for (const moments of [[asking('extend_lease'), asking('end_lease')], [answered('lease'), answered('lease')]]) {
    await browser.context.clearCookies();
    const { page, popup } = await start(browser);
    await signedIn(page, popup, machine.accounts.Contoso);
    await popup.see(/is active/);
    const [before, shown] = [await end(), await minutesShown(popup)];
    let stopped = await stopAt(browser, page, moments[0]);
    await popup.click('Extend');
    await stopped();
    await until('the popup shows that it lasts longer', async () => (await minutesShown(popup)) > shown);
    expect((await end() - before) / 60_000).toBe(60);
    stopped = await stopAt(browser, page, moments[1]);
    await popup.click('End now');
    await stopped();
    await allIsOver(entra, machine);
    await popup.see(/User Administrator/);
    await popup.close();
    await page.close();
  }
});

test('the browser is closed in the middle: the sweep ends what is due', async ({ entra, machine, desktop: browser }) => {
  await entra.knobs({ sign_in_lag_ms: 20_000 });
  const { popup } = await open(browser);
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
  await stopWorker(page, browser);
  // With the worker stopped there is nobody to ask for the popup; an event wakes it.
  await browser.page('https://login.microsoftonline.com/contoso.onmicrosoft.com/gallery/error');
  const again = await until('the popup', () => browser.popup(page));
  await again.see(/is active/);
  await again.click('End now');
  await allIsOver(entra, machine);
});
