-- A price of its own that is not said is null: what was cached then costs as much as what is read, also when that changes.
-- Those that are the same were not said, or cost the same either way.

alter table gateway_prices alter column cached drop not null;
alter table gateway_prices alter column cache_written drop not null;
update gateway_prices set cached = null where cached = input;
update gateway_prices set cache_written = null where cache_written = input;
