/** Accepting an invitation. It proves that somebody was asked, not who they are: the inviter has the link, too. So it
 *  sets the password of a new account only, and whoever has an account proves it, with its password or a sign-in. */

import type { PublicContext } from '../context.ts'
import { unauthenticated } from '../failure.ts'
import { fingerprintOf } from '../keys/keys.ts'
import { hashPassword } from './passwords.ts'
import * as store from './session-store.ts'
import { noteSignIn, type SignInContext } from './sessions.ts'
import { memberOf, proveByPassword } from './sign-in.ts'
import { authenticate } from './who.ts'

export type InvitationContext = SignInContext & Pick<PublicContext, 'credentials'>

/** An invitation that can be accepted now. */
export async function findInvitation(ctx: SignInContext, token: string): Promise<store.Invitation> {
  const invitation = await store.openInvitation(ctx.platform.database.platform, fingerprintOf(token), ctx.now)
  if (!invitation) throw lost()
  return invitation
}

/** Whether accepting sets the first password, instead of asking for the one there is. */
export const makesAccount = (invitation: store.Invitation): boolean =>
  invitation.user.password_hash === null && !invitation.is_in_use

/** The member that the invited person has become. */
export async function accept(
  ctx: InvitationContext,
  { token, name, password }: { token: string; name: string; password: string },
): Promise<store.Member> {
  const { platform, now } = ctx
  const invitation = await findInvitation(ctx, token)
  const { user, organization_id } = invitation
  const isNew = makesAccount(invitation)
  if (!isNew) await proveToBe(ctx, user, password)
  const password_hash = isNew ? await hashPassword(password) : undefined

  await platform.database.platform.tx(async (db) => {
    if (!(await store.takeInvitation(db, invitation.id, fingerprintOf(token)))) throw lost()
    if (password_hash !== undefined) await store.beginAccount(db, user.id, name, password_hash, now)
    await store.join(db, organization_id, user.id, name, now)
    const member = { organization_id, user: { id: user.id, email: user.email, name } }
    await noteSignIn(ctx, db, member, 'accept_invitation', 'success', {})
  })
  return memberOf(ctx, user.id, organization_id)
}

async function proveToBe(ctx: InvitationContext, user: store.Account, password: string): Promise<void> {
  const { bearer } = ctx.credentials
  const actor = bearer && (await authenticate(ctx.platform, { bearer, address: ctx.address }).catch(() => undefined))
  if (actor && actor.kind === 'user' && actor.user_id === user.id) return
  if (user.password_hash !== null) {
    await proveByPassword(ctx, user.email, password)
    return
  }
  throw unauthenticated(
    'This account signs in through an identity provider. Sign in there, and accept with that sign-in.',
  )
}

const lost = () => unauthenticated('This invitation is unknown, was used, or has expired. Ask for another one.')
