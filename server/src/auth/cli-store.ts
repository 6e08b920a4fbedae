/** The SQL of the CLI's browser logins, on the platform's handle: nobody is known while one is pending. */

import { type Db, raw, sql } from '../db/db.ts'

export type CliLogin = {
  id: string
  client_name: string
  address: string
  status: 'pending' | 'approved' | 'denied'
  user_id: string | null
  organization_id: string | null
  is_bound: boolean | null
  interval_seconds: number
  polled_at: string | null
  expires_at: string
  created_at: string
}

const columns = raw(
  'id, client_name, address, status, user_id, organization_id, is_bound, interval_seconds, polled_at, expires_at, created_at',
)

export const insert = (
  db: Db,
  request: Pick<CliLogin, 'id' | 'client_name' | 'address' | 'interval_seconds' | 'expires_at' | 'created_at'> & {
    user_code_hash: Buffer
    secret_hash: Buffer
  },
) =>
  db.run(sql`
    insert into cli_login_requests
      (id, user_code_hash, secret_hash, client_name, address, interval_seconds, expires_at, created_at)
    values (${request.id}, ${request.user_code_hash}, ${request.secret_hash}, ${request.client_name},
      ${request.address}, ${request.interval_seconds}, ${request.expires_at}, ${request.created_at})`)

export const byCode = (db: Db, user_code_hash: Buffer, now: string) =>
  db.maybe<CliLogin>(sql`
    select ${columns} from cli_login_requests where user_code_hash = ${user_code_hash} and expires_at > ${now}`)

/** Locked: of two polls at the same moment one gets the tokens. */
export const lock = (db: Db, id: string, secret_hash: Buffer) =>
  db.maybe<CliLogin>(sql`
    select ${columns} from cli_login_requests where id = ${id} and secret_hash = ${secret_hash} for update`)

export const notePoll = (db: Db, id: string, polled_at: string, interval_seconds: number) =>
  db.run(sql`
    update cli_login_requests set polled_at = ${polled_at}, interval_seconds = ${interval_seconds} where id = ${id}`)

export const remove = (db: Db, id: string) => db.run(sql`delete from cli_login_requests where id = ${id}`)

/** Undefined when it was decided before, or has expired. */
export const decide = (
  db: Db,
  user_code_hash: Buffer,
  decision: { status: 'approved' | 'denied'; user_id: string; organization_id: string; is_bound: boolean },
  now: string,
) =>
  db.maybe<CliLogin>(sql`
    update cli_login_requests
    set status = ${decision.status}, user_id = ${decision.user_id}, organization_id = ${decision.organization_id},
      is_bound = ${decision.is_bound}
    where user_code_hash = ${user_code_hash} and status = 'pending' and expires_at > ${now}
    returning ${columns}`)
