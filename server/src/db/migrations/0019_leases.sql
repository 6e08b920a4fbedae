-- What calls of models may still cost and how often they may be made, shared among the processes of Flow. A process takes
-- a share in a committed transaction and spends it from memory. What is leased counts as used until it is settled or
-- given back; what a process had leased when it died counts as spent.

-- A process that has leases. It is there while it holds the lock of its number, and alive while it keeps saying so.
-- Its numbers lie apart from those of the engine's replicas, which hold locks of the same kind.
create table gateway_holders (
  id uuid primary key,
  number integer not null generated always as identity (start with 1000000000),
  seen_at timestamptz not null default now()
);

-- Money. One row for each caller of a process (workspace, user, key), and one for each model that has a budget; of
-- these the model is named, and nobody else.
create table gateway_leases (
  organization_id uuid not null references organizations on delete cascade,
  holder_id uuid not null,
  account text not null,
  workspace_id uuid,
  user_id uuid,
  key_id uuid,
  model text,
  nanocredits bigint not null check (nanocredits >= 0),
  primary key (organization_id, holder_id, account),
  check ((model is null) = (workspace_id is not null))
);
create index gateway_leases_by_holder on gateway_leases (holder_id);
select flow_tenant('gateway_leases');

-- What calls have cost, by day (UTC) and whom a budget can be about. Written in the transaction of the ledger's lines,
-- whether there is a budget or not: what was used before a budget was made counts, too.
create table gateway_spend (
  organization_id uuid not null references organizations on delete cascade,
  kind text not null check (kind in ('organization', 'workspace', 'user', 'key', 'model')),
  subject_id text not null,
  day date not null,
  nanocredits bigint not null,
  primary key (organization_id, kind, subject_id, day)
) with (fillfactor = 50);
select flow_tenant('gateway_spend');

insert into gateway_spend (organization_id, kind, subject_id, day, nanocredits)
select l.organization_id, s.kind, s.subject_id, (l.created_at at time zone 'UTC')::date, sum(l.nanocredits)
from ledger l, lateral (values
  ('organization', l.organization_id::text), ('workspace', l.workspace_id::text), ('user', l.user_id::text),
  ('model', l.model)) as s (kind, subject_id)
where l.service_type = 'llm_call' and s.subject_id is not null
group by 1, 2, 3, 4;

-- How much of a minute's allowance the processes have taken. It is not given back: it ends with its minute.
create table gateway_rates (
  organization_id uuid not null references organizations on delete cascade,
  meter text not null,
  minute timestamptz not null,
  taken bigint not null,
  granted bigint not null,
  primary key (organization_id, meter, minute)
);
create index gateway_rates_by_minute on gateway_rates (minute);
select flow_tenant('gateway_rates');

-- Places for calls at the same time that a process has.
create table gateway_slots (
  organization_id uuid not null references organizations on delete cascade,
  meter text not null,
  holder_id uuid not null,
  slots bigint not null,
  primary key (organization_id, meter, holder_id)
);
create index gateway_slots_by_holder on gateway_slots (holder_id);
select flow_tenant('gateway_slots');
