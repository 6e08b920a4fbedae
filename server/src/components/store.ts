/** The SQL of components. Every statement names the workspace or the organization. */

import type { Page } from '@flow/contract/common'
import type { Component, ComponentType, ComponentVersion, components } from '@flow/contract/components'
import type { Parsed } from '@flow/contract/operation'
import type { Scope } from '../context.ts'
import { asOne, type Db, join, json, raw, type Sql, sql } from '../db/db.ts'
import { matching, page } from '../db/page.ts'

const columns = raw(`c.id, c.type, c.name, c.slug, c.description, c.tags, c.status, c.version, c.published_version,
  c.config, c.created_at, c.updated_at, c.created_by, c.status_reason,
  (select coalesce(jsonb_agg(jsonb_build_object('field', 'config', 'message',
      format('It uses the %s "%s", which is %s: %s', replace(u.type, '_', ' '), u.slug, u.status, u.status_reason))
      order by u.slug), '[]')
    from component_references r join components u on u.id = r.uses_id
    where r.component_id = c.id and r.version = '' and u.status in ('deprecated', 'archived')) as warnings`)
const versionColumns = raw(
  'v.id, v.component_id, v.version, v.config, v.digest, v.changelog, v.status, v.created_at, v.created_by',
)

export const list = (at: Scope, input: Parsed<(typeof components)['list']>): Promise<Page<Component>> =>
  page<Component>(at.db, {
    select: columns,
    from: sql`components c`,
    where: [
      sql`c.workspace_id = ${at.workspace_id}`,
      ...reached(at),
      ...(input.type ? [sql`c.type = ${input.type}`] : []),
      ...(input.status ? [sql`c.status = ${input.status}`] : []),
      ...(input.tag ? [sql`c.tags @> array[${input.tag}]::text[]`] : []),
      ...matching(sql`c.name || ' ' || c.description`, input.search),
    ],
    sortable: { created_at: 'c.created_at', updated_at: 'c.updated_at', name: 'c.name', slug: 'c.slug' },
    id: 'c.id',
    parameters: input,
  })

/** For whoever has a role in some solutions alone: what is in those. */
export const reached = ({ solution_ids }: Pick<Scope, 'solution_ids'>, component_id: Sql = sql`c.id`): Sql[] =>
  solution_ids
    ? [
        sql`${component_id} in (select sc.component_id from solution_components sc
          where sc.solution_id in (select flow_solutions_reached(${solution_ids}::uuid[])))`,
      ]
    : []
/** Where it is looked, and for whom. */
type Place = Omit<Scope, 'db'>
const placeOf = ({ organization_id, workspace_id, solution_ids }: Scope): Place => ({
  organization_id,
  workspace_id,
  ...(solution_ids && { solution_ids }),
})
const whose = (at: Place): Sql => join([sql`c.workspace_id = ${at.workspace_id}`, ...reached(at)], ' and ')
/** What can be referred to: what is in the solutions, and what that refers to already. */
const known = (at: Place): Sql =>
  at.solution_ids
    ? sql`c.workspace_id = ${at.workspace_id} and c.id in (
        select flow_components_used(array(select flow_solutions_reached(${at.solution_ids}::uuid[]))))`
    : sql`c.workspace_id = ${at.workspace_id}`

/** What its draft uses already. */
export async function usedBefore(at: Scope, component_id: string): Promise<ReadonlySet<string>> {
  const rows = await at.db.many<{ uses_id: string }>(sql`
    select uses_id from component_references
    where component_id = ${component_id} and version = '' and organization_id = ${at.organization_id}`)
  return new Set(rows.map(({ uses_id }) => uses_id))
}

type New = Pick<
  Component,
  'id' | 'type' | 'name' | 'slug' | 'description' | 'tags' | 'version' | 'config' | 'created_at' | 'created_by'
>

/** Nothing when the slug is taken. */
export const insert = (at: Scope, made: New): Promise<Component | undefined> =>
  at.db.maybe<Component>(sql`
    insert into components as c (id, organization_id, workspace_id, type, name, slug, description, tags, version, config,
      created_at, updated_at, created_by)
    values (${made.id}, ${at.organization_id}, ${at.workspace_id}, ${made.type}, ${made.name}, ${made.slug},
      ${made.description}, ${made.tags}, ${made.version}, ${json(made.config)}, ${made.created_at}, ${made.created_at},
      ${made.created_by})
    on conflict (workspace_id, slug) do nothing
    returning ${columns}`)

