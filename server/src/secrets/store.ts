/** The SQL of secrets. */

import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { Secret, secrets } from '@flow/contract/secrets'
import type { Scope } from '../context.ts'
import { raw, sql } from '../db/db.ts'
import { matching, page } from '../db/page.ts'

const columns =
  raw(`s.id, s.workspace_id, s.name, s.description, s.version, s.value_changed_at, s.created_by, s.created_at,
  s.updated_at`)

export const list = (at: Scope, input: Parsed<(typeof secrets)['list']>): Promise<Page<Secret>> =>
  page<Secret>(at.db, {
    select: columns,
    from: sql`secrets s`,
    where: [
      sql`s.organization_id = ${at.organization_id}`,
      sql`s.workspace_id = ${at.workspace_id}`,
      ...matching(sql`s.name || ' ' || s.description`, input.search),
    ],
    sortable: { created_at: 's.created_at', name: 's.name', value_changed_at: 's.value_changed_at' },
    id: 's.id',
    parameters: input,
  })

export const find = (at: Scope, id: string): Promise<Secret | undefined> =>
  at.db.maybe<Secret>(sql`
    select ${columns} from secrets s
    where s.id = ${id} and s.organization_id = ${at.organization_id} and s.workspace_id = ${at.workspace_id}`)

export const findSealed = (at: Scope, name: string): Promise<{ id: string; value: string } | undefined> =>
  at.db.maybe<{ id: string; value: string }>(sql`
    select id, value from secrets
    where name = ${name} and organization_id = ${at.organization_id} and workspace_id = ${at.workspace_id}`)

type New = { id: string; name: string; description: string; value: string; created_by: string; created_at: string }

/** Who keeps secrets of one workspace comes one after the other, so that its limit holds. */
export const lockWorkspace = (at: Scope): Promise<number> =>
  at.db.run(sql`
    select from workspaces where id = ${at.workspace_id} and organization_id = ${at.organization_id} for update`)

/** Nothing when the name is taken, or the workspace has as many as it may. */
export const insert = (at: Scope, it: New, most: number): Promise<Secret | undefined> =>
  at.db.maybe<Secret>(sql`
    insert into secrets as s (id, organization_id, workspace_id, name, description, value, value_changed_at, created_by,
      created_at, updated_at)
    select ${it.id}, ${at.organization_id}, ${at.workspace_id}, ${it.name}, ${it.description}, ${it.value},
      ${it.created_at}, ${it.created_by}, ${it.created_at}, ${it.created_at}
    where (select count(*) from secrets c
      where c.organization_id = ${at.organization_id} and c.workspace_id = ${at.workspace_id}) < ${most}
    on conflict (workspace_id, name) do nothing
    returning ${columns}`)

/** A value that is not given stays. */
export const update = (
  at: Scope & { now: string },
  id: string,
  { value, description }: { value?: string; description?: string },
): Promise<Secret | undefined> =>
  at.db.maybe<Secret>(sql`
    update secrets s set
      description = coalesce(${description ?? null}, s.description),
      value = coalesce(${value ?? null}, s.value),
      version = s.version + ${value === undefined ? 0 : 1},
      value_changed_at = case when ${value !== undefined} then ${at.now}::timestamptz else s.value_changed_at end,
      updated_at = ${at.now}
    where s.id = ${id} and s.organization_id = ${at.organization_id} and s.workspace_id = ${at.workspace_id}
    returning ${columns}`)

export const remove = (at: Scope, id: string): Promise<number> =>
  at.db.run(sql`
    delete from secrets
    where id = ${id} and organization_id = ${at.organization_id} and workspace_id = ${at.workspace_id}`)
