-- The row is there as soon as anything of the gateway was changed; when its settings were set is null until they are.

alter table gateway_settings alter column updated_at drop not null;
