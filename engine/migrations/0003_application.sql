-- What proves that an application is itself: the public half, and when it ends. The secret or the private key is in
-- the key store. A row may stand before its tenant is connected: a certificate is made before it is uploaded.

create table application_credentials (
    entry                 text    not null primary key, -- of the key store: the tenant, or an application of all tenants
    kind                  text,    -- in use: client_secret or certificate; null while nothing is
    certificate           text,    -- JSON: PEM, thumbprint, times
    key_id                text,    -- Microsoft's id of it among the application's keys, where that is known
    expires_at            integer, -- null: not known
    warned_for            integer, -- the end that a warning has been written down for
    next_certificate      text,    -- made, and not in use yet
    next_key_id           text,
    next_sent             integer not null default 0, -- 1: it may have been added at Microsoft
    retired               text,    -- JSON: replaced, and not removed at Microsoft yet
    application_object_id text     -- of the application's registration, where that is known
) strict;

-- Work at Microsoft that takes many steps and may be interrupted at each: what has been made so far.
create table application_work (
    work       text    not null, -- onboard or offboard
    tenant_id  text    not null,
    journal    text    not null, -- JSON
    updated_at integer not null,
    primary key (work, tenant_id)
) strict;
