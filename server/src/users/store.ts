/** The SQL of users: memberships, their roles and invitations, and the accounts behind them. Every statement names the
 *  organization, but for the two that make an account, which belongs to none. */

import type { Grant } from '@flow/contract/access'
import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { User, users } from '@flow/contract/users'
import { type Db, json, raw, type Sql, sql } from '../db/db.ts'
import { matching, page } from '../db/page.ts'

export type Tenant = { db: Db; organization_id: string }

const statusAt = (now: string): Sql =>
  sql`(case when m.status = 'invited' and i.expires_at <= ${now} then 'expired' else m.status end)`

const columnsAt = (now: string): Sql => sql`
  u.id, u.email, m.name, m.title, ${statusAt(now)} as status,
  coalesce((
    select jsonb_agg(
      jsonb_strip_nulls(jsonb_build_object('role', g.role, 'scope', g.scope, 'scope_id', g.scope_id))
      order by g.role, g.scope, g.scope_id)
    from grants g where g.organization_id = m.organization_id and g.user_id = m.user_id), '[]') as grants,
  m.invited_by, i.expires_at as invitation_expires_at, i.sent_at as invitation_sent_at, m.joined_at, m.created_at,
  m.updated_at`

const members = raw(`memberships m
  join users u on u.id = m.user_id
  left join invitations i on i.organization_id = m.organization_id and i.user_id = m.user_id`)

export function list(at: Tenant, input: Parsed<(typeof users)['list']>, now: string): Promise<Page<User>> {
  const where: [Sql, ...Sql[]] = [
    sql`m.organization_id = ${at.organization_id}`,
    ...matching(sql`m.name || ' ' || u.email`, input.search),
  ]
  if (input.status) where.push(sql`${statusAt(now)} = ${input.status}`)
  if (input.role) {
    where.push(sql`exists (select from grants g
      where g.organization_id = m.organization_id and g.user_id = m.user_id and g.role = ${input.role})`)
  }
  return page<User>(at.db, {
    select: columnsAt(now),
    from: members,
    where,
    sortable: { created_at: 'm.created_at', name: 'lower(m.name)', email: 'u.email', joined_at: 'm.joined_at' },
    nullable: ['joined_at'],
    id: 'u.id',
    parameters: input,
  })
}

export const find = (at: Tenant, user_id: string, now: string): Promise<User | undefined> =>
  at.db.maybe(sql`
    select ${columnsAt(now)} from ${members}
    where m.organization_id = ${at.organization_id} and m.user_id = ${user_id}`)

/** Whoever may take an admin away comes here first, one after the other: each sees what the one before has done. A
 *  lock would not do: under repeatable read it is granted and the change before it stays unseen. */
export const takeTurn = (at: Tenant): Promise<number> =>
  at.db.run(sql`update organizations set admin_changes = admin_changes + 1 where id = ${at.organization_id}`)

/** Locks the membership until the end of the transaction. */
export const lock = (at: Tenant, user_id: string): Promise<number> =>
  at.db.run(sql`
    select from memberships where organization_id = ${at.organization_id} and user_id = ${user_id} for no key update`)

export const otherActiveAdmins = (at: Tenant, user_id: string): Promise<{ count: number }> =>
  at.db.one(sql`
    select count(*)::int as count from memberships m
    where m.organization_id = ${at.organization_id} and m.user_id <> ${user_id} and m.status = 'active'
      and exists (select from grants g where g.organization_id = m.organization_id and g.user_id = m.user_id
        and g.role = 'admin' and g.scope = 'organization')`)

export type Profile = Pick<User, 'name' | 'title'> & { status: 'invited' | 'active' | 'suspended' }

export const updateMembership = (at: Tenant, user_id: string, profile: Profile, now: string): Promise<number> =>
  at.db.run(sql`
    update memberships
    set name = ${profile.name}, title = ${profile.title}, status = ${profile.status}, updated_at = ${now}
    where organization_id = ${at.organization_id} and user_id = ${user_id}`)

/** Roles and invitation go with the membership; the account stays. */
export const removeMembership = (at: Tenant, user_id: string): Promise<number> =>
  at.db.run(sql`delete from memberships where organization_id = ${at.organization_id} and user_id = ${user_id}`)

export type NewMembership = {
  user_id: string
  status: 'invited' | 'active'
  /** Null: as the account is called. */
  name: string | null
  invited_by: string | null
  joined_at: string | null
  created_at: string
}

/** False when they are a member already. */
export const insertMembership = async (at: Tenant, made: NewMembership): Promise<boolean> =>
  (await at.db.run(sql`
    insert into memberships (organization_id, user_id, status, name, invited_by, joined_at, created_at, updated_at)
    values (${at.organization_id}, ${made.user_id}, ${made.status},
      coalesce(${made.name}, (select name from users where id = ${made.user_id})), ${made.invited_by},
      ${made.joined_at}, ${made.created_at}, ${made.created_at})
    on conflict (organization_id, user_id) do nothing`)) === 1

export const removeGrants = (at: Tenant, user_id: string): Promise<number> =>
  at.db.run(sql`delete from grants where organization_id = ${at.organization_id} and user_id = ${user_id}`)

/** A role that is named twice is given once. */
export const insertGrants = (
  at: Tenant,
  user_id: string,
  grants: (Grant & { id: string })[],
  by: string | null,
  now: string,
) =>
  at.db.run(sql`
    insert into grants (id, organization_id, user_id, role, scope, scope_id, created_at, created_by)
    select g.id, ${at.organization_id}, ${user_id}, g.role, g.scope, g.scope_id, ${now}, ${by}
    from jsonb_to_recordset(${json(grants)}::jsonb) as g (id uuid, role text, scope text, scope_id uuid)
    on conflict do nothing`)

