-- The AI gateway, as an organization sets it up: providers with their keys, routes, limits, budgets, prices, guardrails.
-- All of it is small; every process that makes calls keeps it in memory and is told when it changes.

-- One row for each organization that has ever set anything; without one the defaults hold. Whoever changes a setting of
-- the gateway counts up the version here first: so changes come one after the other, and what one was checked against
-- is still so when it commits.
create table gateway_settings (
  organization_id uuid primary key references organizations on delete cascade,
  version bigint not null,
  -- Whether prompts and answers are kept with the traces, and for how many days the traces are.
  keep_content boolean not null default true,
  retention_days integer not null default 30,
  -- Part of the name of what is cached: counted up, nothing that was cached before is found again.
  cache_epoch bigint not null default 0,
  updated_at timestamptz not null
);
select flow_tenant('gateway_settings');

create table gateway_providers (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  -- The first part of its models' ids; it never changes.
  name text not null,
  kind text not null,
  base_url text not null,
  -- Sealed, and bound to this row.
  key text,
  key_last_four text,
  key_changed_at timestamptz,
  headers jsonb not null default '{}',
  options jsonb not null default '{}',
  models text[] not null default '{}',
  test_status text not null default 'pending' check (test_status in ('pending', 'success', 'failed')),
  test_message text not null default '',
  tested_at timestamptz,
  created_by uuid not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  unique (organization_id, name)
);
select flow_tenant('gateway_providers');

create table gateway_routes (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  name text not null,
  description text not null default '',
  strategy text not null check (strategy in ('ordered', 'weighted', 'fastest')),
  targets jsonb not null,
  attempts_max integer not null,
  timeouts_ms jsonb not null,
  hedge_after_ms integer,
  cache_seconds integer,
  guardrails uuid[] not null default '{}',
  created_by uuid not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  unique (organization_id, name)
);
select flow_tenant('gateway_routes');

create table gateway_guardrails (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  name text not null,
  -- Of every call, and not only of those whose route names it.
  always boolean not null,
  side text not null check (side in ('input', 'output', 'both')),
  action text not null check (action in ('block', 'redact', 'flag')),
  rule jsonb not null,
  created_by uuid not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  unique (organization_id, name)
);
select flow_tenant('gateway_guardrails');

-- Whom a limit or a budget is about; without an id each of them by itself.
create table gateway_limits (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  subject_kind text not null check (subject_kind in ('organization', 'workspace', 'user', 'key', 'model')),
  subject_id text,
  requests_per_minute integer,
  tokens_per_minute bigint,
  concurrent integer,
  created_by uuid not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  unique nulls not distinct (organization_id, subject_kind, subject_id)
);
select flow_tenant('gateway_limits');

create table gateway_budgets (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  subject_kind text not null check (subject_kind in ('organization', 'workspace', 'user', 'key', 'model')),
  subject_id text,
  nanocredits bigint not null check (nanocredits >= 0),
  period text not null check (period in ('day', 'week', 'month')),
  mode text not null check (mode in ('hard', 'warn')),
  created_by uuid not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  unique nulls not distinct (organization_id, subject_kind, subject_id, period, mode)
);
select flow_tenant('gateway_budgets');

-- What the organization itself pays for a model, in nanocredits for one token and for each call.
create table gateway_prices (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  model text not null,
  input bigint not null check (input >= 0),
  cached bigint not null check (cached >= 0),
  cache_written bigint not null check (cache_written >= 0),
  output bigint not null check (output >= 0),
  call bigint not null check (call >= 0),
  created_by uuid not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  unique (organization_id, model)
);
select flow_tenant('gateway_prices');
