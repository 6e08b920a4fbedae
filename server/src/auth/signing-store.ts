/** The SQL of the signing keys. They belong to the platform, to no organization. */

import type { JWK } from 'jose'
import { type Db, json, sql } from '../db/db.ts'

export type SigningKey = {
  id: string
  public_jwk: JWK
  private_sealed: string
  created_at: string
  /** Until when it verifies; null: it signs. */
  retires_at: string | null
}

export const signingKeys = (db: Db, now: string) =>
  db.many<SigningKey>(sql`
    select id, public_jwk, private_sealed, created_at, retires_at from signing_keys
    where retires_at is null or retires_at > ${now}
    order by created_at desc`)

/** One key signs at a time; whoever comes second leaves it be. */
export const insertSigningKey = (db: Db, key: Omit<SigningKey, 'retires_at'>) =>
  db.run(sql`
    insert into signing_keys (id, public_jwk, private_sealed, created_at)
    values (${key.id}, ${json(key.public_jwk)}, ${key.private_sealed}, ${key.created_at})
    on conflict do nothing`)

export const retireSigningKey = (db: Db, id: string, retires_at: string) =>
  db.run(sql`update signing_keys set retires_at = ${retires_at} where id = ${id} and retires_at is null`)

export const sweepSigningKeys = (db: Db, now: string) =>
  db.run(sql`delete from signing_keys where retires_at <= ${now}`)
