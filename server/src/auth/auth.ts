/** The door of sign-in and access: who asks, what they may, and how they came in. Passwords, keys, tokens, single
 *  sign-on and the browser login of the CLI each have their file; every operation of the contract stands here. */

import { Permission } from '@flow/contract/access'
import type {
  AccessToken,
  CliLoginPoll,
  CliLoginRequest,
  auth as contract,
  SsoSettings,
  SsoStart,
  StartedCliLogin,
  Tokens,
  Whoami,
} from '@flow/contract/auth'
import type { Parsed } from '@flow/contract/operation'
import type { Redirect } from '../answer.ts'
import { type Actor, type Context, newId, type PublicContext } from '../context.ts'
import { conflict, forbidden, invalid, notFound, unauthenticated } from '../failure.ts'
import { isAllowedByName } from '../fetch.ts'
import { accessChanged } from '../keys/keys.ts'
import * as cli from './cli-login.ts'
import { accept } from './invitations.ts'
import { networkOf, permissionsAt } from './rules.ts'
import * as store from './session-store.ts'
import { later, refreshSession, signIn } from './sessions.ts'
import { memberOf, proveByPassword } from './sign-in.ts'
import * as sso from './sso.ts'
import * as ssoStore from './sso-store.ts'
import * as standing from './store.ts'
import { ACCESS_TOKEN_SECONDS, signAccessToken } from './tokens.ts'
import { authenticate } from './who.ts'

export { devicePage, invitationPage } from './pages.ts'
export { hashPassword } from './passwords.ts'
export { may, permissionsAt, solutionsWith } from './rules.ts'
export { openSecrets } from './secrets.ts'
export { jwks, rotateSigningKey } from './tokens.ts'
export { actorWith, authenticate } from './who.ts'

type Ops = typeof contract

/** These hash, sign or wait for the outside: the edge opens no transaction around them. */
export const own_transactions = [
  'login',
  'refresh',
  'logout',
  'token',
  'acceptInvitation',
  'startCliLogin',
  'pollCliLogin',
  'approveCliLogin',
  'denyCliLogin',
  'initiateSso',
  'ssoCallback',
  'exchangeSsoCode',
] as const satisfies readonly (keyof Ops)[]

export async function login(ctx: PublicContext, input: Parsed<Ops['login']>): Promise<Tokens> {
  const account = await proveByPassword(ctx, input.email, input.password)
  const member = await memberOf(ctx, account.id, input.organization_id)
  return signIn(ctx, { member, method: 'password', is_bound: false })
}

export const refresh = (ctx: PublicContext, input: Parsed<Ops['refresh']>): Promise<Tokens> =>
  refreshSession(ctx, input)

export async function logout(ctx: Context, input: Parsed<Ops['logout']>): Promise<undefined> {
  const { session_id, user_id } = ctx.actor
  if (session_id === undefined) throw conflict('An API key has no sign-in to end. Revoke the key instead.')
  // A sign-in belongs to the person, and may have begun in another organization than this token is for.
  const db = ctx.platform.database.platform

  accessChanged(db, user_id)
  if (input.everywhere && ctx.actor.kind === 'user') await store.endSessionsOf(db, user_id, ctx.now)
  await store.endSession(db, session_id, ctx.now)
}

export async function whoami(ctx: Context, _input: Parsed<Ops['whoami']>): Promise<Whoami> {
  const { actor, organization_id, workspace_id } = ctx
  const { user, organization } = await standing.introduction(
    ctx.platform.database.platform,
    organization_id,
    actor.user_id,
  )

  return {
    kind: actor.kind,
    name: actor.name,
    user,
    organization,
    workspace_id,
    grants: actor.grants,
    permissions: permissionsAt(actor, { workspace_id }, Permission.options),
    api_key_id: actor.kind === 'api_key' || actor.kind === 'service_token' ? actor.id : null,
    session_id: actor.session_id ?? null,
  }
}

/** The access token's session carries the key's id: what the key may, and whether it still counts, is read from the
 *  key with each request. */
export async function token(ctx: PublicContext, input: Parsed<Ops['token']>): Promise<AccessToken> {
  const { platform, now, address } = ctx
  const { api_key = input.api_key, bearer } = ctx.credentials
  const key = api_key ?? (bearer?.startsWith('fl_') ? bearer : undefined)
  if (key === undefined) throw unauthenticated('Send an API key, as X-API-Key or as "api_key" in the body.')
  const actor = await authenticate(platform, { api_key: key, address })

  const { organization_id, user_id } = actor
  const session_id = newId()
  const db = platform.database.platform
  await store.insertSession(db, {
    id: session_id,
    organization_id,
    user_id,
    method: 'api_key',
    api_key_id: actor.id,
    is_bound: true,
    address,
    network: networkOf(address),
    created_at: now,
    expires_at: later(now, ACCESS_TOKEN_SECONDS),
  })
  const { user } = await standing.introduction(db, organization_id, user_id)
  const access_token = await signAccessToken(platform, { user_id, organization_id, session_id })
  return { access_token, token_type: 'Bearer', expires_in: ACCESS_TOKEN_SECONDS, organization_id, user }
}

export async function acceptInvitation(ctx: PublicContext, input: Parsed<Ops['acceptInvitation']>): Promise<Tokens> {
  const member = await accept(ctx, input)
  return signIn(ctx, { member, method: 'password', is_bound: false })
}

