-- People find what they are asked to do, pass it on, and are told of it.

alter table tasks
  -- Who passed it on, when, from whom, to whom and with which words; the latest is the last.
  add column delegations jsonb not null default '[]',
  -- When those who are asked now were told so.
  add column announced_at timestamptz;

create index tasks_asked on tasks using gin (assignees);
