-- Executions of workflows, and the journal of their nodes. What people send and what their code answers is kept as
-- `json`, to the letter: `jsonb` would refuse a NUL and reorder the rest.

-- A definition with the code it calls, as it was when an execution began. Executions of the same one share it.
create table workflow_snapshots (
  organization_id uuid not null references organizations on delete cascade,
  digest text not null,
  content json not null,
  created_at timestamptz not null,
  primary key (organization_id, digest)
);
select flow_tenant('workflow_snapshots');

create table executions (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  workspace_id uuid not null references workspaces on delete cascade,
  workflow_id uuid not null,
  workflow_version text not null,
  snapshot text not null,
  status text not null
    check (status in ('queued', 'running', 'waiting', 'completed', 'failed', 'cancelled', 'timed_out')),
  input json not null,
  output json,
  error jsonb,
  trigger_type text not null,
  -- Who started it; null: the platform did.
  started_by uuid,
  request_id text,
  retry_of uuid,
  cancel_requested_at timestamptz,
  -- When the whole of it has to have ended.
  deadline_at timestamptz,
  waiting_until timestamptz,
  created_at timestamptz not null,
  started_at timestamptz,
  completed_at timestamptz,
  foreign key (organization_id, snapshot) references workflow_snapshots
);
create index executions_listed on executions (workflow_id, created_at desc, id);
create index executions_unfinished on executions (workflow_id) where completed_at is null;
select flow_tenant('executions');

-- The journal has no foreign keys: it is written often, by whoever owns the execution, and goes with it.

-- What became of a node. A row whose status is final never changes: the writer's statement sees to it.
create table execution_nodes (
  organization_id uuid not null,
  execution_id uuid not null,
  node_id text not null,
  status text not null
    check (status in ('running', 'waiting', 'retrying', 'completed', 'failed', 'skipped', 'cancelled')),
  attempt integer not null,
  -- The input is not kept twice: `{"": "a"}` says it was the output of node a, `{"rows": "b"}` that its field was; the
  -- empty id stands for the execution's own input.
  input json,
  input_from jsonb,
  output json,
  error jsonb,
  -- Of the edges that leave it, those that were taken.
  taken integer[] not null default '{}',
  -- Of a map: how many items there are, are done, have failed.
  items jsonb,
  -- How long its code ran, in all attempts and items together.
  spent_ms integer not null default 0,
  due_at timestamptz,
  started_at timestamptz,
  completed_at timestamptz,
  primary key (execution_id, node_id)
);
select flow_tenant('execution_nodes');

-- What became of one item of a map.
create table execution_items (
  organization_id uuid not null,
  execution_id uuid not null,
  node_id text not null,
  index integer not null,
  output json,
  error jsonb,
  primary key (execution_id, node_id, index)
);
select flow_tenant('execution_items');

create table execution_events (
  organization_id uuid not null,
  execution_id uuid not null,
  seq integer not null,
  type text not null,
  node_id text,
  at timestamptz not null,
  details jsonb,
  primary key (execution_id, seq)
);
select flow_tenant('execution_events');
