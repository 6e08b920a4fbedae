/** The SQL of solutions. Every statement names the organization or the workspace, but for what the marketplace shows,
 *  which two functions of the database look for. Who may see which solution is one condition: `visible`. */

import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { Skeleton, Solution, SolutionComponent, solutions } from '@flow/contract/solutions'
import type { MovingRow } from '../components/components.ts'
import type { Context, Scope } from '../context.ts'
import { json, raw, type Sql, sql } from '../db/db.ts'
import { matching, page } from '../db/page.ts'
import { isAdminOf, solutionsOf } from './rules.ts'

type Ops = typeof solutions

/** Whether a solution of the workspace is there for the caller. `s` is the name it has in the statement. */
function visible(at: Context, s: 's' | 'o' = 's'): Sql {
  const id = raw(`${s}.id`)
  const here = sql`${raw(s)}.workspace_id = ${at.workspace_id}`
  if (at.solution_ids) return sql`(${here} and ${id} in (select flow_solutions_reached(${at.solution_ids}::uuid[])))`
  if (isAdminOf(at.actor, at.workspace_id)) return here
  const mine = solutionsOf(at.actor)
  const given = mine.length > 0 ? sql` or ${id} in (select flow_solutions_reached(${mine}::uuid[]))` : raw('')
  return sql`(${here} and (${raw(s)}.visibility_level <> 'private' or ${raw(s)}.created_by = ${at.actor.user_id}${given}))`
}

/** What other workspaces of the organization show. A role in one solution shows that solution and no other. */
const shared = (at: Context): Sql =>
  at.solution_ids
    ? raw('false')
    : sql`(s.organization_id = ${at.organization_id} and s.visibility_level in ('organization', 'marketplace'))`

const columns = raw(`s.id, s.workspace_id, s.slug, s.version, s.name, s.description, s.mermaid_source, s.skeleton,
  s.status, s.status_reason, s.visibility_level, s.component_count, s.completed_count, s.created_at, s.updated_at,
  s.created_by`)
/** What is told of another organization's. */
const shownColumns = raw(`s.id, null::uuid as workspace_id, s.slug, s.version, s.name, s.description, s.mermaid_source,
  null::jsonb as skeleton, s.status, s.status_reason, s.visibility_level, s.component_count, s.completed_count,
  s.created_at, s.updated_at, null::uuid as created_by, s.versions`)
/** The marketplace, read once. */
const marketplace = raw(`(
  select m.*, jsonb_path_query_array(jsonb_agg(jsonb_build_object('id', m.id, 'version', m.version, 'status', m.status))
    over (partition by m.workspace_id, m.slug order by m.version_order desc
      rows between unbounded preceding and unbounded following), '$[0 to 99]') as versions
  from flow_marketplace() m) s`)

/** The columns of a solution with its other versions: of this workspace those that are visible, of another those that
 *  are shown. */
const told = (at: Context): Sql => sql`${columns}, coalesce((
  select jsonb_agg(jsonb_build_object('id', o.id, 'version', o.version, 'status', o.status) order by o.version_order desc)
  from (
    select o.id, o.version, o.status, o.version_order from solutions o
    where o.workspace_id = s.workspace_id and o.slug = s.slug and (${visible(at, 'o')}
      or (o.workspace_id <> ${at.workspace_id} and o.visibility_level in ('organization', 'marketplace')))
    order by o.version_order desc limit 100
  ) o), '[]') as versions`

const sortable = { created_at: 's.created_at', updated_at: 's.updated_at', name: 's.name', slug: 's.slug' }

/** The newest version of each slug, of those that pass. */
const newest = (from: Sql, where: Sql): Sql => sql`(
  select distinct on (s.workspace_id, s.slug) s.* from ${from} where ${where}
  order by s.workspace_id, s.slug, s.version_order desc) s`

