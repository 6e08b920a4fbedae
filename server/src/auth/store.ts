/** The room's SQL for who somebody is. Private to the room. Statements that take a `Scope` see one
 *  organization; those that take a `Db` are for the platform's handle: before somebody is known, there is none. */

import type { Grant, Permission } from '@flow/contract/access'
import { type Db, sql } from '../db/db.ts'
import type { KeyKind } from '../keys/keys.ts'

/** Everything that decides whether a credential still counts, read in one statement with each request. */
export type Standing = {
  user_id: string
  email: string
  name: string
  organization_id: string
  organization_status: 'active' | 'suspended' | 'archived'
  default_workspace_id: string
  membership_status: 'invited' | 'active' | 'suspended' | null
  grants: Grant[]
  key: KeyStanding | null
}
export type KeyStanding = {
  id: string
  kind: KeyKind
  name: string
  scopes: Permission[]
  workspace_id: string | null
  /** Seconds until it expires, negative when it has; null: never. */
  expires_in: number | null
  /** Seconds since it was last noted as used; null: never. */
  used_ago: number | null
  is_revoked: boolean
}

const standing = (now: string) => sql`
  u.id as user_id, u.email, coalesce(nullif(m.name, ''), nullif(u.name, ''), u.email) as name,
  o.id as organization_id, o.status as organization_status, o.default_workspace_id,
  m.status as membership_status,
  (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('role', g.role, 'scope', g.scope, 'scope_id', g.scope_id))), '[]')
    from grants g where g.organization_id = o.id and g.user_id = u.id) as grants,
  case when k.id is null then null else jsonb_build_object(
    'id', k.id, 'kind', k.kind, 'name', k.name, 'scopes', k.scopes, 'workspace_id', k.workspace_id,
    'expires_in', extract(epoch from k.expires_at - ${now}::timestamptz),
    'used_ago', extract(epoch from ${now}::timestamptz - k.last_used_at),
    'is_revoked', k.revoked_at is not null) end as key`

export const standingOfKey = (db: Db, hash: Buffer, now: string) =>
  db.maybe<Standing>(sql`
    select ${standing(now)}
    from api_keys k
    join users u on u.id = k.created_by
    join organizations o on o.id = k.organization_id
    left join memberships m on m.organization_id = o.id and m.user_id = u.id
    where k.hash = ${hash}`)

/** Of a session that has not ended. */
export const standingOfSession = (db: Db, session_id: string, user_id: string, organization_id: string, now: string) =>
  db.maybe<Standing>(sql`
    select ${standing(now)}
    from sessions s
    join users u on u.id = s.user_id
    join organizations o on o.id = ${organization_id}
    left join memberships m on m.organization_id = o.id and m.user_id = u.id
    left join api_keys k on k.id = s.api_key_id
    where s.id = ${session_id} and s.user_id = ${user_id} and s.ended_at is null and s.expires_at > ${now}
      and (not s.is_bound or s.organization_id = o.id)`)

/** Of a user in whose name something runs, narrowed to a key if it was begun with one. */
export const standingOfUser = (db: Db, organization_id: string, user_id: string, key_id: string | null, now: string) =>
  db.maybe<Standing>(sql`
    select ${standing(now)}
    from users u
    join organizations o on o.id = ${organization_id}
    left join memberships m on m.organization_id = o.id and m.user_id = u.id
    left join api_keys k on k.id = ${key_id}::uuid and k.organization_id = o.id and k.created_by = u.id
    where u.id = ${user_id} and (${key_id}::uuid is null or k.id is not null)`)

export const noteKeyUse = (db: Db, key_id: string, now: string) =>
  db.run(sql`
    update api_keys set last_used_at = ${now}
    where id = ${key_id} and (last_used_at is null or last_used_at < ${now}::timestamptz - interval '1 minute')`)

/** Who somebody is, in words. */
export const introduction = (db: Db, organization_id: string, user_id: string) =>
  db.one<{
    user: { id: string; email: string; name: string }
    organization: { id: string; name: string; slug: string }
  }>(sql`
    select jsonb_build_object('id', u.id, 'email', u.email,
        'name', coalesce(nullif(m.name, ''), nullif(u.name, ''), u.email)) as user,
      jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug) as organization
    from users u
    join organizations o on o.id = ${organization_id}
    left join memberships m on m.organization_id = o.id and m.user_id = u.id
    where u.id = ${user_id}`)
