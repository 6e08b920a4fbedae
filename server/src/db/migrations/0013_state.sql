-- Why a component was deprecated or archived, and what components of the type `state` remember.

alter table components add column status_reason text;

-- One subject that something is remembered about: a session, a customer, a workspace. Whoever writes into it locks this
-- row, so that the limits of a scope hold whoever writes at once. It outlives its entries: `writes` counts on, and no
-- version of an entry comes twice.
create table state_scopes (
  component_id uuid not null references components on delete cascade,
  scope text not null,
  organization_id uuid not null references organizations on delete cascade,
  writes bigint not null default 0,
  entries integer not null default 0,
  -- Characters of JSON of all entries.
  characters bigint not null default 0,
  updated_at timestamptz not null,
  -- Of a session: nothing of it is there any more from then on.
  expires_at timestamptz,
  primary key (component_id, scope)
);
create index state_scopes_listed on state_scopes (component_id, updated_at desc, scope);
create index state_scopes_expired on state_scopes (expires_at) where expires_at is not null;
select flow_tenant('state_scopes');

create table state_entries (
  component_id uuid not null,
  scope text not null,
  key text not null,
  organization_id uuid not null references organizations on delete cascade,
  value jsonb not null,
  characters integer not null,
  -- The count of the scope's writes at the last write of this entry.
  version bigint not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  updated_by uuid not null,
  primary key (component_id, scope, key),
  foreign key (component_id, scope) references state_scopes on delete cascade
);
select flow_tenant('state_entries');
