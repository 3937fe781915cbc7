// Microsoft's own clients, unmodified, against the simulated Entra: whatever they refuse, or read otherwise than
// Microsoft's service would have it read, is a fault of ours. The life of a JIT account is played from creation to
// deletion, with the refusals that belong to it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import readline from 'node:readline';

const program = process.env.ENTRA_SIM ?? fileURLToPath(new URL('../../target/debug/entra-sim', import.meta.url));

// Node reads NODE_EXTRA_CA_CERTS only when it starts, so the tests run in a second Node that trusts the authority.
if (!process.env.LATCHKEY_ENTRA) {
  const entra = spawn(program, [], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(readline.createInterface({ input: entra.stdout }), 'line');
  const child = spawn(process.execPath, ['--test-reporter=spec', fileURLToPath(import.meta.url)], {
    stdio: 'inherit',
    env: { ...withoutTestContext(process.env), LATCHKEY_ENTRA: line, NODE_EXTRA_CA_CERTS: JSON.parse(line).ca_pem },
  });
  const [code] = await once(child, 'exit');
  entra.kill();
  test('the clients agree with the simulated Entra', () => assert.equal(code, 0));
} else {
  await clients(JSON.parse(process.env.LATCHKEY_ENTRA));
}

function withoutTestContext({ NODE_TEST_CONTEXT, ...environment }) {
  return environment;
}

async function clients(entra) {
  const require = createRequire(import.meta.url);
  const { ConfidentialClientApplication } = require('@azure/msal-node');
  const { BatchRequestContent, BatchResponseContent, Client, PageIterator } =
    require('@microsoft/microsoft-graph-client');
  const https = `https://localhost:${entra.https_port}`;
  const tenantNamed = (name) => entra.tenants.find((tenant) => tenant.name === name);
  const contoso = tenantNamed('Contoso');
  const domain = contoso.domains.find((entry) => entry.default).name;

  const application = (tenant, secret = tenant.app.client_secret) =>
    new ConfidentialClientApplication({
      auth: {
        clientId: tenant.app.client_id,
        clientSecret: secret,
        authority: `${https}/${tenant.id}`,
        knownAuthorities: [`localhost:${entra.https_port}`],
      },
    });
  const token = async (tenant, secret) =>
    (await application(tenant, secret).acquireTokenByClientCredential({
      scopes: ['https://graph.microsoft.com/.default'],
    })).accessToken;
  const graphAs = (getAccessToken) =>
    Client.initWithMiddleware({
      baseUrl: `${https}/`,
      authProvider: { getAccessToken },
      customHosts: new Set(['localhost']),
    });
  const graph = graphAs(() => token(contoso));
  const state = async () => (await fetch(`http://127.0.0.1:${entra.control_port}/sim/state`)).json();

  let user;

  before(async () => {
    user = await graph.api('/users').post({
      accountEnabled: false,
      displayName: 'Conformance (Latchkey JIT)',
      mailNickname: 'jit-conformance',
      userPrincipalName: `jit-conformance@${domain}`,
      passwordProfile: { password: 'Correct-Horse-7-Battery!', forceChangePasswordNextSignIn: false },
    });
  });

  after(async () => {
    const { conformance } = await state();
    assert.deepEqual(conformance.violations, [], 'every exchange agrees with the schema');
  });

  test('a token says who and what it is for', async () => {
    const claims = JSON.parse(Buffer.from((await token(contoso)).split('.')[1], 'base64url'));
    assert.equal(claims.tid, contoso.id);
    assert.equal(claims.appid ?? claims.azp, contoso.app.client_id);
    assert.ok(claims.roles.includes('User.ReadWrite.All'));
  });

  test('a wrong secret is AADSTS7000215', async () => {
    await assert.rejects(token(contoso, 'wrong'), (error) => {
      assert.match(String(error.errorCode ?? error), /invalid_client/);
      assert.match(String(error.errorMessage ?? error.message), /AADSTS7000215/);
      return true;
    });
  });

  test('a certificate opens the tenant too, and again with the same assertion', async () => {
    const keys = fileURLToPath(new URL('../entra-sim/tests/keys/', import.meta.url));
    const certificate = await readFile(`${keys}application.cert.pem`, 'utf8');
    const key = createPrivateKey({ key: await readFile(`${keys}application.key.der`), format: 'der', type: 'pkcs1' });
    const registered = await fetch(`http://127.0.0.1:${entra.control_port}/sim/apps`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ tenant: contoso.name, add_certificates: [certificate] }),
    });
    assert.equal(registered.status, 200);
    const client = new ConfidentialClientApplication({
      auth: {
        clientId: contoso.app.client_id,
        clientCertificate: {
          thumbprintSha256: new X509Certificate(certificate).fingerprint256.replaceAll(':', ''),
          privateKey: key.export({ format: 'pem', type: 'pkcs8' }),
        },
        authority: `${https}/${contoso.id}`,
        knownAuthorities: [`localhost:${entra.https_port}`],
      },
    });
    for (const skipCache of [false, true]) {
      const scopes = ['https://graph.microsoft.com/.default'];
      assert.ok((await client.acquireTokenByClientCredential({ scopes, skipCache })).accessToken);
    }
  });

  test('a tenant that is not there is AADSTS90002', async () => {
    const nowhere = { ...contoso, id: '00000000-1111-2222-3333-444444444444' };
    await assert.rejects(token(nowhere), /90002|endpoints_resolution_error|invalid_request/);
  });

  test('the tenant and its domains can be read', async () => {
    const { value: [organization] } = await graph.api('/organization').get();
    assert.equal(organization.id, contoso.id);
    const { value: domains } = await graph.api('/domains').get();
    assert.ok(domains.some((entry) => entry.id === domain && entry.authenticationType === 'Managed' && entry.isVerified));
    assert.ok(domains.some((entry) => entry.authenticationType === 'Federated'));
  });

  test('a created user is read by id and by name; the switch only when selected', async () => {
    assert.equal((await graph.api(`/users/${user.userPrincipalName}`).get()).id, user.id);
    assert.equal((await graph.api(`/users/${user.id}`).get()).accountEnabled, undefined);
    const selected = await graph.api(`/users/${user.id}`).select('id,accountEnabled').get();
    assert.equal(selected.accountEnabled, false);
  });

  test('a user name that is taken is refused', async () => {
    await assert.rejects(
      graph.api('/users').post({
        accountEnabled: false,
        displayName: 'Twice',
        mailNickname: 'twice',
        userPrincipalName: user.userPrincipalName,
        passwordProfile: { password: 'Correct-Horse-7-Battery!' },
      }),
      (error) => error.statusCode === 400 && error.code === 'Request_BadRequest',
    );
  });

  test('a lease in one batch, in order, and its end in another', async () => {
    const { value: definitions } = await graph.api('/roleManagement/directory/roleDefinitions').get();
    const role = definitions.find((definition) => definition.displayName === 'User Administrator');
    const patch = (id, body, dependsOn) => ({
      id, method: 'PATCH', url: `/users/${user.id}`, body, dependsOn, headers: { 'Content-Type': 'application/json' },
    });
    const grant = await graph.api('/$batch').post({
      requests: [
        patch('1', { passwordProfile: { password: 'Other-Horse-8-Battery!', forceChangePasswordNextSignIn: false } }),
        patch('2', { accountEnabled: true }, ['1']),
        {
          id: '3', method: 'POST', url: `/users/${user.id}/authentication/temporaryAccessPassMethods`,
          body: { lifetimeInMinutes: 60, isUsableOnce: false }, dependsOn: ['2'],
          headers: { 'Content-Type': 'application/json' },
        },
        {
          id: '4', method: 'POST', url: '/roleManagement/directory/roleAssignments',
          body: { roleDefinitionId: role.id, principalId: user.id, directoryScopeId: '/' }, dependsOn: ['3'],
          headers: { 'Content-Type': 'application/json' },
        },
      ],
    });
    const answers = Object.fromEntries(grant.responses.map((response) => [response.id, response]));
    assert.deepEqual([1, 2, 3, 4].map((id) => answers[id].status), [204, 204, 201, 201]);
    assert.ok(answers[3].body.temporaryAccessPass.length >= 8);

    // An app without a directory role may not touch an account that holds one.
    await assert.rejects(graph.api(`/users/${user.id}`).patch({ accountEnabled: false }),
      (error) => error.statusCode === 403 && error.code === 'Authorization_RequestDenied');

    await graph.api(`/roleManagement/directory/roleAssignments/${answers[4].body.id}`).delete();
    await graph.api(`/users/${user.id}`).patch({ accountEnabled: false });
    await graph.api(`/users/${user.id}/revokeSignInSessions`).post();
    await graph.api(`/users/${user.id}/authentication/temporaryAccessPassMethods/${answers[3].body.id}`).delete();
    const { value: left } = await graph.api(`/users/${user.id}/authentication/temporaryAccessPassMethods`).get();
    assert.deepEqual(left, []);
  });

  test('a batch stops where a step fails', async () => {
    const { responses } = await graph.api('/$batch').post({
      requests: [
        { id: 'a', method: 'GET', url: '/users/nobody@nowhere.example' },
        { id: 'b', method: 'GET', url: '/organization', dependsOn: ['a'] },
      ],
    });
    const status = Object.fromEntries(responses.map((response) => [response.id, response.status]));
    assert.deepEqual(status, { a: 404, b: 424 });
  });

  test('sessions end within a batch only with an empty body', async () => {
    const revoke = (init) => ({ id: '1', request: new Request(`${https}/users/${user.id}/revokeSignInSessions`, init) });
    const send = async (step) => graph.api('/$batch').post(await new BatchRequestContent([step]).getContent());
    await assert.rejects(send(revoke({ method: 'POST' })), (error) =>
      error.statusCode === 400 && /does not contain Content-Type header or body/.test(error.message));
    const empty = { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' } };
    const answer = new BatchResponseContent(await send(revoke(empty))).getResponseById('1');
    assert.equal(answer.status, 200);
    assert.equal((await answer.json()).value, true);
  });

  test('pages lead to each other, and the index counts', async () => {
    const names = [];
    const first = await graph.api('/users').select('userPrincipalName').top(2).get();
    assert.equal(first.value.length, 2);
    await new PageIterator(graph, first, (one) => names.push(one.userPrincipalName)).iterate();
    assert.equal(new Set(names).size, names.length);
    const counted = await graph.api('/users').header('ConsistencyLevel', 'eventual').count(true).select('id').get();
    assert.equal(counted['@odata.count'], names.length);
    await assert.rejects(graph.api('/users').filter("endsWith(mail,'x')").get(), (error) =>
      error.code === 'Request_UnsupportedQuery');
  });

  test('what is not permitted is refused', async () => {
    const northwind = tenantNamed('Northwind');
    const poor = graphAs(() => token(northwind));
    await assert.rejects(
      poor.api('/identity/conditionalAccess/policies').get(),
      (error) => error.statusCode === 403,
    );
  });

  test('a token of somebody else opens nothing', async () => {
    const forged = graphAs(async () => (await token(contoso)).replace(/\.[^.]+$/, '.AAAA'));
    await assert.rejects(forged.api('/users').get(), (error) => error.statusCode === 401);
  });

  test('a deleted user is gone', async () => {
    await graph.api(`/users/${user.id}`).delete();
    await assert.rejects(graph.api(`/users/${user.id}`).get(), (error) => error.statusCode === 404);
  });
}
