/** Single sign-on with OpenID Connect: the authorization code flow with PKCE, state and nonce, each used once. The
 *  provider vouches for addresses of the organization's domains and for nothing else, and a sign-in through it counts
 *  in that organization only, whoever's account the address is.
 *
 *  A sign-in: `initiate` keeps a request → the browser goes to the provider and comes back → `finish` takes the
 *  request, asks the provider, finds or makes the member → tokens, or a redirect with a code → `exchange` takes it.
 *  No transaction is open while the provider is asked. */

import { timingSafeEqual } from 'node:crypto'
import type { SsoStart, Tokens } from '@flow/contract/auth'
import * as oidc from 'openid-client'
import { Redirect } from '../answer.ts'
import type { Platform } from '../context.ts'
import { Failure, invalid, notFound, unauthenticated } from '../failure.ts'
import { isAllowedByName } from '../fetch.ts'
import { fingerprintOf } from '../keys/keys.ts'
import { accountOf, join } from '../users/users.ts'
import { domainOf, isOwnAddress } from './rules.ts'
import type { Member } from './session-store.ts'
import * as sessions from './session-store.ts'
import { later, newSecret, type SignInContext, signIn } from './sessions.ts'
import * as store from './sso-store.ts'

const REQUEST_LIVES_SECONDS = 600
const CODE_LIVES_SECONDS = 300
const PROVIDER_SECONDS = 10

export const callbackUrl = (platform: Platform) => `${platform.config.public_url}/api/v1/auth/sso/callback`
export const secretPlace = (organization_id: string) => `sso_client_secret:${organization_id}`

type Wish = { email?: string | undefined; organization?: string | undefined; redirect_uri?: string | undefined }
type Checks = { nonce: string; code_verifier: string }

/** Where the browser goes to sign in. */
export async function initiate(ctx: SignInContext, { email, organization, redirect_uri }: Wish): Promise<SsoStart> {
  const { platform, now } = ctx
  if ((email === undefined) === (organization === undefined)) {
    throw invalid([{ field: 'email', message: 'Send either "email" or "organization".' }])
  }
  if (redirect_uri !== undefined && !isOwnAddress(platform.config, redirect_uri)) {
    const message = 'The browser can end at this platform, at an allowed origin or at http://localhost only.'
    throw invalid([{ field: 'redirect_uri', message }])
  }
  const by = email === undefined ? { organization: organization ?? '' } : { domain: domainOf(email) }
  const settings = await store.settingsFor(platform.database.platform, by)
  if (!settings) throw notFound('single sign-on for', email === undefined ? (organization ?? '') : domainOf(email))

  const provider = await providerOf(ctx, settings)
  const state = newSecret('')
  const state_hash = fingerprintOf(state)
  const checks: Checks = { nonce: newSecret(''), code_verifier: oidc.randomPKCECodeVerifier() }
  const authorization_url = oidc.buildAuthorizationUrl(provider, {
    redirect_uri: callbackUrl(platform),
    scope: 'openid email profile',
    state,
    nonce: checks.nonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(checks.code_verifier),
    code_challenge_method: 'S256',
    ...(email === undefined ? {} : { login_hint: email }),
  })
  const expires_at = later(now, REQUEST_LIVES_SECONDS)
  await store.insertRequest(platform.database.platform, {
    state_hash,
    organization_id: settings.organization_id,
    issuer: settings.issuer,
    checks_sealed: platform.seal.seal(JSON.stringify(checks), `sso_request:${state_hash.toString('hex')}`),
    redirect_uri: redirect_uri ?? null,
    expires_at,
  })
  return { authorization_url: authorization_url.href, state, expires_at }
}

