/** The room's SQL for sign-ins: accounts, memberships, sessions, refresh tokens, failures, invitations. All of it runs
 *  on the platform's handle: a person signs in before it is known to which organization. */

import { type Db, sql } from '../db/db.ts'

export type Account = { id: string; email: string; name: string; password_hash: string | null }

/** The account of an address, and whether it signed in from this network of late. */
export const account = (db: Db, email: string, network: string, since: string) =>
  db.maybe<Account & { is_usual_address: boolean }>(sql`
    select u.id, u.email, u.name, u.password_hash, exists (
      select from sessions s
      where s.user_id = u.id and s.network = ${network} and s.created_at > ${since} and s.method in ('password', 'sso')
    ) as is_usual_address
    from users u where u.email = ${email}`)

export const setPasswordHash = (db: Db, user_id: string, password_hash: string, now: string) =>
  db.run(sql`update users set password_hash = ${password_hash}, updated_at = ${now} where id = ${user_id}`)

export type Member = { organization_id: string; user: { id: string; email: string; name: string } }

/** Where an account may be now, in the order it joined. A membership that an identity provider began is opened by
 *  that provider only: `by_password` leaves it out. */
export const memberships = (db: Db, user_id: string, by_password: boolean) =>
  db.many<Member>(sql`
    select m.organization_id, jsonb_build_object('id', u.id, 'email', u.email,
      'name', coalesce(nullif(m.name, ''), nullif(u.name, ''), u.email)) as user
    from memberships m
    join users u on u.id = m.user_id
    join organizations o on o.id = m.organization_id and o.status = 'active'
    where m.user_id = ${user_id} and m.status = 'active' and not (${by_password} and exists (
      select from sso_identities i
      where i.organization_id = m.organization_id and i.user_id = m.user_id and i.began_membership))
    order by m.joined_at, m.organization_id`)

export type Session = {
  id: string
  organization_id: string
  user_id: string
  method: 'password' | 'sso' | 'cli' | 'api_key'
  api_key_id: string | null
  is_bound: boolean
  address: string
  network: string
  created_at: string
  expires_at: string
}

export const insertSession = (db: Db, session: Session) =>
  db.run(sql`
    insert into sessions
      (id, organization_id, user_id, method, api_key_id, is_bound, address, network, created_at, expires_at)
    values (${session.id}, ${session.organization_id}, ${session.user_id}, ${session.method}, ${session.api_key_id},
      ${session.is_bound}, ${session.address}, ${session.network}, ${session.created_at}, ${session.expires_at})`)

export const insertRefreshToken = (db: Db, token: { hash: Buffer; session_id: string; expires_at: string }) =>
  db.run(sql`
    insert into refresh_tokens (hash, session_id, expires_at)
    values (${token.hash}, ${token.session_id}, ${token.expires_at})`)

export type Refresh = { session_id: string; user_id: string; organization_id: string; is_bound: boolean }

export const isSessionBound = async (db: Db, session_id: string): Promise<boolean> =>
  (await db.one<{ is_bound: boolean }>(sql`select is_bound from sessions where id = ${session_id}`)).is_bound

/** A refresh token that has not expired, of a sign-in that has not ended. The sign-in's row is locked: of two
 *  refreshes the second sees what the first did. */
export const lockRefresh = (db: Db, hash: Buffer, now: string) =>
  db.maybe<Refresh>(sql`
    select s.id as session_id, s.user_id, s.organization_id, s.is_bound
    from refresh_tokens t join sessions s on s.id = t.session_id
    where t.hash = ${hash} and t.expires_at > ${now} and s.ended_at is null
    for update of s`)

/** Whether this use is the first. Asked after the lock is held: a snapshot from before it would not see the other. */
export const useRefreshToken = async (db: Db, hash: Buffer, now: string): Promise<boolean> =>
  (await db.run(sql`update refresh_tokens set used_at = ${now} where hash = ${hash} and used_at is null`)) > 0

export const prolongSession = (db: Db, session_id: string, organization_id: string, expires_at: string) =>
  db.run(sql`
    update sessions set organization_id = ${organization_id}, expires_at = ${expires_at} where id = ${session_id}`)

