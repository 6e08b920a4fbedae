-- In whose name the code of an execution asks for things, which may be another than who started it: of a trigger, it is
-- whoever armed it. With the key that narrows what they may, if one did.

alter table executions add column rights_of uuid, add column rights_key uuid;
update executions set rights_of = started_by where completed_at is null;

alter table workflow_triggers add column armed_by uuid, add column armed_key uuid;
