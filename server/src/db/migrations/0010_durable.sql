-- Executions that wait for others: for a person, for a call from outside, for a child, for their turn.

alter table executions
  -- Of a child: the node of which execution waits for it, in which attempt, and what becomes of it when that one ends.
  add column parent_execution_id uuid,
  add column parent_node_id text,
  add column parent_attempt integer,
  add column on_parent_end text check (on_parent_end in ('cancel', 'leave')),
  -- How many executions led to this one, each by starting the next.
  add column depth integer not null default 0,
  add column priority integer not null default 0,
  -- Null: it does not count. Else it is counted with those of the same workflow and key, and starts when admitted.
  add column concurrency_key text,
  add column is_admitted boolean not null default true,
  -- How long it is kept after its end, and so until when.
  add column retention_days integer,
  add column expires_at timestamptz;

create index executions_children on executions (parent_execution_id) where parent_execution_id is not null;
create index executions_in_line on executions (workflow_id, concurrency_key, is_admitted, priority desc, created_at)
  where concurrency_key is not null and completed_at is null;
create index executions_expiring on executions (expires_at) where expires_at is not null;

-- What came for a node that waits: it completes with this output, or fails with this error. Kept until whoever owns the
-- execution has recorded it, and then as the reason. The first one counts.
create table execution_arrivals (
  organization_id uuid not null,
  execution_id uuid not null,
  node_id text not null,
  -- 0 for what is not meant for a certain attempt.
  attempt integer not null,
  output json,
  error jsonb,
  arrived_at timestamptz not null,
  primary key (execution_id, node_id, attempt)
);
select flow_tenant('execution_arrivals');

-- What people are asked to do. It is open as long as its node waits for it.
create table tasks (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  workspace_id uuid not null references workspaces on delete cascade,
  execution_id uuid not null references executions on delete cascade,
  workflow_id uuid not null,
  node_id text not null,
  attempt integer not null,
  title text not null,
  description text,
  form json,
  assignees text[] not null,
  role text,
  status text not null check (status in ('open', 'completed', 'expired', 'cancelled')),
  due_at timestamptz,
  remind_at timestamptz,
  reminded_at timestamptz,
  data json,
  completed_by uuid,
  created_at timestamptz not null,
  ended_at timestamptz,
  unique (execution_id, node_id, attempt)
);
create index tasks_listed on tasks (workspace_id, status, created_at desc, id);
select flow_tenant('tasks');
