-- Calls of models: one row for each, written when it is over, together with its line in the ledger. Rows come by the
-- batch and in order of time, and are never changed, so there are few indexes: each is paid for with every call. Like
-- the ledger they refer to nobody by foreign keys: what they speak of may be gone.

create table gateway_calls (
  id uuid primary key,
  organization_id uuid not null,
  workspace_id uuid not null,
  user_id uuid not null,
  key_id uuid,
  -- On whose behalf Flow itself called.
  agent_id uuid,
  workflow_id uuid,
  execution_id uuid,
  request_id text not null,
  mouth text not null,
  -- As the client asked, and who answered.
  model text not null,
  provider text,
  provider_model text,
  status text not null,
  http_status integer not null,
  fault json,
  is_stream boolean not null,
  cache text not null,
  input_tokens bigint not null,
  cached_tokens bigint not null,
  cache_written_tokens bigint not null,
  output_tokens bigint not null,
  reasoning_tokens bigint not null,
  is_estimated boolean not null,
  nanocredits bigint not null,
  attempts json not null,
  findings json not null,
  started_at timestamptz not null,
  first_chunk_ms float8,
  duration_ms float8 not null,
  traceparent text
);
-- Lists, and what is removed when its time is over.
create index gateway_calls_by_time on gateway_calls (organization_id, started_at, id);
create index gateway_calls_by_workspace on gateway_calls (workspace_id, started_at, id) include (organization_id);
-- What went wrong is rare, and looked for most.
create index gateway_calls_unwell on gateway_calls (workspace_id, started_at, id) where status <> 'completed';
create index gateway_calls_by_request on gateway_calls using hash (request_id);
select flow_tenant('gateway_calls');

-- What was asked and answered, as text of JSON: read with one call, never with a list. A call of which nothing is kept
-- has no row.
create table gateway_call_contents (
  call_id uuid primary key,
  organization_id uuid not null,
  request text,
  answer text
);
select flow_tenant('gateway_call_contents');