export const endSession = (db: Db, session_id: string, now: string) =>
  db.run(sql`update sessions set ended_at = ${now} where id = ${session_id} and ended_at is null`)

export const endSessionsOf = (db: Db, user_id: string, now: string) =>
  db.run(sql`update sessions set ended_at = ${now} where user_id = ${user_id} and ended_at is null`)

/** Adds one to each subject and locks its row. `open_at` is still the one from before. */
export const countFailures = (db: Db, subjects: { subject: Buffer; forgotten_at: string }[], now: string) =>
  db.many<{ subject: Buffer; failures: number; open_at: string }>(sql`
    insert into sign_in_failures as f (subject, failures, open_at, forgotten_at)
    select s.subject, 1, ${now}::timestamptz, s.forgotten_at
    from unnest(${subjects.map((row) => row.subject)}::bytea[], ${subjects.map((row) => row.forgotten_at)}::timestamptz[])
      as s (subject, forgotten_at)
    on conflict (subject) do update set
      failures = case when f.forgotten_at <= ${now} then 1 else f.failures + 1 end,
      open_at = case when f.forgotten_at <= ${now} then excluded.open_at else f.open_at end,
      forgotten_at = excluded.forgotten_at
    returning f.subject, f.failures, f.open_at`)

export const openAgain = (db: Db, subjects: { subject: Buffer; open_at: string }[]) =>
  db.run(sql`
    update sign_in_failures f set open_at = s.open_at
    from unnest(${subjects.map((row) => row.subject)}::bytea[], ${subjects.map((row) => row.open_at)}::timestamptz[])
      as s (subject, open_at)
    where f.subject = s.subject`)

export const forgetFailures = (db: Db, own: Buffer[], shared: Buffer[], now: string) =>
  db.run(sql`
    update sign_in_failures
    set failures = case when subject = any(${own}::bytea[]) then 0 else greatest(failures - 1, 0) end, open_at = ${now}
    where subject = any(${[...own, ...shared]}::bytea[])`)

export type Invitation = {
  id: string
  organization_id: string
  organization_name: string
  user: Account
  /** The account is somebody's already: it is an active member somewhere. */
  is_in_use: boolean
}

export const openInvitation = (db: Db, token_hash: Buffer, now: string) =>
  db.maybe<Invitation>(sql`
    select i.id, i.organization_id, o.name as organization_name,
      jsonb_build_object('id', u.id, 'email', u.email, 'name', u.name, 'password_hash', u.password_hash) as user,
      exists (select from memberships m where m.user_id = u.id and m.status <> 'invited') as is_in_use
    from invitations i
    join users u on u.id = i.user_id
    join organizations o on o.id = i.organization_id and o.status = 'active'
    where i.token_hash = ${token_hash} and i.expires_at > ${now}`)

/** Takes the invitation; false when somebody else just did, or it was withdrawn or sent again. */
export const takeInvitation = async (db: Db, id: string, token_hash: Buffer): Promise<boolean> =>
  (await db.run(sql`delete from invitations where id = ${id} and token_hash = ${token_hash}`)) > 0

export const join = (db: Db, organization_id: string, user_id: string, name: string, now: string) =>
  db.run(sql`
    update memberships set status = 'active', name = ${name}, joined_at = ${now}, updated_at = ${now}
    where organization_id = ${organization_id} and user_id = ${user_id} and status = 'invited'`)

/** The first name and password of an account; they stay as they are where it has some. */
export const beginAccount = (db: Db, user_id: string, name: string, password_hash: string, now: string) =>
  db.run(sql`
    update users set password_hash = ${password_hash}, name = ${name}, updated_at = ${now}
    where id = ${user_id} and password_hash is null`)

/** What has expired and is of no more use. */
export const sweep = async (db: Db, now: string): Promise<void> => {
  await db.run(sql`delete from sessions where expires_at < ${now}`)
  await db.run(sql`delete from refresh_tokens where expires_at < ${now}`)
  await db.run(sql`delete from sign_in_failures where forgotten_at < ${now}`)
  await db.run(sql`delete from cli_login_requests where expires_at < ${now}::timestamptz - interval '1 hour'`)
  await db.run(sql`delete from sso_requests where expires_at < ${now}`)
  await db.run(sql`delete from sso_codes where expires_at < ${now}`)
}
