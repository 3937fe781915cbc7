-- Tenants, accounts, leases and the audit chain. Times are Unix milliseconds, ids are UUIDs as text.
-- No column ever holds a secret.

create table tenants (
    tenant_id        text    not null primary key,
    name             text    not null,
    cloud            text    not null,
    client_id        text    not null,
    domain           text    not null,
    domains          text    not null, -- JSON array, the accounts' domain first
    roles            text    not null, -- JSON array of {id, name}
    groups           text    not null, -- JSON array of ids
    minutes          integer not null,
    maximum_minutes  integer not null,
    capabilities     text    not null, -- JSON: what the application may do, as of the last token seen
    pass_policy      text,             -- JSON: the policy on passes; null when it cannot be read
    pass_refused_at  integer,          -- when the tenant last refused a pass
    passwords_allowed integer not null default 1, -- 0: the directory refused to let us replace a password
    account_id       text    not null, -- the account that leases use
    last_used        integer,
    removed_at       integer           -- a removed tenant keeps its closed leases and its audit log
) strict;

-- A JIT account is what is driven: everything that changes it holds its loan.
create table accounts (
    account_id            text    not null primary key,
    tenant_id             text    not null references tenants (tenant_id) deferrable initially deferred,
    user_name             text    not null,
    object_id             text,              -- null until the directory has answered
    created_at            integer,           -- when we created it: how old its replicas can be
    known                 text    not null,  -- JSON: the last known state
    certain               integer not null,  -- 0: something was sent whose effect is not known; read before planning
    credential_generation integer not null default 0,
    generation            integer not null default 0, -- fences a stale owner off
    claim_until           integer,
    settle_from           integer,           -- when the last ending was verified
    settle_stage          integer not null default 0,
    looked_at             integer,
    unique (tenant_id, user_name)
) strict;

create index accounts_settling on accounts (settle_from) where settle_from is not null;

create table leases (
    lease_id      text    not null primary key,
    tenant_id     text    not null references tenants (tenant_id),
    account_id    text    not null references accounts (account_id),
    state         text    not null,
    closes_as     text    not null default 'ended', -- what it becomes once it has been read back
    roles         text    not null, -- JSON array of {id, name}
    groups        text    not null, -- JSON array of ids
    reason        text,
    caller        text    not null, -- JSON
    credential    text,
    from_at       integer not null,
    until_at      integer not null,
    next_at       integer not null, -- when somebody must do something about it
    attempts      integer not null default 0,
    ending_since  integer,
    problem       text              -- JSON: what a person should know
) strict;

-- Closed leases cost the sweep nothing.
create index leases_open on leases (next_at) where state not in ('ended', 'failed');
create index leases_open_of_account on leases (account_id) where state not in ('ended', 'failed');

create table audit (
    tenant_id text    not null,
    sequence  integer not null,
    at        integer not null,
    lease_id  text,
    body      text    not null, -- canonical JSON
    hash      blob    not null, -- SHA-256 of the hash before, the sequence (8 bytes, big-endian) and the body
    primary key (tenant_id, sequence)
) strict;

create table audit_heads (
    tenant_id text    not null primary key,
    sequence  integer not null,
    hash      blob    not null
) strict;

-- Microsoft's time minus this machine's, as last seen: one row.
create table clock_offset (
    only_row    integer not null primary key check (only_row = 1),
    offset_ms   integer not null,
    measured_at integer not null
) strict;