export function list(at: Context, input: Parsed<Ops['list']>): Promise<Page<Solution>> {
  const where: [Sql, ...Sql[]] = [
    raw('true'),
    ...(input.status ? [sql`s.status = ${input.status}`] : []),
    ...(input.slug ? [sql`s.slug = ${input.slug}`] : []),
    ...matching(sql`s.name || ' ' || s.description`, input.search),
  ]
  const of = { where, sortable, id: 's.id', parameters: input }
  if (input.from === 'workspace') {
    return page(at.db, { ...of, select: told(at), from: newest(raw('solutions_told s'), visible(at)) })
  }
  if (input.from === 'organization') {
    const elsewhere = sql`${shared(at)} and s.workspace_id <> ${at.workspace_id}`
    return page(at.db, { ...of, select: told(at), from: newest(raw('solutions_told s'), elsewhere) })
  }
  const others = at.solution_ids ? raw('false') : sql`s.organization_id <> ${at.organization_id}`
  return page(at.db, { ...of, select: shownColumns, from: newest(marketplace, others) })
}

export const listVersions = (
  at: Context,
  { slug, workspace_id }: Pick<Solution, 'slug' | 'workspace_id'>,
  input: Parsed<Ops['listVersions']>,
): Promise<Page<Solution>> =>
  page(at.db, {
    select: told(at),
    from: raw('solutions_told s'),
    where: [sql`s.slug = ${slug}`, sql`s.workspace_id = ${workspace_id}`, sql`(${visible(at)} or ${shared(at)})`],
    sortable: { version: 's.version_order', created_at: 's.created_at' },
    id: 's.id',
    parameters: input,
  })

/** The versions of another organization's solution, by one of them. */
export const listShownVersions = (
  at: Context,
  solution_id: string,
  input: Parsed<Ops['listVersions']>,
): Promise<Page<Solution>> =>
  page(at.db, {
    select: shownColumns,
    from: marketplace,
    where: [
      sql`(s.workspace_id, s.slug) in (select g.workspace_id, g.slug from flow_marketplace() g where g.id = ${solution_id})`,
    ],
    sortable: { version: 's.version_order', created_at: 's.created_at' },
    id: 's.id',
    parameters: input,
  })

/** One of the organization that the caller may see. */
export const find = (at: Context, id: string): Promise<Solution | undefined> =>
  at.db.maybe<Solution>(sql`
    select ${told(at)} from solutions_told s
    where s.id = ${id} and s.organization_id = ${at.organization_id} and (${visible(at)} or ${shared(at)})`)

/** Another organization's that all may see. */
export const findShown = (at: Context, id: string): Promise<Solution | undefined> =>
  at.solution_ids
    ? Promise.resolve(undefined)
    : at.db.maybe<Solution>(sql`
        select ${shownColumns} from ${marketplace} where s.id = ${id} and s.organization_id <> ${at.organization_id}`)

/** Locks one of the workspace: two changes of one solution come one after the other. */
export const lock = (at: Context, id: string): Promise<{ id: string } | undefined> =>
  at.db.maybe(sql`select s.id from solutions s where s.id = ${id} and ${visible(at)} for update`)

type New = Pick<
  Solution,
  'id' | 'slug' | 'version' | 'name' | 'description' | 'status' | 'visibility_level' | 'created_at' | 'created_by'
> & { mermaid_source: string | null; version_order: string }

/** False when the slug has this version. */
export const insert = async (at: Scope, made: New): Promise<boolean> =>
  (await at.db.run(sql`
    insert into solutions (id, organization_id, workspace_id, slug, version, version_order, name, description,
      mermaid_source, status, visibility_level, created_at, updated_at, created_by)
    values (${made.id}, ${at.organization_id}, ${at.workspace_id}, ${made.slug}, ${made.version}, ${made.version_order},
      ${made.name}, ${made.description}, ${made.mermaid_source}, ${made.status}, ${made.visibility_level},
      ${made.created_at}, ${made.created_at}, ${made.created_by})
    on conflict (workspace_id, slug, version) do nothing`)) === 1

export const replace = (at: Scope, changed: Solution): Promise<number> =>
  at.db.run(sql`
    update solutions
    set name = ${changed.name}, description = ${changed.description}, mermaid_source = ${changed.mermaid_source},
      skeleton = ${json(changed.skeleton)}, status = ${changed.status}, status_reason = ${changed.status_reason},
      visibility_level = ${changed.visibility_level}, updated_at = ${changed.updated_at}
    where id = ${changed.id} and workspace_id = ${at.workspace_id}`)

