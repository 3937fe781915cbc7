-- When a preflight of the tenant last found nothing in the way of a lease; null: never. The very first lease waits for one.
alter table tenants add column preflight_at integer;