export const find = (at: Scope, id: string): Promise<Component | undefined> =>
  at.db.gather(findOnce, { id, ...placeOf(at) })

const findOnce = asOne((db: Db, { id, ...at }: Place & { id: string }) =>
  db.maybe<Component>(sql`select ${columns} from components c where c.id = ${id} and ${whose(at)}`),
)

/** Locks the component: two changes of one component come one after the other. */
export const findForUpdate = (at: Scope, id: string): Promise<Component | undefined> =>
  at.db.maybe<Component>(sql`
    select ${columns} from components c where c.id = ${id} and ${whose(at)} for update`)

/** Keeps the component as it is until the caller's transaction ends: others may do the same meanwhile. */
export const findForShare = (at: Scope, id: string): Promise<Component | undefined> =>
  at.db.maybe<Component>(sql`
    select ${columns} from components c where c.id = ${id} and ${whose(at)} for share`)

export const findBySlug = (at: Scope, slug: string): Promise<Component | undefined> =>
  at.db.maybe<Component>(sql`
    select ${columns} from components c where c.slug = ${slug} and c.workspace_id = ${at.workspace_id}`)

/** The slugs that are taken of these, with numbers behind them or without. */
export const slugsLike = (at: Scope, slugs: string[]): Promise<{ slug: string }[]> =>
  at.db.many(sql`
    select c.slug from components c
    where c.workspace_id = ${at.workspace_id}
      and (c.slug = any(${slugs}) or regexp_replace(c.slug, '-\\d+$', '') = any(${slugs}))`)

/** By id or by slug; a slug can look like an id, an id wins. */
export const findByRef = (at: Scope, ref: string, types: readonly ComponentType[]): Promise<Component | undefined> =>
  at.db.gather(findByRefOnce, { ref, types, ...placeOf(at) })

type Named = { ref: string; types: readonly ComponentType[] }
const findByRefOnce = asOne((db: Db, { ref, types, ...at }: Place & Named) =>
  db.maybe<Component>(sql`
    select ${columns} from components c
    where ${known(at)} and c.type = any(${[...types]}::text[]) and (c.id::text = ${ref} or c.slug = ${ref})
    order by c.id::text = ${ref} desc limit 1`),
)

/** Where a code block of the organization is. */
export async function workspaceOf(at: Pick<Scope, 'db' | 'organization_id'>, id: string): Promise<string | undefined> {
  const found = await at.db.maybe<{ workspace_id: string }>(sql`
    select workspace_id from components where id = ${id} and organization_id = ${at.organization_id}`)
  return found?.workspace_id
}

export const replace = (at: Scope, component: Component): Promise<Component> =>
  at.db.one<Component>(sql`
    update components c
    set name = ${component.name}, slug = ${component.slug}, description = ${component.description},
      tags = ${component.tags}, version = ${component.version}, config = ${json(component.config)},
      updated_at = ${component.updated_at}
    where c.id = ${component.id} and c.workspace_id = ${at.workspace_id}
    returning ${columns}`)

export const advance = (at: Scope, id: string, version: string): Promise<number> =>
  at.db.run(sql`update components set version = ${version} where id = ${id} and workspace_id = ${at.workspace_id}`)

/** A component that was advised against stays so, whatever is published of it. */
export const markPublished = (at: Scope & { now: string }, id: string, version: string): Promise<number> =>
  at.db.run(sql`
    update components set status = case status when 'deprecated' then status else 'published' end, published_version = ${version}, updated_at = ${at.now}
    where id = ${id} and workspace_id = ${at.workspace_id}`)

export const markAs = (
  at: Scope & { now: string },
  id: string,
  { status, reason }: { status: Component['status']; reason: string | null },
): Promise<Component> =>
  at.db.one<Component>(sql`
    update components c set status = ${status}, status_reason = ${reason}, updated_at = ${at.now}
    where c.id = ${id} and c.workspace_id = ${at.workspace_id}
    returning ${columns}`)