export const remove = (at: Scope, id: string): Promise<number> =>
  at.db.run(sql`delete from solutions where id = ${id} and workspace_id = ${at.workspace_id}`)

/** Another version of the same solution, if there is one: the newest. */
export const findSibling = (at: Scope, { id, slug }: Pick<Solution, 'id' | 'slug'>) =>
  at.db.maybe<{ id: string }>(sql`
    select s.id from solutions s
    where s.workspace_id = ${at.workspace_id} and s.slug = ${slug} and s.id <> ${id} and s.visibility_level <> 'private'
    order by s.version_order desc limit 1`)

// ---- components of a solution

const members = raw('solution_components sc join components c on c.id = sc.component_id')
const memberColumns =
  raw(`c.id, c.type, c.name, c.slug, c.description, c.tags, c.status, c.version, c.published_version,
  c.config, c.created_at, c.updated_at, c.created_by, sc.added_at`)
const filters = (input: Parsed<Ops['listComponents']>): Sql[] => [
  ...(input.type ? [sql`c.type = ${input.type}`] : []),
  ...matching(sql`c.name || ' ' || c.description`, input.search),
]
const componentsSortable = { added_at: 'sc.added_at', name: 'c.name', slug: 'c.slug' }

export const listComponents = (at: Scope, input: Parsed<Ops['listComponents']>): Promise<Page<SolutionComponent>> =>
  page(at.db, {
    select: memberColumns,
    from: members,
    where: [
      sql`sc.solution_id = ${input.solution_id}`,
      sql`sc.organization_id = ${at.organization_id}`,
      ...filters(input),
    ],
    sortable: componentsSortable,
    id: 'c.id',
    parameters: input,
  })

/** Of another organization's, without who made them. */
export const listShownComponents = (
  at: Scope,
  input: Parsed<Ops['listComponents']>,
): Promise<Page<SolutionComponent>> =>
  page(at.db, {
    select:
      raw(`c.id, c.type, c.name, c.slug, c.description, c.tags, c.status, c.version, c.published_version, c.config,
      c.created_at, c.updated_at, null::uuid as created_by, sc.added_at`),
    from: sql`flow_marketplace_components(${input.solution_id}) sc,
      lateral jsonb_populate_record(null::components, sc.component) c`,
    where: [raw('sc.added_at is not null'), ...filters(input)],
    sortable: componentsSortable,
    id: 'c.id',
    parameters: input,
  })

export const findComponent = (at: Scope, solution_id: string, id: string): Promise<SolutionComponent | undefined> =>
  at.db.maybe<SolutionComponent>(sql`
    select ${memberColumns} from ${members}
    where sc.solution_id = ${solution_id} and c.id = ${id} and sc.organization_id = ${at.organization_id}`)

/** Holds the component until the end of the transaction: it does not go meanwhile. False when it is not there. */
export const holdComponent = async (at: Scope, id: string): Promise<boolean> =>
  (await at.db.maybe(sql`
    select c.id from components c where c.id = ${id} and c.workspace_id = ${at.workspace_id} for key share`)) !==
  undefined

/** The slugs of those components that are in the workspace. */
export async function slugsOf(at: Scope, ids: string[]): Promise<Map<string, string>> {
  const rows = await at.db.many<{ id: string; slug: string }>(sql`
    select c.id, c.slug from components c where c.id = any(${ids}::uuid[]) and c.workspace_id = ${at.workspace_id}`)
  return new Map(rows.map(({ id, slug }) => [id, slug]))
}

/** What is in already stays as it is. */
export const addComponents = (at: Context, solution_id: string, ids: string[]): Promise<number> =>
  at.db.run(sql`
    insert into solution_components (organization_id, solution_id, component_id, added_at, added_by)
    select ${at.organization_id}, ${solution_id}, c.id, ${at.now}, ${at.actor.user_id}
    from components c where c.id = any(${ids}::uuid[]) and c.workspace_id = ${at.workspace_id}
    on conflict do nothing`)