/** What the provider sent the browser back with becomes tokens, or a redirect to where the sign-in began. */
export async function finish(
  ctx: SignInContext,
  answer: Record<string, unknown> & { state: string },
): Promise<Tokens | Redirect> {
  const { platform, now } = ctx
  const request = await store.takeRequest(platform.database.platform, fingerprintOf(answer.state))
  if (!request || request.expires_at <= now) {
    throw unauthenticated('This sign-in is unknown, was finished before, or has expired. Begin again.')
  }

  const { redirect_uri } = request
  if (redirect_uri === null)
    return signIn(ctx, { member: await memberFor(ctx, request, answer), method: 'sso', is_bound: true })
  try {
    const member = await memberFor(ctx, request, answer)
    return backTo(redirect_uri, { code: await codeFor(ctx, request, member), state: answer.state })
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return backTo(redirect_uri, {
      error: error.code.toLowerCase(),
      error_description: error.message,
      state: answer.state,
    })
  }
}

/** The member behind the code of a redirect. The browser that began the sign-in proves itself with the state. */
export async function takeCode(ctx: SignInContext, code: string, state: string): Promise<Member> {
  const db = ctx.platform.database.platform
  const taken = await store.takeCode(db, fingerprintOf(code))
  if (!taken || taken.expires_at <= ctx.now || !timingSafeEqual(taken.state_hash, fingerprintOf(state))) {
    throw unauthenticated('This code is unknown, was used before, has expired, or belongs to another sign-in.')
  }
  return memberIn(ctx, taken.user_id, taken.organization_id)
}

/** The address of whoever a code stands for, so that a page can show it before the code is taken. */
export const whoseCode = (ctx: SignInContext, code: string, state: string) =>
  store.peekCode(ctx.platform.database.platform, fingerprintOf(code), fingerprintOf(state), ctx.now)

async function memberFor(ctx: SignInContext, request: store.Request, answer: Record<string, unknown>): Promise<Member> {
  const settings = await store.settingsFor(ctx.platform.database.platform, { organization: request.organization_id })
  if (settings?.issuer !== request.issuer) throw unauthenticated('Single sign-on was changed meanwhile. Begin again.')
  if (typeof answer.error === 'string') throw unauthenticated('The identity provider did not sign you in.')

  const identity = await ask(ctx, settings, request, answer)
  const { subject, email, name } = identity
  if (!email || identity.isUnverified)
    throw unauthenticated('The identity provider knows no verified e-mail address of yours.')
  if (!settings.domains.includes(domainOf(email))) {
    throw unauthenticated(`E-mail addresses of "${domainOf(email)}" do not sign in to this organization.`)
  }
  const user_id = await userFor(ctx, settings, { subject, email, name })
  return memberIn(ctx, user_id, settings.organization_id)
}

async function memberIn(ctx: SignInContext, user_id: string, organization_id: string): Promise<Member> {
  const members = await sessions.memberships(ctx.platform.database.platform, user_id, false)
  const member = members.find((each) => each.organization_id === organization_id)
  if (!member) throw unauthenticated('This account is not an active member of the organization.')
  return member
}

async function codeFor(ctx: SignInContext, request: store.Request, member: Member): Promise<string> {
  const code = newSecret('flx_')
  await store.insertCode(ctx.platform.database.platform, {
    hash: fingerprintOf(code),
    state_hash: request.state_hash,
    organization_id: member.organization_id,
    user_id: member.user.id,
    expires_at: later(ctx.now, CODE_LIVES_SECONDS),
  })
  return code
}

function backTo(redirect_uri: string, parameters: Record<string, string>): Redirect {
  const url = new URL(redirect_uri)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return new Redirect(url.href)
}

type Vouched = { subject: string; email: string | undefined; name: string; isUnverified: boolean }

