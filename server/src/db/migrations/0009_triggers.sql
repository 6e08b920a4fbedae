-- What sets workflows off by itself: what is armed, and which deliveries of webhooks have been seen.

-- The trigger of a workflow as it is armed: that of the newest published version, else of the draft. Kept by whoever
-- writes the workflow, in the same transaction, and gone with it.
create table workflow_triggers (
  workflow_id uuid primary key references components on delete cascade,
  organization_id uuid not null references organizations on delete cascade,
  workspace_id uuid not null references workspaces on delete cascade,
  type text not null check (type in ('manual', 'webhook', 'schedule', 'event')),
  -- With its defaults.
  config jsonb not null,
  is_enabled boolean not null,
  path text,
  method text,
  -- Sealed. It belongs to the workflow, whatever its trigger is at the moment.
  secret text,
  -- Of a schedule: the time that is due next.
  next_at timestamptz,
  last_fired_at timestamptz,
  -- Why it started nothing, if that was after it last did.
  last_error jsonb
);
create unique index workflow_triggers_by_path on workflow_triggers (workspace_id, path, method) where type = 'webhook';
create index workflow_triggers_due on workflow_triggers (next_at) where is_enabled;
select flow_tenant('workflow_triggers');

-- A delivery that was answered, and what it started: the same one again starts nothing.
create table trigger_deliveries (
  organization_id uuid not null,
  workflow_id uuid not null references workflow_triggers on delete cascade,
  delivery_id text not null,
  execution_id uuid not null,
  created_at timestamptz not null,
  primary key (workflow_id, delivery_id)
);
create index trigger_deliveries_age on trigger_deliveries (created_at);
select flow_tenant('trigger_deliveries');

-- What set it off, besides the type: the time that was due, the delivery, the event.
alter table executions add column trigger jsonb;