export const copyComponents = (at: Context, from: string, to: string): Promise<number> =>
  at.db.run(sql`
    insert into solution_components (organization_id, solution_id, component_id, added_at, added_by)
    select sc.organization_id, ${to}, sc.component_id, ${at.now}, ${at.actor.user_id}
    from solution_components sc where sc.solution_id = ${from} and sc.organization_id = ${at.organization_id}`)

export const removeComponent = (at: Scope, solution_id: string, component_id: string): Promise<number> =>
  at.db.run(sql`
    delete from solution_components
    where solution_id = ${solution_id} and component_id = ${component_id} and organization_id = ${at.organization_id}`)

/** Components that have no published version. */
export const unfinished = (at: Scope, solution_id: string) =>
  at.db.many<Pick<SolutionComponent, 'id' | 'slug' | 'type'>>(sql`
    select c.id, c.slug, c.type from ${members}
    where sc.solution_id = ${solution_id} and sc.organization_id = ${at.organization_id} and c.published_version is null
    order by c.slug limit 100`)

// ---- what moves

type Content = MovingRow & { is_member: boolean }

/** The components of a solution of this organization and all that those use, with their published versions. */
export const contents = (at: Scope, solution_id: string): Promise<Content[]> =>
  at.db.many<Content>(sql`
    select c.id, c.slug, c.type, c.name, c.description, c.tags, c.status, c.status_reason, c.version,
      c.published_version, c.config, sc.component_id is not null as is_member,
      (select jsonb_agg(jsonb_build_object('version', v.version, 'changelog', v.changelog, 'config', v.config))
        from component_versions v where v.component_id = c.id and v.status = 'published') as versions
    from components c
    left join solution_components sc on sc.component_id = c.id and sc.solution_id = ${solution_id}
    where c.organization_id = ${at.organization_id}
      and c.id in (select flow_components_used(array[${solution_id}::uuid]))`)

/** The same of what another organization shows. */
export const shownContents = (at: Scope, solution_id: string): Promise<Content[]> =>
  at.db.many<Content>(sql`
    select c.id, c.slug, c.type, c.name, c.description, c.tags, c.status, c.status_reason, c.version,
      c.published_version, c.config, sc.added_at is not null as is_member, sc.versions
    from flow_marketplace_components(${solution_id}) sc,
      lateral jsonb_populate_record(null::components, sc.component) c`)

/** What the flowchart of a solution was made into, also of what another organization shows. */
export const skeletonOf = async (at: Scope, id: string): Promise<Skeleton | null> =>
  (
    await at.db.maybe<{ skeleton: Skeleton | null }>(sql`
      select s.skeleton from solutions s where s.id = ${id} and s.organization_id = ${at.organization_id}
      union all select s.skeleton from flow_marketplace() s
      where s.id = ${id} and s.organization_id <> ${at.organization_id}`)
  )?.skeleton ?? null

/** Whether there is such a version in the workspace, whoever may see it. */
export const findVersion = (at: Scope, slug: string, version: string): Promise<{ id: string } | undefined> =>
  at.db.maybe(sql`
    select id from solutions where workspace_id = ${at.workspace_id} and slug = ${slug} and version = ${version}`)

/** The slugs of solutions that are taken, with numbers behind them or without. */
export async function slugsLike(at: Scope, slug: string): Promise<Set<string>> {
  const rows = await at.db.many<{ slug: string }>(sql`
    select distinct slug from solutions
    where workspace_id = ${at.workspace_id} and (slug = ${slug} or regexp_replace(slug, '-\\d+$', '') = ${slug})`)
  return new Set(rows.map((row) => row.slug))
}

export const componentsBySlug = (at: Scope, slugs: string[]) =>
  at.db.many<Pick<SolutionComponent, 'id' | 'slug' | 'type'>>(sql`
    select c.id, c.slug, c.type from components c
    where c.workspace_id = ${at.workspace_id} and c.slug = any(${slugs})`)
