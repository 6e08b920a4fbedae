-- What happens on the platform and is told to those who want to hear it, and the webhooks of strangers who do.

-- Who wants to hear of what: one row for each listener and each type (`workflow.failed`, `workflow.*`, `*`). Small, and
-- asked by every statement that would tell something: where nobody listens, nothing is written. The rows go with their
-- listener, by whoever keeps it.
create table event_interests (
  organization_id uuid not null references organizations on delete cascade,
  -- Null: the events of all workspaces.
  workspace_id uuid,
  kind text not null,
  listener_id uuid not null,
  event_type text not null,
  primary key (kind, listener_id, event_type)
);
create index event_interests_by_organization on event_interests (organization_id, event_type);
select flow_tenant('event_interests');

-- The outbox: written with what happened, emptied by whoever hands it to the listeners. No foreign keys: it is written
-- often and a row lives for moments.
create table platform_events (
  seq bigint primary key generated always as identity,
  id uuid not null,
  organization_id uuid not null,
  -- Null: it concerns the organization as a whole.
  workspace_id uuid,
  type text not null,
  -- To the letter, as it will be sent.
  data json not null,
  at timestamptz not null,
  -- How many events lie behind this one: what a listener causes is one deeper than what it heard.
  depth integer not null default 0,
  -- A listener that could not take it, alone, and when it is asked again.
  listener_id uuid,
  failures integer not null default 0,
  due_at timestamptz not null
);
select flow_tenant('platform_events');

-- How many events lie behind an execution; none where a person or a clock began it.
alter table executions add column event_depth integer not null default 0;

create table webhook_subscriptions (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  -- Null: the events of all workspaces.
  workspace_id uuid references workspaces,
  url text not null,
  description text not null default '',
  events text[] not null,
  -- Sealed; the one before signs along until its time is over.
  secret text not null,
  previous_secret text,
  previous_until timestamptz,
  enabled boolean not null default true,
  disabled_reason text,
  -- Since when every attempt has failed.
  failing_since timestamptz,
  created_by uuid not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create index webhook_subscriptions_listed on webhook_subscriptions (organization_id, created_at desc, id);
select flow_tenant('webhook_subscriptions');

-- One message to one subscriber; its id is what the receiver knows it by, over all attempts.
create table webhook_deliveries (
  id uuid primary key,
  organization_id uuid not null,
  subscription_id uuid not null references webhook_subscriptions on delete cascade,
  event_id uuid not null,
  event_type text not null,
  -- What is sent, to the letter: the signature is over it.
  payload json not null,
  status text not null check (status in ('pending', 'delivered', 'failed')),
  -- Sending it again begins a new round: an attempt of the one before no longer decides.
  round integer not null default 1,
  -- Failed attempts in this round: the place in the schedule.
  failures integer not null default 0,
  next_attempt_at timestamptz,
  created_at timestamptz not null,
  completed_at timestamptz
);
create index webhook_deliveries_listed on webhook_deliveries (subscription_id, created_at desc, id);
create index webhook_deliveries_old on webhook_deliveries (created_at);
select flow_tenant('webhook_deliveries');

create table webhook_attempts (
  organization_id uuid not null,
  delivery_id uuid not null references webhook_deliveries on delete cascade,
  number integer not null,
  at timestamptz not null,
  duration_ms integer not null,
  -- Null: there was no answer.
  status_code integer,
  -- The beginning of the answer.
  answer text,
  error text,
  primary key (delivery_id, number)
);
select flow_tenant('webhook_attempts');
