-- Accounts of several technicians, profiles, tickets, and what a tenant's roles and groups are called.

-- Whose account it is: a technician's local part, or that of the one account that everybody shares. Rows from before
-- are given theirs when the store is opened by an engine, which knows the prefix of their names.
alter table accounts add column owner text not null default '';
alter table accounts add column kind text not null default 'individual'; -- or 'shared'
-- 1: this store decides about the account. 0: it was only prepared here, and somebody else's machine has its leases.
alter table accounts add column here integer not null default 1;
alter table accounts add column removed_at integer; -- when it was deleted on purpose

-- Which account a lease uses follows from who asks.
alter table tenants drop column account_id;

alter table accounts add column credential_until integer; -- when the credential ends by itself, if it does

-- Who has the lease: the local part tells people apart, the name is for people to read.
alter table leases add column technician text not null default '';
alter table leases add column technician_name text not null default '';
alter table leases add column profile text not null default 'Standard';
alter table leases add column ticket text;
update leases set technician = (select owner from accounts where accounts.account_id = leases.account_id);
create index leases_open_of_technician on leases (technician) where state not in ('ended', 'failed');

-- What the roles and groups that the configuration names are in a tenant, as the directory last answered.
create table names (
    tenant_id text    not null references tenants (tenant_id),
    kind      text    not null, -- 'role' or 'group'
    said      text    not null, -- in lower case
    id        text    not null,
    name      text    not null,
    read_at   integer not null,
    primary key (tenant_id, kind, said)
) strict;
