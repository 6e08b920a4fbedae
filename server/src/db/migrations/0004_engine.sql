-- The engine: who runs what at this moment, and what is due later. What waits to be run is in the queue library's own
-- tables. None of this belongs to an organization: it names runs, and says nothing of what they do.

-- A process that runs things. It is there while it holds the lock of its number, which goes with it, and alive while it
-- keeps saying so, which a process that stands still does not. Else its claims are given to others.
create table engine_replicas (
  id uuid primary key,
  number integer not null generated always as identity,
  seen_at timestamptz not null default now()
);

-- Every claim gets a number of its own, never used again: whoever still holds an older one can be refused.
create sequence engine_tokens;

-- A run that somebody runs at this moment. `poked`: there is news for it, so it must look again before it ends.
create table engine_claims (
  run_id uuid primary key,
  replica_id uuid not null,
  token bigint not null,
  lane text not null,
  job_id uuid not null,
  poked boolean not null default false
);
create index engine_claims_by_replica on engine_claims (replica_id);

-- A job that is put into the queue when its time has come. One for each run: the next one replaces it.
create table engine_timers (
  run_id uuid primary key,
  due_at timestamptz not null,
  lane text not null,
  job jsonb not null
);
create index engine_timers_due on engine_timers (due_at);
