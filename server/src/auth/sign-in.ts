/** Proving to be somebody with a password. An account that does not exist is refused with the same words and after
 *  the same time as a wrong password. */

import { unauthenticated } from '../failure.ts'
import { hashPassword, isOutdated, verifyPassword } from './passwords.ts'
import { networkOf } from './rules.ts'
import * as store from './session-store.ts'
import { later, noteSignIn, type SignInContext } from './sessions.ts'
import { countAttempt, forgive } from './slow-down.ts'

const USUAL_SECONDS = 30 * 24 * 3600

/** The account behind e-mail and password. */
export async function proveByPassword(ctx: SignInContext, email: string, password: string): Promise<store.Account> {
  const { platform, address, now } = ctx
  const db = platform.database.platform
  const account = await store.account(db, email, networkOf(address), later(now, -USUAL_SECONDS))
  const attempt = { email, address, isUsualAddress: account?.is_usual_address ?? false }
  await countAttempt(platform, attempt)
  if (!(await verifyPassword(account?.password_hash, password)) || !account) {
    if (account) noteFailure(ctx, account)
    throw unauthenticated('E-mail or password is wrong.')
  }

  await forgive(platform, attempt)
  if (account.password_hash && isOutdated(account.password_hash)) {
    await store.setPasswordHash(db, account.id, await hashPassword(password), now)
  }
  return account
}

/** Where the account goes in: the organization it names, else the first it joined. */
export async function memberOf(
  ctx: SignInContext,
  user_id: string,
  organization_id: string | undefined,
): Promise<store.Member> {
  const members = await store.memberships(ctx.platform.database.platform, user_id, true)
  const member = organization_id ? members.find((each) => each.organization_id === organization_id) : members[0]
  if (!member) {
    throw unauthenticated('This account is not an active member of the organization, or it has its own way to sign in.')
  }
  return member
}

/** Beside the answer, which must not take longer where there is an account. */
function noteFailure(ctx: SignInContext, account: store.Account): void {
  const db = ctx.platform.database.platform
  const noted = async () => {
    const [member] = await store.memberships(db, account.id, false)
    if (member) await noteSignIn(ctx, db, member, 'login', 'failure', { method: 'password' })
  }
  noted().catch((err: unknown) => ctx.log.error({ err }, 'a failed sign-in was not noted'))
}
