/** The SQL of keys. Every statement names the organization. */

import type { Scope } from '../context.ts'
import { raw, sql } from '../db/db.ts'
import { matching, page } from '../db/page.ts'
import type { ApiKey, KeyList } from './keys.ts'

const keyColumns = raw(
  'k.id, k.kind, k.name, k.prefix, k.last_four, k.scopes, k.workspace_id, k.expires_at, k.last_used_at, k.revoked_at, k.created_by, k.created_at',
)

export type NewKeyRow = Omit<ApiKey, 'last_used_at' | 'revoked_at'> & { hash: Buffer }

export const insertKey = (at: Scope, key: NewKeyRow) =>
  at.db.one<ApiKey>(sql`
    insert into api_keys as k
      (id, organization_id, workspace_id, kind, name, prefix, last_four, hash, scopes, created_by, expires_at, created_at)
    values (${key.id}, ${at.organization_id}, ${key.workspace_id}, ${key.kind}, ${key.name}, ${key.prefix},
      ${key.last_four}, ${key.hash}, ${key.scopes}, ${key.created_by}, ${key.expires_at}, ${key.created_at})
    returning ${keyColumns}`)

export const findKey = (at: Scope, key_id: string) =>
  at.db.maybe<ApiKey>(sql`
    select ${keyColumns} from api_keys k
    where k.organization_id = ${at.organization_id} and k.id = ${key_id} and k.revoked_at is null`)

export const listKeys = (at: Scope, list: KeyList) =>
  page<ApiKey>(at.db, {
    select: keyColumns,
    from: raw('api_keys k'),
    where: [
      sql`k.organization_id = ${at.organization_id} and k.revoked_at is null`,
      ...matching(raw('k.name'), list.search),
      ...(list.kind ? [sql`k.kind = ${list.kind}`] : []),
    ],
    sortable: {
      created_at: 'k.created_at',
      name: 'k.name',
      last_used_at: 'k.last_used_at',
      expires_at: 'k.expires_at',
    },
    nullable: ['last_used_at', 'expires_at'],
    id: 'k.id',
    parameters: list,
  })

export const revokeKey = async (at: Omit<Scope, 'workspace_id'> & { now: string }, key_id: string): Promise<boolean> =>
  (await at.db.run(sql`
    update api_keys set revoked_at = ${at.now}
    where organization_id = ${at.organization_id} and id = ${key_id} and revoked_at is null`)) > 0

/** The keys of somebody who was removed: coming back later must not bring them back. */
export const revokeKeysOf = (at: Omit<Scope, 'workspace_id'> & { now: string }, user_id: string) =>
  at.db.run(sql`
    update api_keys set revoked_at = ${at.now}
    where organization_id = ${at.organization_id} and created_by = ${user_id} and revoked_at is null`)
