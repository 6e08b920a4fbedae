-- The ground that every other migration stands on: vectors, the role that the server works as, tenants.
-- Runs as the owner of the database, who may be a superuser or not.

create extension if not exists vector;

-- The server does its work as flow_app, to which row-level security always applies. An owner who may not create roles
-- works without it: the policies below are forced on the owner, too. Roles belong to the whole cluster, so another
-- database may have made this one, even at this moment.
do $$
begin
  if not exists (select from pg_roles where rolname = 'flow_app') then
    begin
      create role flow_app nologin nosuperuser nobypassrls nocreatedb nocreaterole noinherit;
    exception
      when duplicate_object or unique_violation then null;
      when insufficient_privilege then raise notice 'the role flow_app could not be created';
    end;
  end if;
end $$;

-- Whether the owner of this database can work as flow_app: only then does the role need rights.
create function flow_has_role() returns boolean language sql stable as $$
  select coalesce((
    -- Since 16 a member need not be allowed to take the role.
    select pg_has_role(current_user, oid,
      case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end)
    from pg_roles where rolname = 'flow_app'), false)
$$;

do $$
begin
  if exists (select from pg_roles where rolname = 'flow_app') and not flow_has_role() then
    execute format('grant flow_app to %I', current_user);
  end if;
exception
  when insufficient_privilege then raise notice 'the role flow_app could not be granted';
end $$;

-- Rows of this table belong to the organization in their column organization_id, and are seen and written only by a
-- session whose app.org is that organization, or '*'. One line of a migration: select flow_tenant('components');
create function flow_tenant(name regclass) returns void language plpgsql as $$
declare
  -- The settings are read once for a statement, not for each row. As a case, because the planner takes a condition it
  -- cannot see into for half of the rows; a comparison beside the statement's own one would count twice against it.
  is_ours constant text :=
    'case when (select current_setting(''app.org'', true)) = ''*'' then true
       else organization_id = (select nullif(current_setting(''app.org'', true), '''')::uuid) end';
begin
  execute format('alter table %s enable row level security', name);
  execute format('alter table %s force row level security', name);
  execute format('create policy tenant on %s using (%s) with check (%s)', name, is_ours, is_ours);
  if flow_has_role() then
    execute format('grant select, insert, update, delete on %s to flow_app', name);
  end if;
end $$;

-- Under a policy an index serves only conditions whose functions are known to tell nobody what they saw in rows that
-- the policy hides. These two tell nothing, but are not marked; without the mark a search reads all of the tenant's
-- rows, which is slower and otherwise the same.
do $$
begin
  alter function to_tsvector(regconfig, text) leakproof;
  alter function ts_match_vq(tsvector, tsquery) leakproof;
exception
  when insufficient_privilege then raise notice 'searches will not use their indexes: that takes a superuser';
end $$;

do $$
begin
  if flow_has_role() then
    grant usage on schema public to flow_app;
    alter default privileges in schema public grant select, insert, update, delete on tables to flow_app;
    alter default privileges in schema public grant usage, select on sequences to flow_app;
    alter default privileges in schema public grant execute on functions to flow_app;
    -- The queue library makes its tables here.
    create schema pgboss authorization flow_app;
  else
    create schema pgboss;
  end if;
end $$;
