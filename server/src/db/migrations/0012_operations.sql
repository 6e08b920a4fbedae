-- Operations on executions: lists over very many of them, batches that run many again, and their end.

alter table executions
  -- The batch that started it.
  add column replay_id uuid,
  -- As what it has ended. Lists look for it rather than for `status`: an index over what changes while an execution
  -- runs would make every such change dearer.
  add column outcome text generated always as (case when completed_at is not null then status end) stored;

-- What lists ask for: the newest of a workflow (executions_listed) or of a workspace, what has not ended, what ended
-- otherwise than well, what ended last.
create index executions_of_workspace on executions (workspace_id, created_at desc, id);
create index executions_unfinished_of_workspace on executions (workspace_id) where completed_at is null;
create index executions_not_completed on executions (workflow_id, outcome, created_at desc, id)
  where outcome <> 'completed';
create index executions_not_completed_of_workspace on executions (workspace_id, outcome, created_at desc, id)
  where outcome <> 'completed';
create index executions_by_end on executions (workflow_id, completed_at desc nulls last, id desc);
create index executions_of_retry on executions (retry_of) where retry_of is not null;
create index executions_of_replay on executions (replay_id, outcome) where replay_id is not null;

-- Of those that say nothing of how long they are kept, the oldest.
create index executions_undated on executions (completed_at) where expires_at is null and completed_at is not null;

-- A snapshot goes when no execution has referred to it for a day: since when that is so.
alter table workflow_snapshots add column orphaned_at timestamptz;
create index executions_by_snapshot on executions (organization_id, snapshot);

-- The result was taken over from the execution that this one takes up again.
alter table execution_nodes add column reused boolean not null default false;

-- A batch that runs many executions again.
create table replays (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  workspace_id uuid not null references workspaces on delete cascade,
  workflow_id uuid not null,
  status text not null check (status in ('running', 'completed', 'cancelled')),
  filter jsonb not null,
  definition text not null check (definition in ('pinned', 'latest')),
  mode text not null check (mode in ('restart', 'from_failure')),
  total integer not null,
  -- Together they are how far it has come: its executions are taken in the order of their places.
  started integer not null default 0,
  refused integer not null default 0,
  created_by uuid,
  created_at timestamptz not null,
  completed_at timestamptz
);
create index replays_listed on replays (workflow_id, created_at desc, id);
create index replays_ended on replays (completed_at) where completed_at is not null;
select flow_tenant('replays');

-- What a batch runs again, decided when it was made, and what became of each.
create table replayed_executions (
  organization_id uuid not null,
  replay_id uuid not null references replays on delete cascade,
  place integer not null,
  execution_id uuid not null,
  started_as uuid,
  refusal jsonb,
  primary key (replay_id, place)
);
create index replayed_executions_refused on replayed_executions (replay_id, place) where refusal is not null;
select flow_tenant('replayed_executions');
