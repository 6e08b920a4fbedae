/** The SQL of single sign-on: an organization's settings and domains, sign-ins on their way, whom a provider knows. */

import type { Role } from '@flow/contract/access'
import type { Scope } from '../context.ts'
import { type Db, sql } from '../db/db.ts'

export type Settings = {
  organization_id: string
  issuer: string
  client_id: string
  client_secret_sealed: string
  domains: string[]
  default_role: Exclude<Role, 'admin'>
  created_at: string
  updated_at: string
}

const settings = sql`
  s.organization_id, s.issuer, s.client_id, s.client_secret_sealed, s.default_role, s.created_at, s.updated_at,
  array(select d.domain from sso_domains d where d.organization_id = s.organization_id order by d.domain) as domains`

export const find = (at: Scope) =>
  at.db.maybe<Settings>(sql`select ${settings} from sso_settings s where s.organization_id = ${at.organization_id}`)

export const save = (at: Scope, next: Omit<Settings, 'organization_id' | 'domains'>) =>
  at.db.run(sql`
    insert into sso_settings
      (organization_id, issuer, client_id, client_secret_sealed, default_role, created_at, updated_at)
    values (${at.organization_id}, ${next.issuer}, ${next.client_id}, ${next.client_secret_sealed},
      ${next.default_role}, ${next.created_at}, ${next.updated_at})
    on conflict (organization_id) do update set
      issuer = excluded.issuer, client_id = excluded.client_id, client_secret_sealed = excluded.client_secret_sealed,
      default_role = excluded.default_role, updated_at = excluded.updated_at`)

export const clearDomains = (at: Scope, keep: string[]) =>
  at.db.run(sql`
    delete from sso_domains where organization_id = ${at.organization_id} and domain <> all(${keep}::text[])`)

/** Those that are free; what another organization has is left out, and so is what we have already. */
export const addDomains = (at: Scope, domains: string[]) =>
  at.db.run(sql`
    insert into sso_domains (domain, organization_id)
    select domain, ${at.organization_id}::uuid from unnest(${domains}::text[]) as domain
    on conflict do nothing`)

export const remove = (at: Scope) =>
  at.db.run(sql`delete from sso_settings where organization_id = ${at.organization_id}`)

/** The settings that an e-mail domain, an id or a slug leads to, of an active organization. */
export const settingsFor = (db: Db, by: { domain: string } | { organization: string }) =>
  db.maybe<Settings>(sql`
    select ${settings} from sso_settings s join organizations o on o.id = s.organization_id and o.status = 'active'
    where ${
      'domain' in by
        ? sql`s.organization_id = (select d.organization_id from sso_domains d where d.domain = ${by.domain})`
        : sql`o.id::text = ${by.organization} or o.slug = ${by.organization}`
    }`)

export type Request = {
  state_hash: Buffer
  organization_id: string
  issuer: string
  checks_sealed: string
  redirect_uri: string | null
  expires_at: string
}

export const insertRequest = (db: Db, request: Request) =>
  db.run(sql`
    insert into sso_requests (state_hash, organization_id, issuer, checks_sealed, redirect_uri, expires_at)
    values (${request.state_hash}, ${request.organization_id}, ${request.issuer}, ${request.checks_sealed},
      ${request.redirect_uri}, ${request.expires_at})`)

/** Taken once: the state is worth nothing afterwards, whatever comes of the sign-in. */
export const takeRequest = (db: Db, state_hash: Buffer) =>
  db.maybe<Request>(sql`
    delete from sso_requests where state_hash = ${state_hash}
    returning state_hash, organization_id, issuer, checks_sealed, redirect_uri, expires_at`)

export type Code = { hash: Buffer; state_hash: Buffer; organization_id: string; user_id: string; expires_at: string }

export const insertCode = (db: Db, code: Code) =>
  db.run(sql`
    insert into sso_codes (hash, state_hash, organization_id, user_id, expires_at)
    values (${code.hash}, ${code.state_hash}, ${code.organization_id}, ${code.user_id}, ${code.expires_at})`)

/** Whose code it is, without taking it. */
export const peekCode = (db: Db, hash: Buffer, state_hash: Buffer, now: string) =>
  db.maybe<{ email: string }>(sql`
    select u.email from sso_codes c join users u on u.id = c.user_id
    where c.hash = ${hash} and c.state_hash = ${state_hash} and c.expires_at > ${now}`)

export const takeCode = (db: Db, hash: Buffer) =>
  db.maybe<Code>(sql`
    delete from sso_codes where hash = ${hash} returning hash, state_hash, organization_id, user_id, expires_at`)

export type Identity = { organization_id: string; issuer: string; subject: string }

export const userOfIdentity = (db: Db, { organization_id, issuer, subject }: Identity) =>
  db.maybe<{ user_id: string }>(sql`
    select user_id from sso_identities
    where organization_id = ${organization_id} and issuer = ${issuer} and subject = ${subject}`)

/** The membership before this sign-in, locked. */
export const lockMembership = (db: Db, organization_id: string, user_id: string) =>
  db.maybe<{ status: 'invited' | 'active' | 'suspended' }>(sql`
    select status from memberships where organization_id = ${organization_id} and user_id = ${user_id} for update`)

/** An invited member who comes in this way. */
export const activate = (db: Db, organization_id: string, user_id: string, name: string, now: string) =>
  db.run(sql`
    update memberships
    set status = 'active', joined_at = ${now}, updated_at = ${now}, name = coalesce(nullif(name, ''), ${name})
    where organization_id = ${organization_id} and user_id = ${user_id} and status = 'invited'`)

export const dropInvitation = (db: Db, organization_id: string, user_id: string) =>
  db.run(sql`delete from invitations where organization_id = ${organization_id} and user_id = ${user_id}`)

export const insertIdentity = (
  db: Db,
  identity: Identity & { user_id: string; began_membership: boolean; created_at: string },
) =>
  db.run(sql`
    insert into sso_identities (organization_id, issuer, subject, user_id, began_membership, created_at)
    values (${identity.organization_id}, ${identity.issuer}, ${identity.subject}, ${identity.user_id},
      ${identity.began_membership}, ${identity.created_at})
    on conflict do nothing`)
