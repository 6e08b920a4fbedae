/** Users: the members of an organization. Life: `invited` → `active` ↔ `suspended`; `expired` is an invitation that
 *  ran out and can be sent again. `invite` and `resendInvitation` begin it, auth's `acceptInvitation` and a first
 *  sign-in through an identity provider make it active, `update` suspends and lets back in, `remove` ends it.
 *  Guarantee: an organization never is without an active admin, however many changes come at the same time. */

import { hash, randomBytes } from 'node:crypto'
import type { Grant } from '@flow/contract/access'
import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { users as contract, InvitedUser, User } from '@flow/contract/users'
import { type Context, newId } from '../context.ts'
import { conflict, invalid, notFound } from '../failure.ts'
import { accessChanged, revokeKeysOf } from '../keys/keys.ts'
import { boundTo, mailInvitation } from './invitation-mail.ts'
import { accountOf, withIds } from './joining.ts'
import { grantFaults, invitationEnd, isOfDomain, takesAdminAway } from './rules.ts'
import * as store from './store.ts'

export type { Account } from './joining.ts'
export { accountOf, givePassword, join } from './joining.ts'
export type { Person } from './store.ts'
export { membersNamed, membersWithRole } from './store.ts'

type Ops = typeof contract

export const list = (ctx: Context, input: Parsed<Ops['list']>): Promise<Page<User>> => store.list(ctx, input, ctx.now)

export const me = (ctx: Context, _input: Parsed<Ops['me']>): Promise<User> => get(ctx, { user_id: ctx.actor.user_id })

export async function get(ctx: Context, input: { user_id: string }): Promise<User> {
  const user = await store.find(ctx, input.user_id, ctx.now)
  if (!user) throw notFound('user', input.user_id)
  return user
}

export async function invite(ctx: Context, input: Parsed<Ops['invite']>): Promise<InvitedUser> {
  const organization = await store.invitingOrganization(ctx)
  const { primary_domain, restrict_invitations } = organization
  if (restrict_invitations && primary_domain && !isOfDomain(input.email, primary_domain)) {
    throw invalid([{ field: 'email', message: `Only addresses of ${primary_domain} can be invited.` }])
  }
  await checkScopes(ctx, input.grants)

  const account = await accountOf(ctx.db, input.email, '', ctx.now)
  const isNew = await store.insertMembership(ctx, {
    user_id: account.id,
    status: 'invited',
    name: input.name,
    invited_by: ctx.actor.user_id,
    joined_at: null,
    created_at: ctx.now,
  })
  if (!isNew) throw conflict(`${input.email} is a user already, or invited: then send the invitation again.`)
  await store.insertGrants(ctx, account.id, withIds(input.grants), ctx.actor.user_id, ctx.now)

  return sendInvitation(ctx, account.id, input.message)
}

export async function resendInvitation(ctx: Context, input: { user_id: string }): Promise<InvitedUser> {
  await store.lock(ctx, input.user_id)
  const user = await get(ctx, input)
  if (user.status !== 'invited' && user.status !== 'expired') throw conflict(`${user.email} has joined already.`)

  return sendInvitation(ctx, user.id, '')
}

/** A new token for another seven days. The e-mail is a durable run: a mail server that is down delays it, no more. */
async function sendInvitation(ctx: Context, user_id: string, message: string): Promise<InvitedUser> {
  const token = randomBytes(32).toString('base64url')
  const id = newId()
  await store.putInvitation(ctx, {
    id,
    user_id,
    token_hash: hash('sha256', token, 'buffer'),
    message,
    invited_by: ctx.actor.user_id,
    expires_at: invitationEnd(ctx.now),
    created_at: ctx.now,
  })
  const { config, mail, seal } = ctx.platform
  const accept_url = `${config.public_url}/accept-invitation?token=${token}`
  if (mail.configured) {
    await ctx.start(mailInvitation, { invitation_id: id, link_sealed: seal.seal(accept_url, boundTo(id)) })
  }

  const user = await get(ctx, { user_id })
  return { ...user, accept_url, mail: mail.configured ? 'queued' : 'not_configured' }
}

export async function update(ctx: Context, input: Parsed<Ops['update']>): Promise<User> {
  if (input.grants) await checkScopes(ctx, input.grants)
  if (input.grants || input.status === 'suspended') await store.takeTurn(ctx)
  await store.lock(ctx, input.user_id)
  const before = await get(ctx, input)
  const isInvited = before.status === 'invited' || before.status === 'expired'
  if (isInvited && input.status) {
    throw conflict(`${before.email} has not joined yet. They become active by accepting the invitation.`)
  }
  if (takesAdminAway(before, input)) await keepAnAdmin(ctx, before)

  accessChanged(ctx.db, ctx.organization_id)
  const status = before.status === 'expired' ? 'invited' : before.status
  await store.updateMembership(
    ctx,
    before.id,
    {
      name: input.name ?? before.name,
      title: input.title ?? before.title,
      status: input.status ?? status,
    },
    ctx.now,
  )
  if (input.grants) {
    await store.removeGrants(ctx, before.id)
    await store.insertGrants(ctx, before.id, withIds(input.grants), ctx.actor.user_id, ctx.now)
  }
  return get(ctx, input)
}

export async function remove(ctx: Context, input: { user_id: string }): Promise<undefined> {
  await store.takeTurn(ctx)
  const user = await get(ctx, input)
  if (takesAdminAway(user, { status: 'suspended' })) await keepAnAdmin(ctx, user)

  // Were they invited again one day, their old keys must not come back with them.
  await revokeKeysOf(ctx, user.id)
  await store.removeMembership(ctx, user.id)
}

async function keepAnAdmin(ctx: Context, user: User): Promise<void> {
  const { count } = await store.otherActiveAdmins(ctx, user.id)
  if (count === 0) throw conflict(`${user.email} is the last active admin. Make another user an admin first.`)
}

/** A solution goes: whoever had a role in it has it in `heir`, or no longer. */
export async function moveGrants(ctx: Context, solution_id: string, heir: string | undefined): Promise<void> {
  if (heir !== undefined) await store.copyGrants(ctx, solution_id, heir, ctx.now)
  await store.removeGrantsFor(ctx, solution_id)
}

async function checkScopes(ctx: Context, grants: Grant[]): Promise<void> {
  const idsOf = (scope: Grant['scope']) =>
    grants.flatMap((grant) => (grant.scope === scope && grant.scope_id ? [grant.scope_id] : []))
  const [workspaces, solutions] = [idsOf('workspace'), idsOf('solution')]
  const there = {
    workspace: workspaces.length > 0 ? await store.workspacesAmong(ctx, workspaces) : [],
    solution: solutions.length > 0 ? await store.solutionsAmong(ctx, solutions) : [],
  }
  const ids = (rows: { id: string }[]) => new Set(rows.map((row) => row.id))
  const faults = grantFaults(grants, { workspace: ids(there.workspace), solution: ids(there.solution) })
  if (faults.length > 0) throw invalid(faults)
}
