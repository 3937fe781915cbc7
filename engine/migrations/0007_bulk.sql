-- With ten thousand accounts a sweep finds those it must look at, and when that will be, without reading all of them.

create index accounts_looked_at on accounts (looked_at) where removed_at is null;
