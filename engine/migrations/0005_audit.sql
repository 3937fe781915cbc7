-- What is asked of the audit log, and what is told to others. The new columns of an entry repeat what its body says, so
-- that it can be found; the hash covers the body, and whoever verifies compares the two.

alter table audit add column event text not null default '';
alter table audit add column technician text not null default '';
update audit set event = json_extract(body, '$.event'), technician = json_extract(body, '$.technician');

create index audit_at on audit (at);
create index audit_of_tenant on audit (tenant_id, at);
create index audit_of_technician on audit (technician collate nocase, at);
create index audit_of_lease on audit (lease_id) where lease_id is not null;

-- Where a chain begins once its oldest entries have been removed because they were kept for long enough.
create table audit_anchors (
    tenant_id text    not null primary key,
    sequence  integer not null, -- of the newest entry that was removed
    hash      blob    not null  -- and its hash
) strict;

-- Entries that a receiver is still to be told of. Written in the transaction that writes the entry.
create table webhook_outbox (
    event_id   text    not null primary key, -- the same at every attempt
    tenant_id  text    not null,
    sequence   integer not null,
    at         integer not null,
    attempts   integer not null default 0,
    next_at    integer not null, -- not before; a process that delivers it moves this on first
    gave_up_at integer,          -- when it had been tried for long enough
    problem    text
) strict;

create index webhook_due on webhook_outbox (next_at) where gave_up_at is null;

-- How the receiver is: one row.
create table webhook_receiver (
    only_row       integer not null primary key check (only_row = 1),
    resting_until  integer, -- nothing is sent before
    failures       integer not null default 0, -- in a row
    problem        text,
    delivered      integer not null default 0,
    delivered_at   integer
) strict;
