-- The kill switch, the second fence around roles, and what cannot be made dormant. No column ever holds a secret.

-- While the row is there nothing is granted by any process that shares this database.
create table lockdown (
    only_row   integer not null primary key check (only_row = 1),
    since      integer not null,
    technician text    not null,
    reason     text    not null
) strict;

-- Whether Microsoft itself ends role assignments there (Privileged Identity Management): null unknown, 0 no, 1 yes.
alter table tenants add column timed_roles integer;
-- When that was learned.
alter table tenants add column timed_roles_at integer;

-- JSON: why an account without a lease could not be made dormant; null once it is.
alter table accounts add column problem text;
