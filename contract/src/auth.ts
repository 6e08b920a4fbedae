/** Signing in: with a password, with a key, through an organization's identity provider, from a command line. Access
 *  tokens are JSON Web Tokens (RS256, keys at `/.well-known/jwks.json`) and live 15 minutes; refresh tokens live 30
 *  days and are used once. */

import { z } from 'zod'
import { Grant, Permission, Role } from './access.ts'
import { Email, Id, Slug, Timestamp, text } from './common.ts'
import type { Domain } from './operation.ts'
import { DomainName } from './organizations.ts'

/** A password to sign in with. Bounded in bytes, because it is hashed. */
const PasswordGiven = z
  .string()
  .min(1)
  .max(1024)
  .refine((password) => new TextEncoder().encode(password).length <= 1024, 'Use at most 1,024 bytes.')
/** A password to be set. */
export const Password = PasswordGiven.min(10, 'Use at least 10 characters.')

export const SignedInUser = z.object({ id: Id, email: Email, name: z.string() }).meta({ id: 'SignedInUser' })

export const Tokens = z
  .object({
    access_token: z.string().describe('A JSON Web Token: send it as `Authorization: Bearer`.'),
    refresh_token: z.string().describe('Good for one refresh within 30 days.'),
    token_type: z.literal('Bearer'),
    expires_in: z.int().describe('Until the access token expires, in seconds: 900.'),
    organization_id: Id.describe('The organization that the tokens are for.'),
    user: SignedInUser,
  })
  .meta({ id: 'Tokens' })
export type Tokens = z.infer<typeof Tokens>

export const AccessToken = Tokens.omit({ refresh_token: true }).meta({ id: 'AccessToken' })
export type AccessToken = z.infer<typeof AccessToken>

export const Whoami = z
  .object({
    kind: z.enum(['user', 'api_key', 'service_token', 'system']).describe('What the credential is.'),
    name: z.string().describe("The user's name, or the key's."),
    user: SignedInUser.describe('Whom it acts for.'),
    organization: z.object({ id: Id, name: z.string(), slug: Slug }),
    workspace_id: Id.describe('The workspace of this request: named by it, else the default one.'),
    grants: z.array(Grant),
    permissions: z.array(Permission).describe('All that the credential may in this workspace.'),
    api_key_id: Id.nullable(),
    session_id: Id.nullable(),
  })
  .meta({ id: 'Whoami' })
export type Whoami = z.infer<typeof Whoami>

export const CliLoginRequest = z
  .object({
    user_code: z.string().describe('What the person compares, such as `BCDF-GHJK`.'),
    client_name: z.string(),
    address: z.string().describe('Where the command line asked from.'),
    status: z.enum(['pending', 'approved', 'denied']),
    created_at: Timestamp,
    expires_at: Timestamp,
  })
  .meta({ id: 'CliLoginRequest' })
export type CliLoginRequest = z.infer<typeof CliLoginRequest>

export const StartedCliLogin = z
  .object({
    id: Id,
    secret: z.string().describe('Proves to the poll that it asks for its own request. The person never sees it.'),
    user_code: CliLoginRequest.shape.user_code,
    verification_url: z.url().describe('Where the person approves, after typing the code.'),
    verification_url_complete: z.url().describe('The same with the code filled in.'),
    expires_at: Timestamp,
    interval_seconds: z.int().describe('How long to wait between two polls.'),
  })
  .meta({ id: 'StartedCliLogin' })
export type StartedCliLogin = z.infer<typeof StartedCliLogin>

export const CliLoginPoll = z
  .object({
    status: z
      .enum(['pending', 'slow_down', 'approved', 'denied', 'expired'])
      .describe('`slow_down`: the poll came too soon; `interval_seconds` has grown by 5.'),
    interval_seconds: z.int(),
    tokens: Tokens.nullable().describe('With `approved`, once.'),
  })
  .meta({ id: 'CliLoginPoll' })
export type CliLoginPoll = z.infer<typeof CliLoginPoll>

export const SsoSettings = z
  .object({
    issuer: z
      .url({ protocol: /^https?$/ })
      .max(500)
      .describe('The OpenID Connect issuer; https, unless the operator allows the host.'),
    client_id: text(500),
    has_client_secret: z.boolean().describe('The secret itself is sealed and never shown.'),
    domains: z.array(DomainName).describe('The e-mail domains that sign in here; each belongs to one organization.'),
    default_role: Role.exclude(['admin']).describe('The role of a user whom the first sign-in creates.'),
    callback_url: z.url().describe('To be registered with the identity provider.'),
    created_at: Timestamp,
    updated_at: Timestamp,
  })
  .meta({ id: 'SsoSettings' })
