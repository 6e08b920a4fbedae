-- The policy of tenants, once more. When two statements meet at a row, the later one looks at the row again as it has
-- become, and then PostgreSQL evaluates every part of the policy, also the comparison that the platform's handle ('*')
-- does not need; it failed there. Now '*' is no id, and nothing fails.

create or replace function flow_tenant(name regclass) returns void language plpgsql as $$
declare
  -- The settings are read once for a statement, not for each row. As a case, because the planner takes a condition it
  -- cannot see into for half of the rows; a comparison beside the statement's own one would count twice against it.
  is_ours constant text :=
    'case when (select current_setting(''app.org'', true)) = ''*'' then true
       else organization_id = (select nullif(nullif(current_setting(''app.org'', true), ''*''), '''')::uuid) end';
begin
  execute format('alter table %s enable row level security', name);
  execute format('alter table %s force row level security', name);
  execute format('drop policy if exists tenant on %s', name);
  execute format('create policy tenant on %s using (%s) with check (%s)', name, is_ours, is_ours);
  if flow_has_role() then
    execute format('grant select, insert, update, delete on %s to flow_app', name);
  end if;
end $$;

do $$
declare
  is_ours constant text :=
    'case when (select current_setting(''app.org'', true)) = ''*'' then true
       else organization_id = (select nullif(nullif(current_setting(''app.org'', true), ''*''), '''')::uuid) end';
  held record;
begin
  for held in select schemaname, tablename from pg_policies where policyname = 'tenant' and qual like '%app.org%' loop
    execute format('alter policy tenant on %I.%I using (%s) with check (%s)', held.schemaname, held.tablename, is_ours, is_ours);
  end loop;
end $$;
