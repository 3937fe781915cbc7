// From the click to the portal, signed in, with each credential in turn: how long, how many round trips to Graph, and how
// many pages of the sign-in. The passkey costs no more on the click than the others, because it was made before.
// Out: one JSON line. In: see ../lab.mjs; RUNS and ROUND_TRIP_MS.
import { Browser, Entra, Machine, until } from '../lab.mjs';
import { allowPasskeys, makePasskeys, PIN } from '../passkeys.mjs';

const RUNS = Number(process.env.RUNS ?? 5);
const ROUND_TRIP = Number(process.env.ROUND_TRIP_MS ?? 100);

// What the customer has, so that the credential is the best there is.
const customers = {
  passkey: (entra) => allowPasskeys(entra, 'Contoso'),
  temporary_access_pass: () => {},
  password: async (entra) => {
    await entra.control('/sim/policies', { tenant: 'Contoso', pass_enabled: false });
    // What is registered after the sign-in is not the click's.
    await entra.pages({ proof_up: 'off' });
  },
};

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

async function signIn(entra, machine, browser, asksForPin) {
  const page = await browser.page('https://portal.azure.com/?tenant=contoso.onmicrosoft.com&prompt=login');
  await page.waitForSelector('#i0116', { state: 'visible' });
  const popup = await browser.popup(page);
  await popup.see(/Contoso/);
  const before = { exchanges: (await entra.control('/sim/exchanges')).exchanges.length, pages: (await entra.journal()).pages.length };
  const click = performance.now();
  await popup.press('Enter');
  if (asksForPin) {
    await popup.see(/it is you/);
    await popup.type(PIN);
    await popup.press('Enter');
  }
  await page.waitForSelector('#signed-in-as');
  const ms = performance.now() - click;
  const exchanges = (await entra.control('/sim/exchanges')).exchanges.slice(before.exchanges);
  // The page that was there when the click came is the first.
  const pages = 1 + (await entra.journal()).pages.slice(before.pages).filter(({ host }) => /^login\./.test(host)).length;
  await machine.latchkey(['end', '--all']);
  await until('dormant', async () => (await machine.leases()).every(({ state }) => state === 'ended'), 60_000);
  await page.close();
  // What one HTTP exchange carries is one round trip, also where it is a batch.
  return { ms, graph: exchanges.filter(({ in_batch, endpoint }) => !in_batch && endpoint === 'graph').length, pages };
}

const figures = {};
for (const [credential, arrange] of Object.entries(customers)) {
  const entra = await Entra.start();
  const machine = new Machine(entra);
  await machine.install();
  await arrange(entra);
  await machine.addTenant('Contoso');
  if (credential === 'passkey') await makePasskeys(machine);
  const [{ credential: { kind } }] = JSON.parse(await machine.latchkey(['--json', 'tenant', 'list']));
  if (kind !== credential) throw new Error(`the customer gives a ${kind} and not a ${credential}`);
  await entra.knobs({ round_trip_ms: ROUND_TRIP });
  const browser = await Browser.start(machine);
  // The first click pays for a browser that has just started, and for showing who is there.
  await signIn(entra, machine, browser, credential === 'passkey');
  const runs = [];
  for (let run = 0; run < RUNS; run++) runs.push(await signIn(entra, machine, browser));
  const of = (name) => median(runs.map((run) => run[name]));
  figures[credential] = { graph_round_trips: of('graph'), page_steps: of('pages'), click_to_portal_ms: Math.round(of('ms')) };
  await browser.close();
  machine.forget();
  await entra.stop();
}
process.stdout.write(`${JSON.stringify({ sign_in: figures })}\n`);
