-- What tenants allow about a kind of credential, in one table for all kinds.

create table tenant_credentials (
    tenant_id  text    not null,
    credential text    not null, -- 'passkey' or 'oath'
    policy     text,             -- JSON: the policy on it; null when it cannot be read
    refused_at integer,          -- when the tenant, or one of its pages, last refused one
    primary key (tenant_id, credential)
) strict;

insert into tenant_credentials select tenant_id, 'passkey', policy, refused_at from tenant_passkeys;
insert into tenant_credentials select tenant_id, 'oath', policy, refused_at from tenant_oath;

drop table tenant_passkeys;
drop table tenant_oath;
