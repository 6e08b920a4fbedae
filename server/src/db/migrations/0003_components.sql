-- Components and their versions, and the answers kept for idempotency keys.
-- A published version never changes: the trigger refuses it, whoever asks.

create table idempotency_keys (
  organization_id uuid not null references organizations on delete cascade,
  actor_id uuid not null,
  key text not null,
  request_hash text not null,
  answer text not null,
  created_at timestamptz not null,
  primary key (organization_id, actor_id, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);
select flow_tenant('idempotency_keys');

create table components (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  workspace_id uuid not null references workspaces on delete cascade,
  type text not null,
  name text not null,
  slug text not null,
  description text not null default '',
  tags text[] not null default '{}',
  status text not null default 'draft' check (status in ('draft', 'published', 'deprecated', 'archived')),
  version text not null,
  published_version text,
  config jsonb not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  created_by uuid not null,
  unique (workspace_id, slug)
);
create index components_listed on components (workspace_id, type, created_at desc, id);
create index components_searched on components using gin (to_tsvector('simple', name || ' ' || description));
select flow_tenant('components');

create table component_versions (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  component_id uuid not null references components on delete cascade,
  version text not null,
  config jsonb not null,
  digest text not null,
  changelog text not null default '',
  status text not null check (status in ('draft', 'published')),
  created_at timestamptz not null,
  created_by uuid not null,
  unique (component_id, version)
);
select flow_tenant('component_versions');

-- Who uses whom, by version: the draft has the version ''. What a published version uses cannot go either.
create table component_references (
  organization_id uuid not null references organizations on delete cascade,
  component_id uuid not null references components on delete cascade,
  version text not null,
  uses_id uuid not null references components,
  primary key (component_id, version, uses_id)
);
create index component_references_users on component_references (uses_id);
select flow_tenant('component_references');

create function component_version_is_final() returns trigger language plpgsql as $$
begin
  raise exception 'a published version never changes';
end $$;
create trigger component_version_is_final before update on component_versions
  for each row when (old.status = 'published') execute function component_version_is_final();
