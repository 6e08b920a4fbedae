-- Solutions: what components are bundled into. A row is one version; the slug says which solution it is a version of.
-- A component belongs to its workspace and can be in many solutions: it goes only when it is in none.

create table solutions (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  workspace_id uuid not null references workspaces on delete cascade,
  slug text not null,
  version text not null,
  -- The version as a text whose order is that of semantic versions (see solutions/rules.ts).
  version_order text not null collate "C",
  name text not null,
  description text not null default '',
  mermaid_source text,
  -- What was made of the flowchart, by its nodes.
  skeleton jsonb,
  status text not null default 'draft' check (status in ('draft', 'in_progress', 'completed', 'archived')),
  status_reason text,
  visibility_level text not null check (visibility_level in ('private', 'workspace', 'organization', 'marketplace')),
  created_at timestamptz not null,
  updated_at timestamptz not null,
  created_by uuid not null,
  unique (workspace_id, slug, version)
);
create index solutions_listed on solutions (workspace_id, slug, version_order desc);
create index solutions_shared on solutions (visibility_level) where visibility_level in ('organization', 'marketplace');
create index solutions_searched on solutions using gin (to_tsvector('simple', name || ' ' || description));
select flow_tenant('solutions');

create table solution_components (
  organization_id uuid not null references organizations on delete cascade,
  solution_id uuid not null references solutions on delete cascade,
  component_id uuid not null references components,
  added_at timestamptz not null,
  added_by uuid not null,
  primary key (solution_id, component_id)
);
create index solution_components_users on solution_components (component_id);
select flow_tenant('solution_components');

-- What a role in these solutions reaches: a role is given for one version and holds for the others of the same slug,
-- except for those that somebody keeps private.
create function flow_solutions_reached(ids uuid[]) returns setof uuid language sql stable as $$
  select other.id from solutions given
    join solutions other on other.workspace_id = given.workspace_id and other.slug = given.slug
  where given.id = any(ids) and (other.id = given.id or other.visibility_level <> 'private')
$$;

-- The components of these solutions, and all that those use, however far away.
create function flow_components_used(ids uuid[]) returns setof uuid language sql stable as $$
  with recursive used (id) as (
    select component_id from solution_components where solution_id = any(ids)
    union
    select r.uses_id from used join component_references r on r.component_id = used.id
  )
  select id from used
$$;

-- A solution as it is told, with what is counted. Whoever asks sees through it what they see without it.
create view solutions_told with (security_invoker = true) as
  select s.*, counted.component_count, counted.completed_count
  from solutions s, lateral (
    select count(*)::int as component_count, count(c.published_version)::int as completed_count
    from solution_components sc join components c on c.id = sc.component_id
    where sc.solution_id = s.id
  ) counted;

-- The marketplace: what organizations show to all others of the installation. These two functions alone look beyond
-- the tenant, and see nothing there but solutions that are shown, and what those use. The tenant is changed and put back
-- by hand: a function with `set app.org` of its own can only be made by a superuser.
create function flow_marketplace() returns setof solutions_told language plpgsql stable as $$
declare
  tenant text := coalesce(current_setting('app.org', true), '');
begin
  perform set_config('app.org', '*', true);
  return query
    select s.* from solutions_told s join organizations o on o.id = s.organization_id
    where s.visibility_level = 'marketplace' and o.status = 'active';
  perform set_config('app.org', tenant, true);
end
$$;

-- `added_at`: null of what is not in the solution, and only used by what is.
create function flow_marketplace_components(shown uuid)
returns table (component_id uuid, added_at timestamptz, component jsonb, versions jsonb)
language plpgsql stable as $$
declare
  tenant text := coalesce(current_setting('app.org', true), '');
begin
  perform set_config('app.org', '*', true);
  return query
    select c.id, sc.added_at, to_jsonb(c),
      (select jsonb_agg(to_jsonb(v)) from component_versions v where v.component_id = c.id and v.status = 'published')
    from components c
    left join solution_components sc on sc.component_id = c.id and sc.solution_id = shown
    where c.id in (select flow_components_used(array[shown]))
      and exists (select from flow_marketplace() s where s.id = shown);
  perform set_config('app.org', tenant, true);
end
$$;
