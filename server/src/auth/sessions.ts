/** Sign-ins: begun with tokens, continued with a refresh token, ended. A refresh token is used once; one that comes
 *  again ends the whole sign-in, because either it or its successor is in the wrong hands. There is no grace for two
 *  at the same moment: a thief who is fast would have it, too. Nothing here runs inside another transaction. */

import { randomBytes } from 'node:crypto'
import type { Tokens } from '@flow/contract/auth'
import { note } from '../audit/audit.ts'
import { newId, type Platform, type PublicContext } from '../context.ts'
import { forbidden, unauthenticated } from '../failure.ts'
import { accessChanged, fingerprintOf } from '../keys/keys.ts'
import { networkOf } from './rules.ts'
import * as store from './session-store.ts'
import { ACCESS_TOKEN_SECONDS, signAccessToken } from './tokens.ts'

export const REFRESH_TOKEN_SECONDS = 30 * 24 * 3600

/** What the functions of sign-in need of their context: a page's request has no more. */
export type SignInContext = Pick<PublicContext, 'platform' | 'now' | 'request_id' | 'address' | 'log'>

export type SignIn = {
  member: store.Member
  method: store.Session['method']
  /** Vouched for by this organization's identity provider: counts in no other. */
  is_bound: boolean
}

/** A random secret of 256 bits that only its holder has; its fingerprint is what we keep. */
export const newSecret = (prefix: string) => prefix + randomBytes(32).toString('base64url')

/** Begins a sign-in and notes it in the audit log. */
export async function signIn(ctx: SignInContext, { member, method, is_bound }: SignIn): Promise<Tokens> {
  const { platform, address, now } = ctx
  const session_id = newId()
  const refresh_token = newSecret('flr_')
  const expires_at = later(now, REFRESH_TOKEN_SECONDS)
  await platform.database.platform.tx(async (db) => {
    await store.insertSession(db, {
      id: session_id,
      organization_id: member.organization_id,
      user_id: member.user.id,
      method,
      api_key_id: null,
      is_bound,
      address,
      network: networkOf(address),
      created_at: now,
      expires_at,
    })
    await store.insertRefreshToken(db, { hash: fingerprintOf(refresh_token), session_id, expires_at })
    await noteSignIn(ctx, db, member, 'login', 'success', { method, session_id })
  })
  sweepSometimes(platform, now)
  return tokensOf(platform, member, session_id, refresh_token)
}

/** Notes what became of a sign-in. */
export function noteSignIn(
  ctx: SignInContext,
  db: Platform['database']['platform'],
  member: store.Member,
  action: string,
  outcome: 'success' | 'failure',
  metadata: Record<string, unknown>,
): Promise<void> {
  const { id, name } = member.user
  return note(db, {
    organization_id: member.organization_id,
    event_type: `auth.${action}`,
    action,
    actor: { kind: 'user', id, name, user_id: id },
    actor_ip: ctx.address,
    resource_type: 'user',
    resource_id: id,
    outcome,
    request_id: ctx.request_id,
    timestamp: ctx.now,
    metadata,
  })
}

/** New tokens for a refresh token, which is used up. */
export async function refreshSession(
  ctx: SignInContext,
  input: { refresh_token: string; organization_id?: string | undefined },
): Promise<Tokens> {
  const { platform, now } = ctx
  const hash = fingerprintOf(input.refresh_token)
  const refresh_token = newSecret('flr_')
  const outcome = await platform.database.platform.tx(async (db) => {
    const found = await store.lockRefresh(db, hash, now)
    if (!found)
      throw unauthenticated('This refresh token is unknown or expired, or its sign-in has ended. Sign in again.')
    const { session_id } = found
    if (!(await store.useRefreshToken(db, hash, now))) {
      accessChanged(db, found.user_id)
      await store.endSession(db, session_id, now)
      return { session_id, stolen: true as const, member: await ownMember(db, found) }
    }

    const organization_id = input.organization_id ?? found.organization_id
    const isElsewhere = organization_id !== found.organization_id
    if (isElsewhere && found.is_bound) throw forbidden('This sign-in counts only in the organization it was made for.')
    const members = await store.memberships(db, found.user_id, isElsewhere)
    const member = members.find((each) => each.organization_id === organization_id)
    if (!member)
      throw unauthenticated('You are not an active member of this organization, or it has its own way to sign in.')

    const expires_at = later(now, REFRESH_TOKEN_SECONDS)
    await store.prolongSession(db, session_id, organization_id, expires_at)
    await store.insertRefreshToken(db, { hash: fingerprintOf(refresh_token), session_id, expires_at })
    return { session_id, stolen: false as const, member }
  })
  if (!outcome.stolen) return tokensOf(platform, outcome.member, outcome.session_id, refresh_token)

  // The end of the sign-in is committed by now: the refusal must not take it back.
  ctx.log.warn({ session_id: outcome.session_id }, 'a used refresh token came again; its sign-in was ended')
  if (outcome.member) {
    const metadata = { reason: 'refresh_token_reused', session_id: outcome.session_id }
    await noteSignIn(ctx, platform.database.platform, outcome.member, 'refresh', 'failure', metadata)
  }
  throw unauthenticated('This refresh token was used before, so the sign-in has been ended. Sign in again.')
}

const ownMember = async (db: Platform['database']['platform'], found: store.Refresh) =>
  (await store.memberships(db, found.user_id, false)).find((each) => each.organization_id === found.organization_id)

async function tokensOf(
  platform: Platform,
  member: store.Member,
  session_id: string,
  refresh_token: string,
): Promise<Tokens> {
  const { organization_id, user } = member
  const access_token = await signAccessToken(platform, { user_id: user.id, organization_id, session_id })
  return { access_token, refresh_token, token_type: 'Bearer', expires_in: ACCESS_TOKEN_SECONDS, organization_id, user }
}

const SWEPT_EVERY_MS = 3_600_000
const sweptAt = new WeakMap<Platform['database'], number>()

/** Beside a sign-in, at most once an hour: what has expired goes. */
function sweepSometimes(platform: Platform, now: string): void {
  const at = Date.parse(now)
  if (at - (sweptAt.get(platform.database) ?? 0) < SWEPT_EVERY_MS) return
  sweptAt.set(platform.database, at)
  store
    .sweep(platform.database.platform, now)
    .catch((err: unknown) => platform.log.warn({ err }, 'expired sign-ins were not swept'))
}

export const later = (now: string, seconds: number) => new Date(Date.parse(now) + seconds * 1000).toISOString()