export type SsoSettings = z.infer<typeof SsoSettings>

export const SsoStart = z
  .object({
    authorization_url: z.url().describe('Where the browser goes.'),
    state: z.string().describe('Keep it in the browser that begins: the exchange asks for it.'),
    expires_at: Timestamp,
  })
  .meta({ id: 'SsoStart' })
export type SsoStart = z.infer<typeof SsoStart>

const organization_id = Id.optional().describe('Which of your organizations; without it the first you joined.')
const slow =
  'RATE_LIMITED: too many failures for this account or from this address; `Retry-After` says how long to wait.'
const user_code = text(20).describe('Upper or lower case, with or without the hyphen.')

export const auth = {
  login: {
    method: 'POST',
    path: '/auth/login',
    permission: 'public',
    rate: 'sign_in',
    secret: true,
    summary: 'Sign in with e-mail and password.',
    description:
      'Failures slow the next attempts down, by account and by address; they never lock. An account that does not exist answers as a wrong password does, and as slowly.',
    input: z.object({ email: Email, password: PasswordGiven, organization_id }),
    output: Tokens,
    refusals: ['UNAUTHENTICATED: e-mail or password is wrong, or the account is not active.', slow],
  },
  refresh: {
    method: 'POST',
    path: '/auth/refresh',
    permission: 'public',
    secret: true,
    summary: 'Get new tokens for a refresh token, which is used up by it.',
    description:
      'A refresh token that comes a second time ends the whole sign-in, because one of the two senders must have stolen it. There is no grace: of two refreshes with one token at the same moment one ends the sign-in, so a client refreshes one at a time. With `organization_id` the new tokens are for another organization of the user; a sign-in through an identity provider counts in its own organization only.',
    input: z.object({
      refresh_token: text(200),
      organization_id: Id.optional().describe('Without it the organization of the sign-in.'),
    }),
    output: Tokens,
    refusals: ['UNAUTHENTICATED: the token is unknown, used or expired, or the sign-in has ended.'],
  },
  logout: {
    method: 'POST',
    path: '/auth/logout',
    permission: 'authenticated',
    summary: 'Sign out: this sign-in ends at once, its access tokens too.',
    input: z.object({ everywhere: z.boolean().default(false).describe('End all sign-ins of the user.') }),
    refusals: ['CONFLICT: an API key has no sign-in to end; revoke it instead.'],
  },
  whoami: {
    method: 'GET',
    path: '/auth/whoami',
    permission: 'authenticated',
    summary: 'Read who the credential is, and what it may.',
    input: z.object({}),
    output: Whoami,
  },
  token: {
    method: 'POST',
    path: '/auth/token',
    permission: 'public',
    secret: true,
    summary: 'Exchange an API key for an access token.',
    description: 'The key is sent as the credential or in the body. The token may what the key may, and ends with it.',
    input: z.object({ api_key: text(100).optional() }),
    output: AccessToken,
    refusals: ['UNAUTHENTICATED: there is no valid API key in the request.'],
  },
  acceptInvitation: {
    method: 'POST',
    path: '/auth/accept-invitation',
    permission: 'public',
    rate: 'sign_in',
    secret: true,
    summary: 'Accept an invitation, and sign in.',
    description:
      'A new account gets this name and password. Whoever has an account already proves it: with its password, or by sending the access token of a sign-in with it.',
    input: z.object({ token: text(200), name: text(200), password: Password }),
    output: Tokens,
    refusals: [
      'UNAUTHENTICATED: the invitation is unknown, used or expired, or the password of the account is wrong.',
      slow,
    ],
  },
  startCliLogin: {
    method: 'POST',
    path: '/auth/cli-login-requests',
    permission: 'public',
    rate: 'sign_in',
    secret: true,
    creates: '/auth/cli-login-requests/{request_id}/token',
    summary: 'Begin a browser login for a command line.',
    description: 'Show the person the URL and the code, then poll. After RFC 8628. A request lives 10 minutes.',
    input: z.object({ client_name: text(100).default('Flow CLI') }),
    output: StartedCliLogin,
  },
  pollCliLogin: {
    method: 'POST',
    path: '/auth/cli-login-requests/{request_id}/token',
    permission: 'public',
    secret: true,
    summary: 'Ask whether a browser login was approved; the tokens are given once.',
    input: z.object({ request_id: Id, secret: text(100) }),
    output: CliLoginPoll,
  },
  getCliLogin: {
    method: 'GET',
    path: '/auth/cli-login-requests',
    permission: 'authenticated',
    summary: 'Read which command line asks, by the code it shows.',
    input: z.object({ user_code }),
    output: CliLoginRequest,
  },
  approveCliLogin: {
    method: 'POST',
    path: '/auth/cli-login-requests/approve',
    permission: 'authenticated',
    summary: 'Sign a command line in as yourself.',
    input: z.object({ user_code }),
    output: CliLoginRequest,
    refusals: ['FORBIDDEN: you are an API key.', 'CONFLICT: it was approved or denied already.'],
  },
  denyCliLogin: {
    method: 'POST',
    path: '/auth/cli-login-requests/deny',
    permission: 'authenticated',
    summary: 'Turn a command line away.',
    input: z.object({ user_code }),
    output: CliLoginRequest,
    refusals: ['CONFLICT: it was approved or denied already.'],
  },
  getSso: {
    method: 'GET',
    path: '/organizations/{org_id}/sso',
    permission: 'organization.write',
    summary: 'Read the settings of single sign-on.',
    input: z.object({ org_id: Id }),
    output: SsoSettings,
  },
  setSso: {
    method: 'PUT',
    path: '/organizations/{org_id}/sso',
    permission: 'organization.write',
    summary: 'Set up single sign-on: what is sent replaces, what is not sent stays.',
    description:
      'OpenID Connect with PKCE, state and nonce. The first time issuer, client and domains are required; another issuer needs its client secret.',
    input: z.object({
      org_id: Id,
      issuer: SsoSettings.shape.issuer.optional(),
      client_id: SsoSettings.shape.client_id.optional(),
      client_secret: text(2000).optional(),
      domains: z.array(DomainName).min(1).max(50).optional(),
      default_role: SsoSettings.shape.default_role.optional(),
    }),
    output: SsoSettings,
    refusals: [
      'CONFLICT: a domain belongs to another organization.',
      'VALIDATION_ERROR: the first time a field is missing.',
    ],
  },
  removeSso: {
    method: 'DELETE',
    path: '/organizations/{org_id}/sso',
    permission: 'organization.write',
    summary: 'End single sign-on. Sign-ins that exist go on until they expire.',
    input: z.object({ org_id: Id }),
  },
  initiateSso: {
    method: 'POST',
    path: '/auth/sso/initiate',
    permission: 'public',
    rate: 'sign_in',
    secret: true,
    summary: 'Begin a sign-in through an identity provider.',
    description:
      'With `redirect_uri` the browser ends there with `code` and `state`, for the exchange; or with `error`. It is an address of this platform, of an origin the operator allows, or of the caller’s own machine. Without it the callback answers with the tokens.',
    input: z.object({
      email: Email.optional().describe('Finds the organization by its domain.'),
      organization: z.union([Id, Slug]).optional().describe("The organization's id or slug. This or `email`."),
      redirect_uri: z
        .url({ protocol: /^https?$/ })
        .max(2000)
        .optional(),
    }),
    output: SsoStart,
    refusals: ['NOT_FOUND: nobody signs in there.', 'UPSTREAM_FAILED: the identity provider does not answer.'],
  },
  ssoCallback: {
    method: 'GET',
    path: '/auth/sso/callback',
    permission: 'public',
    rate: 'sign_in',
    secret: true,
    summary: 'Where the identity provider sends the browser back to.',
    description: 'Answers with the tokens, or with a redirect where the sign-in was begun with `redirect_uri`.',
    // What else a provider sends must be ignored (RFC 6749, section 4.1.2).
    input: z.looseObject({
      state: text(200),
      code: text(4000).optional(),
      error: text(200).optional(),
      error_description: z.string().max(2000).optional(),
      iss: z.string().max(500).optional(),
    }),
    output: Tokens,
    refusals: [
      'UNAUTHENTICATED: state, nonce, audience, signature, domain or code is wrong, or the request has expired.',
    ],
  },
  exchangeSsoCode: {
    method: 'POST',
    path: '/auth/sso/exchange',
    permission: 'public',
    rate: 'sign_in',
    secret: true,
    summary: 'Exchange the code of a redirect for tokens, once, within five minutes.',
    input: z.object({
      code: text(100),
      state: text(200).describe('The one that the beginning of this sign-in answered.'),
    }),
    output: Tokens,
    refusals: ['UNAUTHENTICATED: the code is unknown, used or expired, or the state is another.'],
  },
} as const satisfies Domain
