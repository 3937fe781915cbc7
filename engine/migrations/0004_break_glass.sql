-- Break-glass accounts: permanent, enabled, and no business of what makes JIT accounts dormant; so they have a table of
-- their own. No column ever holds a password: those are in the operating system's key store, by generation.

create table break_glass (
    account_id     text    not null primary key,
    tenant_id      text    not null references tenants (tenant_id),
    name           text    not null, -- what stands before the @
    user_name      text    not null,
    object_id      text,             -- null until the directory has answered
    creating_since integer,          -- Microsoft's time from when on a request of ours may have made it
    taken_over     integer not null default 0,
    ready          integer not null default 0, -- 1: it has had its mark, its password and its roles from us
    passwords      text    not null, -- JSON: which generations are in the key store, and what is known of each
    last_change    text,             -- JSON: when the directory last said that the password was changed
    revealed_at    integer,          -- when somebody was last shown the password
    rotate_by      integer,          -- the rotation that follows from that
    attempts       integer not null default 0, -- rotations that failed since the last one that did not
    retry_at       integer,
    looked_at      integer,
    problem        text,             -- JSON: what a person should know
    generation     integer not null default 0, -- fences a stale owner off
    claim_until    integer,
    removed_at     integer           -- no longer managed; what happened stays on record
) strict;

create unique index break_glass_managed on break_glass (tenant_id, name) where removed_at is null;
