/** The SQL of state. A scope that has expired is there for nobody, whether it has been removed yet or not. */

import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { StateEntry, StateScopeSummary, state } from '@flow/contract/state'
import type { Scope } from '../context.ts'
import { type Db, raw, sql } from '../db/db.ts'
import { matching, page } from '../db/page.ts'

/** Where something is remembered. */
export type Place = { component_id: string; scope: string }
type At = Scope & { now: string }

export type ScopeRow = {
  writes: number
  entries: number
  characters: number
  updated_at: string
  expires_at: string | null
}
export type EntryRow = Omit<StateEntry, 'expires_at'> & { characters: number }

const columns = raw(
  'e.component_id, e.scope, e.key, e.value, e.version, e.created_at, e.updated_at, e.updated_by, e.characters',
)

export const listScopes = (at: At, input: Parsed<(typeof state)['listScopes']>): Promise<Page<StateScopeSummary>> =>
  page<StateScopeSummary>(at.db, {
    select: raw('s.scope, s.entries, s.characters, s.updated_at, s.expires_at'),
    from: sql`state_scopes s`,
    where: [
      sql`s.component_id = ${input.component_id}`,
      sql`s.organization_id = ${at.organization_id}`,
      sql`s.entries > 0`,
      sql`(s.expires_at is null or s.expires_at > ${at.now})`,
      ...matching(sql`s.scope`, input.search),
    ],
    sortable: { updated_at: 's.updated_at', scope: 's.scope' },
    id: 's.scope',
    parameters: input,
  })

export const findScope = (at: At, { component_id, scope }: Place): Promise<ScopeRow | undefined> =>
  at.db.maybe<ScopeRow>(sql`
    select writes, entries, characters, updated_at, expires_at from state_scopes
    where component_id = ${component_id} and scope = ${scope} and organization_id = ${at.organization_id}`)

/** The scope as it is, made where there is none, and locked: writers of one scope come one after the other. */
export const lockScope = (at: At, { component_id, scope }: Place): Promise<ScopeRow> =>
  at.db.one<ScopeRow>(sql`
    insert into state_scopes (component_id, scope, organization_id, updated_at)
    values (${component_id}, ${scope}, ${at.organization_id}, ${at.now})
    on conflict (component_id, scope) do update set updated_at = excluded.updated_at
    returning writes, entries, characters, updated_at, expires_at`)

export const keepScope = (at: At, { component_id, scope }: Place, row: Omit<ScopeRow, 'updated_at'>): Promise<number> =>
  at.db.run(sql`
    update state_scopes set writes = ${row.writes}, entries = ${row.entries}, characters = ${row.characters},
      expires_at = ${row.expires_at}, updated_at = ${at.now}
    where component_id = ${component_id} and scope = ${scope} and organization_id = ${at.organization_id}`)

export const entriesOf = (at: Scope, { component_id, scope }: Place): Promise<EntryRow[]> =>
  at.db.many<EntryRow>(sql`
    select ${columns} from state_entries e
    where e.component_id = ${component_id} and e.scope = ${scope} and e.organization_id = ${at.organization_id}
    order by e.key`)

export const findEntry = (at: Scope, { component_id, scope }: Place, key: string): Promise<EntryRow | undefined> =>
  at.db.maybe<EntryRow>(sql`
    select ${columns} from state_entries e
    where e.component_id = ${component_id} and e.scope = ${scope} and e.key = ${key}
      and e.organization_id = ${at.organization_id}`)

type NewEntry = { key: string; value: unknown; characters: number; version: number; by: string }

export const keepEntry = (at: At, { component_id, scope }: Place, made: NewEntry): Promise<EntryRow> =>
  at.db.one<EntryRow>(sql`
    insert into state_entries as e (component_id, scope, key, organization_id, value, characters, version, created_at,
      updated_at, updated_by)
    values (${component_id}, ${scope}, ${made.key}, ${at.organization_id}, ${JSON.stringify(made.value)},
      ${made.characters}, ${made.version}, ${at.now}, ${at.now}, ${made.by})
    on conflict (component_id, scope, key) do update set value = excluded.value, characters = excluded.characters,
      version = excluded.version, updated_at = excluded.updated_at, updated_by = excluded.updated_by
    returning ${columns}`)

export const removeEntry = (at: Scope, { component_id, scope }: Place, key: string): Promise<number> =>
  at.db.run(sql`
    delete from state_entries
    where component_id = ${component_id} and scope = ${scope} and key = ${key} and organization_id = ${at.organization_id}`)

export const removeEntries = (at: Scope, { component_id, scope }: Place): Promise<number> =>
  at.db.run(sql`
    delete from state_entries
    where component_id = ${component_id} and scope = ${scope} and organization_id = ${at.organization_id}`)

/** What has expired. A scope that is written to at the same moment begins with entries that this does not see. */
export const forgetEntries = (db: Db, now: string): Promise<number> =>
  db.run(sql`
    delete from state_entries e using state_scopes s
    where s.component_id = e.component_id and s.scope = e.scope and s.expires_at <= ${now}`)

/** Scopes outlive their entries for a while, so that whoever still holds a version of one is refused. */
export const forgetScopes = (db: Db, now: string): Promise<number> =>
  db.run(sql`delete from state_scopes where expires_at < ${now}::timestamptz - interval '30 days'`)
