// What is filled must not end up in the browser's own password manager: the browser offers to save nothing from the click
// until a while after the sign-in, and then does again what the person chose.
import { expect, signInPage, test, until } from './fixtures.mjs';

test('the browser does not offer to save the credential', async ({ desktop: browser }) => {
  const saves = async () => {
    const worker = await browser.worker();
    return worker.evaluate(async () => (await chrome.privacy.services.passwordSavingEnabled.get({})).value);
  };
  expect(await saves(), 'before').toBe(true);
  const page = await signInPage(browser);
  await page.waitForSelector('#i0116', { state: 'visible' });
  const popup = await browser.popup(page);
  await popup.see(/Contoso/);
  await popup.press('Enter');
  await until('the setting is off', async () => !await saves());
  await page.waitForSelector('#signed-in-as');
  expect(await saves(), 'when the portal is there').toBe(false);
  await until('the setting is back', saves, 30_000);
  await browser.machine.latchkey(['end', '--all']);
});
