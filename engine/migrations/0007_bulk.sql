-- With thousands of accounts and ever more closed leases, whatever is asked at every start and every sweep finds its rows
-- without reading the others.

-- Accounts that this store decides about, by when they were looked at.
create index accounts_looked_at on accounts (looked_at) where removed_at is null and here = 1;
-- Accounts from before there were several technicians; there are none once the store has been opened.
create index accounts_without_owner on accounts (account_id) where owner = '';

-- The three reasons why an open lease can be due: see leases_open for the first.
create index leases_open_until on leases (until_at) where state not in ('ended', 'failed');
create index leases_open_from on leases (from_at) where state not in ('ended', 'failed');
-- What has ended, newest first.
create index leases_closed on leases (from_at) where state in ('ended', 'failed');
-- Every group that an account's leases have ever granted.
create index leases_with_groups on leases (account_id, groups) where groups <> '[]';
