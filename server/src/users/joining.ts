/** How somebody becomes a member at once, for the rooms that let people in without an invitation: the founder of an
 *  organization, whoever an identity provider vouches for. Who they are has been proven before they come here. */

import type { Grant } from '@flow/contract/access'
import { newId } from '../context.ts'
import type { Db } from '../db/db.ts'
import type { Tenant } from './store.ts'
import * as store from './store.ts'

export type { Account } from './store.ts'

/** The account of an e-mail address, made now if there is none. `email` is in lower case. */
export const accountOf = (db: Db, email: string, name: string, now: string): Promise<store.Account> =>
  store.account(db, { id: newId(), email, name, now })

/** Sets the first password of an account, by its hash. False when it has one already, which it keeps. */
export const givePassword = async (db: Db, user_id: string, password_hash: string, now: string): Promise<boolean> =>
  (await store.givePassword(db, user_id, password_hash, now)) === 1

/** Makes somebody an active member with these roles, named as their account unless told. False when they
 *  are a member in any state already. */
export async function join(
  at: Tenant,
  who: { user_id: string; grants: Grant[]; now: string; name?: string },
): Promise<boolean> {
  const { user_id, now, name = null } = who
  const made = { user_id, status: 'active' as const, name, invited_by: null, joined_at: now, created_at: now }
  if (!(await store.insertMembership(at, made))) return false
  await store.insertGrants(at, user_id, withIds(who.grants), null, now)
  return true
}

/** Grants as rows. */
export const withIds = (grants: Grant[]): (Grant & { id: string })[] =>
  grants.map((grant) => ({ ...grant, id: newId() }))
