-- Passkeys of JIT accounts, what tenants allow about them, and how often a PIN was tried. No column ever holds a secret:
-- private keys and what a PIN is compared with are in the operating system's key store, by the row's id.

create table passkeys (
    passkey_id    text    not null primary key, -- names the key store's entry, and is part of the name that Microsoft shows
    account_id    text    not null references accounts (account_id),
    object_id     text    not null, -- the account that it was made for: one made anew has none of its keys
    credential_id text,             -- base64url; null until the key is in the key store
    rp_id         text,             -- the relying party that it is for
    method_id     text,             -- Microsoft's id of it; null until the directory has answered
    made_at       integer not null, -- when it was about to be registered
    registered_at integer,
    doubted_at    integer           -- when a page refused it: whether Microsoft still has it is to be looked up
) strict;

create index passkeys_of_account on passkeys (account_id);

create table tenant_passkeys (
    tenant_id  text    not null primary key,
    policy     text,    -- JSON: the policy on passkeys; null when it cannot be read
    refused_at integer  -- when the tenant, or one of its pages, last refused one
) strict;

-- One row; none: no PIN was ever tried.
create table pin_tries (
    only_row integer not null primary key check (only_row = 1),
    wrong    integer not null, -- in a row
    last_at  integer not null
) strict;
