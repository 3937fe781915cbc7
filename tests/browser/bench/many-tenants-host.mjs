#!/usr/bin/env node
// Stands in for the host in one figure: how soon the popup can be used with many tenants. Speaks the protocol as far as
// the popup needs it to open: the handshake, and a list of TENANTS tenants, in as many messages as it needs.
const count = Number(process.env.TENANTS);
// A message may have 1 MiB; one of these tenants has about 520 bytes.
const IN_ONE_MESSAGE = 1900;

const tenant = (number) => {
  const domain = `customer${number}.onmicrosoft.com`;
  const profile = (name, role) => ({ name, roles: [role], minutes: 60, maximum_minutes: 240 });
  return {
    tenant_id: `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`,
    name: `Customer ${number}`,
    domains: [domain, `customer${number}.example`],
    cloud: 'global',
    user_name: `jit-alex@${domain}`,
    roles: ['Helpdesk Administrator'],
    minutes: 60,
    maximum_minutes: 240,
    credential: { kind: 'temporary_access_pass' },
    ...(number % 3 ? {} : { last_used: 1_790_000_000_000 + number }),
    profiles: [profile('Helpdesk', 'Helpdesk Administrator'), profile('Exchange', 'Exchange Administrator')],
  };
};

const replies = {
  hello: () => ({ reply: 'welcome', protocol: 1, host_version: 'bench' }),
  list_tenants(id) {
    const tenants = Array.from({ length: count }, (_, number) => tenant(number + 1));
    while (tenants.length > IN_ONE_MESSAGE) send({ kind: 'tenants', id, tenants: tenants.splice(0, IN_ONE_MESSAGE) });
    return { reply: 'tenants', tenants };
  },
  list_leases: () => ({ reply: 'leases', leases: [] }),
};

function send(message) {
  const body = Buffer.from(JSON.stringify(message));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  process.stdout.write(Buffer.concat([length, body]));
}

let received = Buffer.alloc(0);
process.stdin.on('data', (data) => {
  received = Buffer.concat([received, data]);
  while (received.length >= 4 && received.length >= 4 + received.readUInt32LE(0)) {
    const end = 4 + received.readUInt32LE(0);
    const { id, request } = JSON.parse(received.subarray(4, end));
    received = received.subarray(end);
    send({ kind: 'reply', id, reply: replies[request.verb](id) });
  }
});
process.stdin.on('end', () => process.exit());
