-- A run that is claimed by whoever starts it, in the same transaction, never was in the queue: its claim keeps the job
-- that goes there when its process is gone. `job_id` is nobody's then.
alter table engine_claims add column job jsonb;

-- Whether the process knows such claims. While one does not, there are none: it would lose what it takes over of them.
alter table engine_replicas add column knows_jobs boolean not null default false;
