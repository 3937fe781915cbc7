// How many Graph round trips a technician waits for, as a ratio: time until the reply over the round trip that the
// simulated Entra adds to every exchange. The host is the real one, spoken to as a browser speaks to it. Beside it, in
// the same run, the call sequences that CIPP makes (public source, July 2026): one call after the other.
//
// In: LATCHKEY (binary), LATCHKEY_ENTRA (the simulated Entra's line), RUNS, ROUND_TRIP_MS. Out: one JSON line.

import { spawn, spawnSync } from 'node:child_process';
import https from 'node:https';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const { LATCHKEY, LATCHKEY_ENTRA, RUNS = '7', ROUND_TRIP_MS = '100' } = process.env;
const entra = JSON.parse(LATCHKEY_ENTRA);
const runs = Number(RUNS);
const roundTrip = Number(ROUND_TRIP_MS);
const contoso = entra.tenants.find((tenant) => tenant.name === 'Contoso');
const domain = contoso.domains.find((entry) => entry.default).name;
const origin = 'chrome-extension://' + process.env.EXTENSION_ID + '/';
const environment = {
  ...process.env,
  HTTPS_PROXY: `http://127.0.0.1:${entra.proxy_port}`,
  SSL_CERT_FILE: entra.ca_pem,
};

const control = async (path, body) => {
  const response = await fetch(`http://127.0.0.1:${entra.control_port}${path}`, body && {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.headers.get('content-type')?.includes('json') ? response.json() : response.text();
};

// One host process, as a browser starts and speaks to it.
class Host {
  constructor(home = environment.HOME) {
    this.process = spawn(LATCHKEY, [origin], { env: { ...environment, HOME: home }, stdio: ['pipe', 'pipe', 'inherit'] });
    this.waiting = new Map();
    this.number = 0;
    let bytes = Buffer.alloc(0);
    const [readLength, writeLength] = os.endianness() === 'LE' ? ['readUInt32LE', 'writeUInt32LE'] : ['readUInt32BE', 'writeUInt32BE'];
    this.writeLength = writeLength;
    this.process.stdout.on('data', (data) => {
      bytes = Buffer.concat([bytes, data]);
      while (bytes.length >= 4 && bytes.length >= 4 + bytes[readLength](0)) {
        const end = 4 + bytes[readLength](0);
        this.receive(JSON.parse(bytes.subarray(4, end)));
        bytes = bytes.subarray(end);
      }
    });
  }

  receive(frame) {
    if (frame.kind === 'reply') this.waiting.get(frame.id).resolve(frame.reply);
    if (frame.kind === 'error') this.waiting.get(frame.id)?.reject(new Error(`${frame.error.code}: ${frame.error.message}`));
  }

  ask(request) {
    const id = ++this.number;
    const body = Buffer.from(JSON.stringify({ id, request }));
    const length = Buffer.alloc(4);
    length[this.writeLength](body.length);
    this.process.stdin.write(Buffer.concat([length, body]));
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  async hello() {
    return this.ask({ verb: 'hello', protocol: 1, extension_version: 'bench' });
  }

  async stop() {
    this.process.stdin.end();
    await new Promise((resolve) => this.process.once('exit', resolve));
  }
}

const timed = async (work) => {
  const start = performance.now();
  const value = await work();
  return [(performance.now() - start) / roundTrip, value];
};
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const start = (host) => host.ask({ verb: 'start_lease', tenant_id: contoso.id, minutes: 60 });
const end = (host, { lease }) => host.ask({ verb: 'end_lease', lease_id: lease.lease_id });
const settle = () => new Promise((resolve) => setTimeout(resolve, 5 * roundTrip));

async function latchkey() {
  const figures = { warm: [], cold: [], new_account: [], end: [] };
  for (let run = 0; run < runs; run++) {
    // Warm: the page had been seen, so token and connection are there; the account is dormant.
    let host = new Host();
    await host.hello();
    await host.ask({ verb: 'list_tenants', hint: { tenant: contoso.id } });
    await settle();
    const [warm, lease] = await timed(() => start(host));
    figures.warm.push(warm);
    const [ended, over] = await timed(() => end(host, lease));
    if (over.lease.state !== 'ended') throw new Error(`the lease is ${over.lease.state}`);
    figures.end.push(ended);
    await host.stop();

    // Cold: the process starts with the click.
    const [cold, [second, coldHost]] = await timed(async () => {
      const host = new Host();
      await host.hello();
      return [await start(host), host];
    });
    figures.cold.push(cold);
    await end(coldHost, second);
    await coldHost.stop();

    // A technician whose account could not be made when the tenant was connected: the click makes it.
    const home = fs.mkdtempSync(path.join(environment.HOME, 'technician-'));
    await connect({ home, technician: `new-${run}@msp.example`, refused: true });
    host = new Host(home);
    await host.hello();
    await host.ask({ verb: 'list_tenants', hint: { tenant: contoso.id } });
    await settle();
    const [fresh, third] = await timed(() => start(host));
    figures.new_account.push(fresh);
    await end(host, third);
    await host.stop();
  }
  return Object.fromEntries(Object.entries(figures).map(([name, values]) => [name, median(values)]));
}

// A plain client with one kept connection, as a server-side product has.
const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
let bearer;

function call(method, path, body, form) {
  const text = form ? new URLSearchParams(body).toString() : body && JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const request = https.request({
      agent, method, path, host: 'localhost', port: entra.https_port, rejectUnauthorized: false,
      headers: {
        ...(bearer && !form ? { authorization: `Bearer ${bearer}` } : {}),
        ...(text ? { 'content-type': form ? 'application/x-www-form-urlencoded' : 'application/json', 'content-length': Buffer.byteLength(text) } : {}),
      },
    }, (response) => {
      let answer = '';
      response.setEncoding('utf8').on('data', (data) => { answer += data; }).on('end', () => {
        if (response.statusCode >= 400) reject(new Error(`${method} ${path}: ${response.statusCode} ${answer}`));
        else resolve(answer && JSON.parse(answer));
      });
    });
    request.on('error', reject).end(text);
  });
}

async function signInAsApp() {
  const { access_token } = await call('POST', `/${contoso.id}/oauth2/v2.0/token`, {
    client_id: contoso.app.client_id, client_secret: contoso.app.client_secret,
    scope: 'https://graph.microsoft.com/.default', grant_type: 'client_credentials',
  }, true);
  bearer = access_token;
}

const graph = (method, path, body) => call(method, `/v1.0${path}`, body);

// What one role costs CIPP with a pass, token warm: the number and order of its calls, each over the v1.0 surface. Its
// reading of the schema extension is played by a read of the same weight, the property write by a property of the user.
const ROLE = 'fe930be7-5e62-47db-91af-98c3a49a38b1';

async function activateRole(user) {
  await graph('GET', `/directoryRoles(roleTemplateId='${ROLE}')`).catch(() => graph('POST', '/directoryRoles', { roleTemplateId: ROLE }));
  await graph('POST', '/roleManagement/directory/roleAssignments', { roleDefinitionId: ROLE, principalId: user, directoryScopeId: '/' });
}

async function cippNewUser(name) {
  await graph('GET', '/organization');
  const user = await graph('POST', '/users', {
    accountEnabled: true, displayName: name, mailNickname: name.split('@')[0], userPrincipalName: name,
    passwordProfile: { password: 'Correct-Horse-7-Battery!', forceChangePasswordNextSignIn: true },
  });
  await graph('GET', `/users/${name}`);
  await activateRole(user.id);
  await graph('GET', `/users/${user.id}?$select=accountEnabled`);
  await graph('GET', '/organization');
  await graph('PATCH', `/users/${user.id}`, { jobTitle: 'JIT' });
  await graph('GET', '/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/TemporaryAccessPass');
  await graph('POST', `/users/${user.id}/authentication/temporaryAccessPassMethods`, { lifetimeInMinutes: 60 });
  return user;
}

async function cippExistingUser(user) {
  await graph('GET', '/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/TemporaryAccessPass');
  await graph('POST', `/users/${user.id}/authentication/temporaryAccessPassMethods`, { lifetimeInMinutes: 60 });
  await graph('GET', `/users/${user.id}`);
  await graph('GET', `/users/${user.userPrincipalName}`);
  await activateRole(user.id);
  await graph('GET', `/users/${user.id}?$select=accountEnabled`);
  await graph('GET', '/organization');
  await graph('PATCH', `/users/${user.id}`, { jobTitle: 'JIT' });
}

async function removeRoles(user) {
  const { value } = await graph('GET', `/roleManagement/directory/roleAssignments?$filter=principalId eq '${user.id}'`.replaceAll(' ', '%20'));
  for (const assignment of value) await graph('DELETE', `/roleManagement/directory/roleAssignments/${assignment.id}`);
}

async function cipp() {
  const figures = { cipp_new_user: [], cipp_existing_user: [] };
  for (let run = 0; run < runs; run++) {
    await signInAsApp();
    const name = `cipp-${process.pid}-${run}@${domain}`;
    const [fresh, user] = await timed(() => cippNewUser(name));
    figures.cipp_new_user.push(fresh);
    await removeRoles(user);
    const [existing] = await timed(() => cippExistingUser(user));
    figures.cipp_existing_user.push(existing);
    await removeRoles(user);
    await graph('DELETE', `/users/${user.id}`);
  }
  return Object.fromEntries(Object.entries(figures).map(([name, values]) => [name, median(values)]));
}

// `latchkey tenant add`, without added round trips. With `refused`, Graph refuses to make the account.
async function connect({ home = environment.HOME, technician, refused = false }) {
  await control('/sim/knobs', { round_trip_ms: 0 });
  if (refused) {
    await control('/sim/faults', [{ match: { method: 'POST', path_contains: '/users' }, kind: 'status', status: 403 }]);
  }
  const { status, stdout, stderr } = spawnSync(LATCHKEY, [
    'tenant', 'add', '--name', 'Contoso', '--tenant-id', contoso.id, '--client-id', contoso.app.client_id, '--domain', domain,
    '--role', 'User Administrator', '--technician', technician, '--secret-stdin',
  ], { env: { ...environment, HOME: home }, input: contoso.app.client_secret, encoding: 'utf8' });
  await control('/sim/faults', []);
  if ((status !== 0) !== refused) throw new Error(`tenant add: exit ${status}\n${stdout}${stderr}`);
  await control('/sim/knobs', { round_trip_ms: roundTrip });
}

await connect({ technician: 'alex@msp.example' });
const figures = { ...await latchkey(), ...await cipp() };
const rounded = Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Math.round(value * 100) / 100]));
process.stdout.write(JSON.stringify(rounded) + '\n');
process.exit(0);
