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