/** Exchanges the provider's code and checks what it vouches for: signature, issuer, audience, nonce, times. */
async function ask(
  ctx: SignInContext,
  settings: store.Settings,
  request: store.Request,
  answer: Record<string, unknown>,
): Promise<Vouched> {
  const provider = await providerOf(ctx, settings)
  const place = `sso_request:${request.state_hash.toString('hex')}`
  const checks = JSON.parse(ctx.platform.seal.open(request.checks_sealed, place)) as Checks
  const url = new URL(callbackUrl(ctx.platform))
  for (const [name, value] of Object.entries(answer)) if (typeof value === 'string') url.searchParams.set(name, value)
  try {
    const tokens = await oidc.authorizationCodeGrant(provider, url, {
      expectedState: String(answer.state),
      expectedNonce: checks.nonce,
      pkceCodeVerifier: checks.code_verifier,
      idTokenExpected: true,
    })
    const claims = tokens.claims()
    if (!claims) throw new Error('there is no id token')
    const hasMore = claims.email === undefined && provider.serverMetadata().userinfo_endpoint !== undefined
    const told = hasMore ? await oidc.fetchUserInfo(provider, tokens.access_token, claims.sub) : claims
    const email = typeof told.email === 'string' ? told.email.toLowerCase() : undefined
    const name = typeof told.name === 'string' ? told.name.trim().slice(0, 200) : ''
    const isUnverified =
      told.email_verified !== undefined && told.email_verified !== true && told.email_verified !== 'true'
    return { subject: claims.sub, email, name, isUnverified }
  } catch (error) {
    throw refused(ctx, error, () =>
      unauthenticated('What the identity provider answered was not accepted. Begin again.'),
    )
  }
}

/** The provider as it describes itself, asked anew each time: its keys and endpoints may have changed. */
async function providerOf(ctx: SignInContext, settings: store.Settings): Promise<oidc.Configuration> {
  const { platform } = ctx
  const secret = platform.seal.open(settings.client_secret_sealed, secretPlace(settings.organization_id))
  const issuer = new URL(settings.issuer)
  // In the clear only to a host that the operator named.
  const isInsecure = issuer.protocol === 'http:' && isAllowedByName(platform.config, issuer)
  const authenticate: oidc.ClientAuth = (server, client, body, headers) => {
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
    const how = methods.includes('client_secret_basic') ? oidc.ClientSecretBasic(secret) : oidc.ClientSecretPost(secret)
    return how(server, client, body, headers)
  }
  const guarded: oidc.CustomFetch = (url, options) =>
    platform.fetch(url, {
      ...(options as RequestInit),
      limits: { bytes_max: 1024 * 1024, timeout_seconds: PROVIDER_SECONDS },
    })
  try {
    return await oidc.discovery(issuer, settings.client_id, undefined, authenticate, {
      [oidc.customFetch]: guarded,
      timeout: PROVIDER_SECONDS,
      // The signature is checked although the token comes straight from the provider.
      execute: [oidc.enableNonRepudiationChecks, ...(isInsecure ? [oidc.allowInsecureRequests] : [])],
    })
  } catch (error) {
    throw refused(ctx, error, () => unreachable)
  }
}

const unreachable = new Failure(
  'UPSTREAM_FAILED',
  'The identity provider of this organization does not answer as it should.',
)

/** Strangers learn that it failed; why stands in the log. */
function refused(ctx: SignInContext, error: unknown, otherwise: () => Failure): Failure {
  ctx.log.warn({ err: error }, 'a sign-in through an identity provider failed')
  for (let each = error; each instanceof Error; each = each.cause) if (each instanceof Failure) return unreachable
  return otherwise()
}

/** The account that the provider means: known from before, or found by its address, or new. */
function userFor(
  ctx: SignInContext,
  settings: store.Settings,
  vouched: { subject: string; email: string; name: string },
): Promise<string> {
  const { organization_id, issuer, default_role } = settings
  const { now } = ctx
  return ctx.platform.database.platform.tx(async (db) => {
    const identity = { organization_id, issuer, subject: vouched.subject }
    const known = await store.userOfIdentity(db, identity)
    if (known) return known.user_id

    const { id: user_id } = await accountOf(db, vouched.email, vouched.name, now)
    const at = { db, organization_id }
    const grants = [{ role: default_role, scope: 'organization' as const }]
    const isNew = await join(at, { user_id, grants, now, ...(vouched.name ? { name: vouched.name } : {}) })
    const before = isNew ? undefined : await store.lockMembership(db, organization_id, user_id)
    if (before?.status === 'suspended') return user_id
    if (before?.status === 'invited') await store.activate(db, organization_id, user_id, vouched.name, now)
    const began_membership = before?.status !== 'active'
    await store.dropInvitation(db, organization_id, user_id)
    await store.insertIdentity(db, { ...identity, user_id, began_membership, created_at: now })
    return user_id
  })
}
