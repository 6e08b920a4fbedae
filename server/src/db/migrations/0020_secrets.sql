-- Secrets of a workspace, which its code asks for by name.
create table secrets (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  workspace_id uuid not null references workspaces on delete cascade,
  name text not null,
  description text not null,
  -- Sealed, and bound to this row.
  value text not null,
  version integer not null default 1,
  value_changed_at timestamptz not null,
  created_by uuid not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  unique (workspace_id, name)
);
create index secrets_listed on secrets (workspace_id, created_at desc, id desc);
select flow_tenant('secrets');
