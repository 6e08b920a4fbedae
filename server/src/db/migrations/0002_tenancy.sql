-- Who there is, and what they did: organizations with their workspaces, people with their roles and invitations,
-- credits and the ledger, the audit log. Amounts are whole nanocredits (10^-9 of a credit), so that sums are exact.
-- The ledger, the purchases and the audit log only grow: triggers refuse every other change, whoever asks.

create function flow_is_append_only() returns trigger language plpgsql as $$
begin
  raise exception 'the table % only grows', tg_table_name using errcode = 'insufficient_privilege';
end $$;

-- Rows of this table are written once: the server's role has no right to do more, and a trigger refuses the owner too.
create function flow_append_only(name regclass) returns void language plpgsql as $$
begin
  execute format(
    'create trigger append_only before update or delete or truncate on %s
       for each statement execute function flow_is_append_only()', name);
  if flow_has_role() then
    execute format('revoke update, delete, truncate on %s from flow_app', name);
  end if;
end $$;

create table organizations (
  id uuid primary key,
  -- An organization belongs to itself: the same policy guards this table as every other.
  organization_id uuid not null generated always as (id) stored,
  name text not null,
  slug text not null unique,
  status text not null default 'active' check (status in ('active', 'suspended', 'archived')),
  primary_domain text,
  restrict_invitations boolean not null default false,
  industry text,
  contact_email text,
  contact_phone text,
  billing_email text,
  billing_address jsonb,
  support_tier text not null default 'community'
    check (support_tier in ('community', 'standard', 'premium', 'enterprise')),
  timezone text not null default 'UTC',
  default_workspace_id uuid not null,
  -- Counts up with every change that may take an admin away: two of them never pass each other (see users/store.ts).
  admin_changes integer not null default 0,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create index organizations_by_domain on organizations (primary_domain) where primary_domain is not null;
create index organizations_searched on organizations using gin (to_tsvector('simple', name || ' ' || slug));
select flow_tenant('organizations');

create table workspaces (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  name text not null,
  slug text not null,
  description text not null default '',
  environment_tier text not null check (environment_tier in ('dev', 'stage', 'prod')),
  created_at timestamptz not null,
  updated_at timestamptz not null,
  unique (organization_id, slug),
  unique (organization_id, id)
);
create index workspaces_searched on workspaces using gin (to_tsvector('simple', name || ' ' || description));
select flow_tenant('workspaces');

-- The default workspace is always one of the organization's own. Deferred: the two are made together.
alter table organizations add constraint organizations_default_workspace
  foreign key (id, default_workspace_id) references workspaces (organization_id, id) deferrable initially deferred;

-- Which tables hold rows of a workspace, by the foreign keys that point at it: a room that comes later is found too.
create function flow_workspace_contents(workspace uuid) returns setof text language plpgsql stable as $$
declare
  reference record;
  found_one boolean;
begin
  for reference in
    select c.conrelid::regclass as child, a.attname as field
    from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
    where c.contype = 'f' and c.confrelid = 'workspaces'::regclass and cardinality(c.conkey) = 1
    order by 1
  loop
    execute format('select exists (select from %s where %I = $1)', reference.child, reference.field)
      into found_one using workspace;
    if found_one then
      return next reference.child::text;
    end if;
  end loop;
end $$;

-- An account is one person on the whole platform and belongs to no organization. Statements of an organization reach
-- it through memberships only.
create table users (
  id uuid primary key,
  email text not null unique check (email = lower(email)),
  name text not null default '',
  -- Argon2id. Null until the first invitation is accepted, and for people who only come by SSO.
  password_hash text,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

create table memberships (
  organization_id uuid not null references organizations on delete cascade,
  user_id uuid not null references users on delete cascade,
  -- `expired` is not stored: it is an invited member whose invitation has run out.
  status text not null check (status in ('invited', 'active', 'suspended')),
  name text not null default '',
  title text not null default '',
  invited_by uuid references users,
  joined_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (organization_id, user_id)
);
create index memberships_by_user on memberships (user_id);
select flow_tenant('memberships');

create table grants (
  id uuid primary key,
  organization_id uuid not null,
  user_id uuid not null,
  role text not null
    check (role in ('admin', 'solution_builder', 'viewer', 'billing_manager', 'security_auditor')),
  scope text not null default 'organization' check (scope in ('organization', 'workspace', 'solution')),
  -- The workspace or the solution.
  scope_id uuid,
  created_at timestamptz not null,
  created_by uuid,
  check ((scope = 'organization') = (scope_id is null)),
  foreign key (organization_id, user_id) references memberships on delete cascade,
  unique nulls not distinct (organization_id, user_id, role, scope, scope_id)
);
create index grants_by_role on grants (organization_id, role, scope);
select flow_tenant('grants');

-- The open invitation of a member; gone when it is accepted. Sending it again replaces the token.
create table invitations (
  id uuid primary key,
  organization_id uuid not null,
  user_id uuid not null,
  -- SHA-256 of the token in the link.
  token_hash bytea not null unique,
  message text not null default '',
  invited_by uuid references users,
  expires_at timestamptz not null,
  -- When the last e-mail was accepted by the mail server; null: none was.
  sent_at timestamptz,
  created_at timestamptz not null,
  unique (organization_id, user_id),
  foreign key (organization_id, user_id) references memberships on delete cascade
);
select flow_tenant('invitations');

create table subscriptions (
  organization_id uuid primary key references organizations on delete cascade,
  product_name text not null,
  status text not null check (status in ('active', 'trial', 'suspended', 'cancelled', 'expired')),
  billing_cycle text not null check (billing_cycle in ('monthly', 'annual')),
  start_date date not null,
  end_date date,
  trial_end_date date,
  auto_renew boolean not null,
  quantity integer not null check (quantity > 0)
);
select flow_tenant('subscriptions');

-- What the organization may consume in a calendar month (UTC). No row: as much as it likes.
create table budgets (
  organization_id uuid primary key references organizations on delete cascade,
  nanocredits bigint not null check (nanocredits >= 0),
  updated_at timestamptz not null
);
select flow_tenant('budgets');

-- A card never changes; another one becomes the active one.
create table rate_cards (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  name text not null,
  is_active boolean not null,
  created_at timestamptz not null,
  created_by uuid
);
create unique index rate_cards_active on rate_cards (organization_id) where is_active;
select flow_tenant('rate_cards');

create table rates (
  organization_id uuid not null references organizations on delete cascade,
  rate_card_id uuid not null references rate_cards on delete cascade,
  service_type text not null,
  -- The rate of one model; null: of every model that has none of its own.
  model text,
  unit text not null,
  nanocredits_per_unit bigint not null check (nanocredits_per_unit >= 0),
  unique nulls not distinct (rate_card_id, service_type, model)
);
select flow_tenant('rates');

create table credit_purchases (
  id uuid primary key,
  organization_id uuid not null references organizations,
  nanocredits bigint not null check (nanocredits > 0),
  note text not null default '',
  created_at timestamptz not null,
  created_by uuid
);
create index credit_purchases_summed on credit_purchases (organization_id) include (nanocredits);
select flow_tenant('credit_purchases');
select flow_append_only('credit_purchases');

-- Every billable operation, once. What it cost is fixed here: a later rate card changes no past. Like the audit log it
-- has no foreign keys: history outlives what it speaks of, and writers of one organization share no row.
create table ledger (
  id uuid primary key,
  organization_id uuid not null,
  workspace_id uuid not null,
  user_id uuid,
  service_type text not null,
  resource_type text not null,
  resource_id text not null,
  model text,
  agent_id uuid,
  workflow_id uuid,
  usage_quantity numeric not null check (usage_quantity >= 0),
  unit text not null,
  nanocredits bigint not null check (nanocredits >= 0),
  rate_card_id uuid not null,
  request_id text,
  created_at timestamptz not null
);
create index ledger_by_time on ledger (organization_id, created_at, id) include (nanocredits);
select flow_tenant('ledger');
select flow_append_only('ledger');

-- The sum of the ledger by month (UTC), so that nobody adds up a million lines to see whether the budget holds one
-- more. The database keeps it, in the transaction of the line itself; in shards, so that writers seldom meet on a row.
create table ledger_totals (
  organization_id uuid not null,
  month date not null,
  shard integer not null,
  nanocredits bigint not null,
  primary key (organization_id, month, shard)
) with (fillfactor = 50);
select flow_tenant('ledger_totals');

create function flow_add_to_totals() returns trigger language plpgsql as $$
begin
  insert into ledger_totals as total (organization_id, month, shard, nanocredits)
  select organization_id, date_trunc('month', created_at at time zone 'UTC')::date, pg_backend_pid() % 32,
    sum(nanocredits)
  from written group by 1, 2 order by 1, 2
  on conflict (organization_id, month, shard) do update set nanocredits = total.nanocredits + excluded.nanocredits;
  return null;
end $$;
create trigger add_to_totals after insert on ledger referencing new table as written
  for each statement execute function flow_add_to_totals();

create table audit_events (
  event_id uuid primary key,
  organization_id uuid not null,
  workspace_id uuid,
  event_type text not null,
  "timestamp" timestamptz not null,
  -- The id of the user, key or token; who that is and was called then stands beside it.
  actor text not null,
  actor_kind text not null,
  actor_name text not null,
  -- The user whom a key acts for.
  user_id uuid,
  actor_ip text,
  resource_type text not null,
  resource_id text,
  action text not null,
  outcome text not null check (outcome in ('success', 'failure')),
  request_id text,
  metadata jsonb not null
);
create index audit_events_by_time on audit_events (organization_id, "timestamp", event_id);
create index audit_events_by_resource on audit_events (organization_id, resource_type, resource_id);
create index audit_events_by_actor on audit_events (organization_id, actor);
select flow_tenant('audit_events');
select flow_append_only('audit_events');

-- Events that the sealer has not chained yet. Written with the event, so that writers never wait for a chain's head.
create table audit_pending (
  organization_id uuid not null,
  event_id uuid primary key
);
create index audit_pending_by_organization on audit_pending (organization_id, event_id);
select flow_tenant('audit_pending');

-- The key of an organization's chain, sealed: who can write to the database alone can't compute a hash.
create table audit_keys (
  organization_id uuid primary key references organizations,
  key_sealed text not null
);
select flow_tenant('audit_keys');

-- One chain for each organization: each hash is a keyed digest over the hash before and the event's canonical text.
create table audit_chain (
  organization_id uuid not null,
  seq bigint not null,
  event_id uuid not null unique,
  hash bytea not null,
  primary key (organization_id, seq)
);
select flow_tenant('audit_chain');
select flow_append_only('audit_chain');