/** Those of the ids that are workspaces of the organization. */
export const workspacesAmong = (at: Tenant, ids: string[]): Promise<{ id: string }[]> =>
  at.db.many(sql`select id from workspaces where organization_id = ${at.organization_id} and id = any(${ids}::uuid[])`)

/** Those of the ids that are solutions of the organization. */
export const solutionsAmong = (at: Tenant, ids: string[]): Promise<{ id: string }[]> =>
  at.db.many(sql`select id from solutions where organization_id = ${at.organization_id} and id = any(${ids}::uuid[])`)

/** What was given for the one counts for the other. Whoever has the role there already keeps it. */
export const copyGrants = (at: Tenant, from: string, to: string, now: string): Promise<number> =>
  at.db.run(sql`
    insert into grants (id, organization_id, user_id, role, scope, scope_id, created_at, created_by)
    select gen_random_uuid(), organization_id, user_id, role, scope, ${to}, ${now}, created_by
    from grants where organization_id = ${at.organization_id} and scope = 'solution' and scope_id = ${from}
    on conflict do nothing`)

export const removeGrantsFor = (at: Tenant, solution_id: string): Promise<number> =>
  at.db.run(sql`
    delete from grants
    where organization_id = ${at.organization_id} and scope = 'solution' and scope_id = ${solution_id}`)

export type Account = { id: string; email: string; name: string; has_password: boolean }
const accountColumns = raw('u.id, u.email, u.name, u.password_hash is not null as has_password')

/** The account of the address, made now if there is none. An account belongs to no organization. */
export const account = (db: Db, made: { id: string; email: string; name: string; now: string }): Promise<Account> =>
  db.one(sql`
    insert into users as u (id, email, name, created_at, updated_at)
    values (${made.id}, ${made.email}, ${made.name}, ${made.now}, ${made.now})
    on conflict (email) do update set email = excluded.email
    returning ${accountColumns}`)

/** Sets the first password of an account; one that has a password keeps it. */
export const givePassword = (db: Db, user_id: string, password_hash: string, now: string): Promise<number> =>
  db.run(sql`
    update users set password_hash = ${password_hash}, updated_at = ${now}
    where id = ${user_id} and password_hash is null`)

export type Invitation = {
  id: string
  user_id: string
  token_hash: Buffer
  message: string
  invited_by: string
  expires_at: string
  created_at: string
}

/** The one open invitation of the member. Another one takes its place: the token before opens nothing any more. */
export const putInvitation = (at: Tenant, made: Invitation): Promise<number> =>
  at.db.run(sql`
    insert into invitations (id, organization_id, user_id, token_hash, message, invited_by, expires_at, created_at)
    values (${made.id}, ${at.organization_id}, ${made.user_id}, ${made.token_hash}, ${made.message}, ${made.invited_by},
      ${made.expires_at}, ${made.created_at})
    on conflict (organization_id, user_id) do update
    set id = excluded.id, token_hash = excluded.token_hash, message = excluded.message, sent_at = null,
      invited_by = excluded.invited_by, expires_at = excluded.expires_at, created_at = excluded.created_at`)

export type InvitingOrganization = { name: string; primary_domain: string | null; restrict_invitations: boolean }

export const invitingOrganization = (at: Tenant): Promise<InvitingOrganization> =>
  at.db.one(sql`
    select name, primary_domain, restrict_invitations from organizations where id = ${at.organization_id}`)

export type Letter = { email: string; organization_name: string; inviter: string; message: string; expires_at: string }

/** What the e-mail says. Nothing when the invitation was sent, accepted, replaced, withdrawn or has run out. */
export const letter = (at: Tenant, invitation_id: string, now: string): Promise<Letter | undefined> =>
  at.db.maybe(sql`
    select u.email, o.name as organization_name, coalesce(nullif(im.name, ''), iu.email) as inviter, i.message,
      i.expires_at
    from invitations i
    join users u on u.id = i.user_id
    join organizations o on o.id = i.organization_id
    left join users iu on iu.id = i.invited_by
    left join memberships im on im.organization_id = i.organization_id and im.user_id = i.invited_by
    where i.id = ${invitation_id} and i.organization_id = ${at.organization_id} and i.sent_at is null
      and i.expires_at > ${now}`)

export const markSent = (at: Tenant, invitation_id: string, now: string): Promise<number> =>
  at.db.run(sql`
    update invitations set sent_at = ${now}
    where id = ${invitation_id} and organization_id = ${at.organization_id}`)

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Somebody who may be asked, or written to. */
export type Person = { user_id: string; email: string; name: string }

const active = raw(`select u.id as user_id, u.email, m.name
  from memberships m join users u on u.id = m.user_id and m.status = 'active'`)

/** The active members among these e-mail addresses (in lower case) and ids. */
export const membersNamed = (at: Tenant, names: string[]): Promise<Person[]> =>
  at.db.many(sql`
    ${active}
    where m.organization_id = ${at.organization_id}
      and (u.email = any(${names}::text[]) or u.id = any(${names.filter((name) => UUID.test(name))}::uuid[]))`)

/** Active members with the role in the workspace, those who joined first. */
export const membersWithRole = (at: Tenant, role: string, workspace_id: string, limit: number): Promise<Person[]> =>
  at.db.many(sql`
    ${active}
    where m.organization_id = ${at.organization_id} and exists (
      select from grants g where g.organization_id = m.organization_id and g.user_id = m.user_id and g.role = ${role}
        and (g.scope = 'organization' or (g.scope = 'workspace' and g.scope_id = ${workspace_id})))
    order by m.joined_at, u.id limit ${limit}`)