export const startCliLogin = (ctx: PublicContext, input: Parsed<Ops['startCliLogin']>): Promise<StartedCliLogin> =>
  cli.start(ctx, input.client_name)

export const pollCliLogin = (ctx: PublicContext, input: Parsed<Ops['pollCliLogin']>): Promise<CliLoginPoll> =>
  cli.poll(ctx, input.request_id, input.secret)

export const getCliLogin = (ctx: Context, input: Parsed<Ops['getCliLogin']>): Promise<CliLoginRequest> =>
  cli.find(ctx.platform, input.user_code, ctx.now)

export const approveCliLogin = (ctx: Context, input: Parsed<Ops['approveCliLogin']>): Promise<CliLoginRequest> =>
  decideCliLogin(ctx, input.user_code, 'approved')

export const denyCliLogin = (ctx: Context, input: Parsed<Ops['denyCliLogin']>): Promise<CliLoginRequest> =>
  decideCliLogin(ctx, input.user_code, 'denied')

async function decideCliLogin(
  ctx: Context,
  user_code: string,
  status: 'approved' | 'denied',
): Promise<CliLoginRequest> {
  const { actor, organization_id } = ctx
  if (!isPerson(actor)) throw forbidden('A person signs a command line in, not an API key. Give it the key instead.')
  const db = ctx.platform.database.platform
  const { user } = await standing.introduction(db, organization_id, actor.user_id)
  const is_bound = await store.isSessionBound(db, actor.session_id)

  return cli.decide(ctx, user_code, status, { member: { organization_id, user }, is_bound, isNoted: true })
}

const isPerson = (actor: Actor): actor is Actor & { session_id: string } =>
  actor.kind === 'user' && actor.session_id !== undefined

export async function getSso(ctx: Context, _input: Parsed<Ops['getSso']>): Promise<SsoSettings> {
  const settings = await ssoStore.find(ctx)
  if (!settings) throw notFound('single sign-on for', ctx.organization_id)

  return shown(ctx, settings)
}

export async function setSso(ctx: Context, input: Parsed<Ops['setSso']>): Promise<SsoSettings> {
  const before = await ssoStore.find(ctx)
  const { issuer = before?.issuer, client_id = before?.client_id, domains = before?.domains } = input
  const isNewIssuer = issuer !== before?.issuer
  const missing = Object.entries({ issuer, client_id, domains }).filter(([, value]) => value === undefined)
  const details = missing.map(([field]) => ({ field, message: 'This field is required.' }))
  // Or whoever may change the settings could have the secret sent to a server of their own.
  if (isNewIssuer && input.client_secret === undefined) {
    details.push({ field: 'client_secret', message: 'Another issuer needs its client secret.' })
  }
  const url = issuer === undefined ? null : URL.parse(issuer)
  if (url && url.protocol !== 'https:' && !isAllowedByName(ctx.platform.config, url)) {
    details.push({ field: 'issuer', message: 'Use https.' })
  }
  if (details.length > 0 || !issuer || !client_id || !domains) throw invalid(details)

  const sealed =
    input.client_secret === undefined
      ? (before?.client_secret_sealed ?? '')
      : ctx.platform.seal.seal(input.client_secret, sso.secretPlace(ctx.organization_id))
  await ssoStore.save(ctx, {
    issuer,
    client_id,
    client_secret_sealed: sealed,
    default_role: input.default_role ?? before?.default_role ?? 'viewer',
    created_at: before?.created_at ?? ctx.now,
    updated_at: ctx.now,
  })
  await ssoStore.clearDomains(ctx, domains)
  await ssoStore.addDomains(ctx, domains)
  const saved = await getSso(ctx, { org_id: ctx.organization_id })
  const taken = domains.filter((domain) => !saved.domains.includes(domain))
  if (taken.length > 0) {
    throw conflict(
      `Another organization signs in with ${taken.join(', ')} already.`,
      taken.map((domain) => ({ field: `domains[${domains.indexOf(domain)}]`, message: 'It is taken.' })),
    )
  }
  return saved
}

export async function removeSso(ctx: Context, _input: Parsed<Ops['removeSso']>): Promise<undefined> {
  if ((await ssoStore.remove(ctx)) === 0) throw notFound('single sign-on for', ctx.organization_id)
}

const shown = (ctx: Context, settings: ssoStore.Settings): SsoSettings => ({
  issuer: settings.issuer,
  client_id: settings.client_id,
  has_client_secret: true,
  domains: settings.domains,
  default_role: settings.default_role,
  callback_url: sso.callbackUrl(ctx.platform),
  created_at: settings.created_at,
  updated_at: settings.updated_at,
})

export const initiateSso = (ctx: PublicContext, input: Parsed<Ops['initiateSso']>): Promise<SsoStart> =>
  sso.initiate(ctx, input)

export const ssoCallback = (ctx: PublicContext, input: Parsed<Ops['ssoCallback']>): Promise<Tokens | Redirect> =>
  sso.finish(ctx, input)

export async function exchangeSsoCode(ctx: PublicContext, input: Parsed<Ops['exchangeSsoCode']>): Promise<Tokens> {
  const member = await sso.takeCode(ctx, input.code, input.state)
  return signIn(ctx, { member, method: 'sso', is_bound: true })
}