export const remove = (at: Scope, id: string): Promise<number> =>
  at.db.run(sql`delete from components where id = ${id} and workspace_id = ${at.workspace_id}`)

export const listVersions = (
  at: Scope,
  input: Parsed<(typeof components)['listVersions']>,
): Promise<Page<ComponentVersion>> =>
  page<ComponentVersion>(at.db, {
    select: versionColumns,
    from: sql`component_versions v`,
    where: [sql`v.component_id = ${input.component_id}`, sql`v.organization_id = ${at.organization_id}`],
    sortable: { created_at: 'v.created_at', version: `string_to_array(split_part(v.version, '-', 1), '.')::bigint[]` },
    id: 'v.id',
    parameters: input,
  })

type NewVersion = Omit<ComponentVersion, 'status'>

/** Nothing when the version is there already. */
export const insertVersion = (at: Scope, made: NewVersion): Promise<ComponentVersion | undefined> =>
  at.db.maybe<ComponentVersion>(sql`
    insert into component_versions as v (id, organization_id, component_id, version, config, digest, changelog, status,
      created_at, created_by)
    values (${made.id}, ${at.organization_id}, ${made.component_id}, ${made.version}, ${json(made.config)}, ${made.digest},
      ${made.changelog}, 'draft', ${made.created_at}, ${made.created_by})
    on conflict (component_id, version) do nothing
    returning ${versionColumns}`)

export const findVersion = (at: Scope, component_id: string, version: string): Promise<ComponentVersion | undefined> =>
  at.db.gather(findVersionOnce, { component_id, version, organization_id: at.organization_id })

type VersionOf = { component_id: string; version: string; organization_id: string }
const findVersionOnce = asOne((db: Db, { component_id, version, organization_id }: VersionOf) =>
  db.maybe<ComponentVersion>(sql`
    select ${versionColumns} from component_versions v
    where v.component_id = ${component_id} and v.version = ${version} and v.organization_id = ${organization_id}`),
)

export const publishVersion = (at: Scope, id: string, changelog: string): Promise<ComponentVersion> =>
  at.db.one<ComponentVersion>(sql`
    update component_versions v set status = 'published', changelog = ${changelog}
    where v.id = ${id} and v.organization_id = ${at.organization_id}
    returning ${versionColumns}`)

/** Replaces what one version of a component uses. */
export async function refer(at: Scope, component_id: string, version: string, uses: string[]): Promise<void> {
  await at.db.run(sql`
    delete from component_references
    where component_id = ${component_id} and version = ${version} and organization_id = ${at.organization_id}`)
  if (uses.length === 0) return
  const rows = uses.map((id) => sql`(${at.organization_id}::uuid, ${component_id}::uuid, ${version}, ${id}::uuid)`)
  await at.db.run(sql`
    insert into component_references (organization_id, component_id, version, uses_id) values ${join(rows, ', ')}`)
}

/** The components that use this one, in their draft or in a version. */
export const usersOf = (at: Scope, id: string): Promise<Pick<Component, 'id' | 'slug' | 'type'>[]> =>
  at.db.many(sql`
    select distinct c.id, c.slug, c.type from component_references r join components c on c.id = r.component_id
    where r.uses_id = ${id} and r.component_id <> ${id} and r.organization_id = ${at.organization_id}
    order by c.slug limit 50`)

/** The guardrails of the gateway that run this one. */
export const guardrailsWith = (at: Scope, id: string): Promise<{ name: string }[]> =>
  at.db.many(sql`
    select name from gateway_guardrails
    where organization_id = ${at.organization_id} and rule ->> 'component_id' = ${id}
    order by name limit 50`)

/** The solutions that it is in; without the slug those that somebody keeps private. */
export const solutionsWith = (at: Scope, id: string): Promise<{ id: string; slug: string | null; version: string }[]> =>
  at.db.many(sql`
    select s.id, case when s.visibility_level <> 'private' then s.slug end as slug, s.version
    from solution_components sc join solutions s on s.id = sc.solution_id
    where sc.component_id = ${id} and sc.organization_id = ${at.organization_id}
    order by s.slug, s.version_order limit 50`)
