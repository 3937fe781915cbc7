-- OATH tokens of JIT accounts (beta) and what tenants allow about them. No column ever holds a secret: that is in the
-- operating system's key store, by the row's id.

create table oath_tokens (
    token_id     text    not null primary key, -- names the key store's entry, and is part of the serial number that Microsoft shows
    account_id   text    not null references accounts (account_id),
    object_id    text    not null, -- the account that it was made for
    device_id    text,             -- Microsoft's id of it; null until the directory has answered
    made_at      integer not null, -- when it was about to be added
    activated_at integer,          -- when the directory had taken its first code
    last_step    integer           -- the step (30 s each) of the last code that left: each leaves once
) strict;

create index oath_tokens_of_account on oath_tokens (account_id);

create table tenant_oath (
    tenant_id  text    not null primary key,
    policy     text,    -- JSON: the policy on hardware OATH tokens; null when it cannot be read
    refused_at integer  -- when the tenant, or one of its pages, last refused one
) strict;
