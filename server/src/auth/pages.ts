/** The two pages that the server draws itself: where a person approves a command line (cli-login.ts), and where an
 *  invitation is accepted. They need neither script nor session: whoever approves signs in with the very same form, or
 *  comes back from their identity provider with a code that counts once. So there is nothing to ride on from another
 *  site; forms from elsewhere are refused all the same. */

import { auth } from '@flow/contract/auth'
import { statusOfCode } from '@flow/contract/common'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import { newId, type Platform } from '../context.ts'
import { badRequest, Failure, forbidden, invalid } from '../failure.ts'
import * as cli from './cli-login.ts'
import { accept, findInvitation, makesAccount } from './invitations.ts'
import { html, type Markup, page } from './markup.ts'
import { networkOf } from './rules.ts'
import type { Invitation } from './session-store.ts'
import type { SignInContext } from './sessions.ts'
import { memberOf, proveByPassword } from './sign-in.ts'
import * as sso from './sso.ts'

/** Looks and forms of one network in a minute. Guessing passwords is slowed far earlier, where they are checked. */
const visits = new RateLimiterMemory({ points: 120, duration: 60 })
const FORM_BYTES_MAX = 8192
const STATE_COOKIE = 'flow_device_state'

/** Answers GET and POST of `/device`. `address` is the caller's, for the limits and the audit log. */
export const devicePage = (request: Request, platform: Platform, address: string): Promise<Response> =>
  draw('Sign in a command line', request, platform, address, {
    get: show,
    post: submit,
    async refused(ctx, form) {
      const user_code = form.get('user_code') ?? ''
      const asks = user_code ? await cli.find(platform, user_code, ctx.now).catch(() => undefined) : undefined
      return asks?.status === 'pending' ? signInForm(asks, form.get('email') ?? '') : codeForm(user_code)
    },
  })

/** Answers GET and POST of `/accept-invitation`, where the link of an invitation leads. */
export const invitationPage = (request: Request, platform: Platform, address: string): Promise<Response> =>
  draw('Join an organization', request, platform, address, {
    async get(ctx, _request, fields) {
      const token = fields.get('token') ?? ''
      return joinForm(await findInvitation(ctx, token), token, '')
    },
    post: joinOrganization,
    async refused(ctx, form) {
      const token = form.get('token') ?? ''
      const invitation = await findInvitation(ctx, token).catch(() => undefined)
      return invitation ? joinForm(invitation, token, form.get('name') ?? '') : html``
    },
  })

type Drawn = Markup | { body: Markup; headers: Record<string, string> }
type Page = {
  get(ctx: SignInContext, request: Request, fields: URLSearchParams): Promise<Drawn>
  post(ctx: SignInContext, request: Request, form: URLSearchParams): Promise<Drawn>
  /** What stands below the reason when it was refused. */
  refused(ctx: SignInContext, form: URLSearchParams): Promise<Markup>
}

async function draw(
  title: string,
  request: Request,
  platform: Platform,
  address: string,
  shows: Page,
): Promise<Response> {
  const request_id = newId()
  const log = platform.log.child({ request_id })
  const ctx: SignInContext = { platform, address, request_id, log, now: platform.clock.now().toISOString() }
  let form = new URL(request.url).searchParams
  const isWelcome = await visits.consume(networkOf(address)).then(
    () => true,
    () => false,
  )
  if (!isWelcome) {
    const body = html`<p role="alert">Too many requests. Wait a minute, then go on.</p>`
    return page(title, { body, headers: { 'retry-after': '60' } }, 429)
  }
  try {
    if (request.method === 'GET' || request.method === 'HEAD') return page(title, await shows.get(ctx, request, form))
    if (request.method !== 'POST') throw new Failure('METHOD_NOT_ALLOWED', 'This page answers GET and POST only.')
    checkOrigin(request, platform)
    form = await readForm(request)
    return page(title, await shows.post(ctx, request, form))
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const details = error.details.map(({ message }) => message).join(' ')
    const body = html`<p role="alert">${details || error.message}</p>${await shows.refused(ctx, form)}`
    const wait = error.retry_after_seconds
    const headers: Record<string, string> = wait === undefined ? {} : { 'retry-after': String(Math.ceil(wait)) }
    return page(title, { body, headers }, statusOfCode[error.code])
  }
}

async function show(ctx: SignInContext, request: Request, fields: URLSearchParams): Promise<Drawn> {
  const user_code = fields.get('user_code')
  if (!user_code) return codeForm('')
  const asks = await cli.find(ctx.platform, user_code, ctx.now)
  if (asks.status !== 'pending') return html`<p>This login was ${asks.status} already. You can close this page.</p>`

  const code = fields.get('code')
  if (code) {
    const whose = await sso.whoseCode(ctx, code, stateOf(request))
    if (!whose) throw badRequest('Your sign-in through the identity provider has expired. Begin again.')
    return decideForm(asks, code, whose.email)
  }
  const failed = fields.has('error') ? html`<p role="alert">Your identity provider did not sign you in.</p>` : html``
  return html`${failed}${signInForm(asks, '')}`
}

async function submit(ctx: SignInContext, request: Request, form: URLSearchParams): Promise<Drawn> {
  const user_code = form.get('user_code') ?? ''
  const email = (form.get('email') ?? '').trim().toLowerCase()
  const action = form.get('action')
  if (action === 'sso') return toProvider(ctx, user_code, email)
  if (action !== 'approve' && action !== 'deny') throw badRequest('Choose what shall become of the login.')
  await cli.find(ctx.platform, user_code, ctx.now)

  const code = form.get('code')
  const who = code
    ? { member: await sso.takeCode(ctx, code, stateOf(request)), is_bound: true }
    : { member: await byPassword(ctx, email, form.get('password') ?? ''), is_bound: false }
  const decided = await cli.decide(ctx, user_code, action === 'approve' ? 'approved' : 'denied', {
    ...who,
    isNoted: false,
  })
  const next =
    decided.status === 'approved'
      ? `${decided.client_name} is signed in as ${who.member.user.email}.`
      : 'It was turned away.'
  return html`<p role="status">${next} You can close this page.</p>`
}

async function byPassword(ctx: SignInContext, email: string, password: string) {
  const account = await proveByPassword(ctx, email, password)
  return memberOf(ctx, account.id, undefined)
}

async function joinOrganization(ctx: SignInContext, _request: Request, form: URLSearchParams): Promise<Drawn> {
  const fields = auth.acceptInvitation.input.safeParse({
    token: form.get('token') ?? '',
    name: form.get('name') ?? '',
    password: form.get('password') ?? '',
  })
  if (!fields.success) {
    throw invalid(
      fields.error.issues.map(({ path, message }) => ({
        field: path.join('.'),
        message: `${path.join('.')}: ${message}`,
      })),
    )
  }
  const { organization_name } = await findInvitation(ctx, fields.data.token)
  const { user } = await accept({ ...ctx, credentials: {} }, fields.data)
  return html`<p role="status">You have joined <strong>${organization_name}</strong> as <strong>${user.email}</strong>.
    You can sign in now.</p>`
}

/** A link, not a redirect: a form that ends on another site would need a wider content policy. */
async function toProvider(ctx: SignInContext, user_code: string, email: string): Promise<Drawn> {
  const redirect_uri = `${cli.verificationUrl(ctx.platform)}?user_code=${encodeURIComponent(user_code)}`
  const { authorization_url, state } = await sso.initiate(ctx, { email, redirect_uri })
  const secure = ctx.platform.config.public_url.startsWith('https:') ? '; Secure' : ''
  const cookie = `${STATE_COOKIE}=${state}; Path=/device; Max-Age=600; HttpOnly; SameSite=Lax${secure}`
  const body = html`<p>Your organization signs you in.</p>
    <p><a class="button" href="${authorization_url}">Continue at ${new URL(authorization_url).host}</a></p>`
  return { body, headers: { 'set-cookie': cookie } }
}

/** The browser that began at the provider has the state; a code that somebody sent in a link is worth nothing. */
function stateOf(request: Request): string {
  const cookies = request.headers.get('cookie') ?? ''
  return new RegExp(`(?:^|;\\s*)${STATE_COOKIE}=([\\w-]+)`).exec(cookies)?.[1] ?? ''
}

function checkOrigin(request: Request, platform: Platform): void {
  const site = request.headers.get('sec-fetch-site')
  if (site !== null) {
    if (site !== 'same-origin') throw forbidden('This form was sent from another site.')
    return
  }
  const origin = request.headers.get('origin')
  const own = [new URL(request.url).origin, new URL(platform.config.public_url).origin]
  if (origin === null || !own.includes(origin)) throw forbidden('This form was sent from another site.')
}

async function readForm(request: Request): Promise<URLSearchParams> {
  const type = request.headers.get('content-type')?.split(';')[0]?.trim()
  if (type !== 'application/x-www-form-urlencoded') throw new Failure('UNSUPPORTED_MEDIA_TYPE', 'Send the form.')
  const tooLarge = new Failure('PAYLOAD_TOO_LARGE', `The form may have at most ${FORM_BYTES_MAX} bytes.`)
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > FORM_BYTES_MAX) throw tooLarge
    chunks.push(chunk)
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'))
}

type Asks = { user_code: string; client_name: string; address: string }

const codeForm = (user_code: string) => html`<form method="get" action="/device">
  <label>The code that your command line shows
    <input name="user_code" value="${user_code}" autocomplete="off" autocapitalize="characters" spellcheck="false"
      placeholder="BCDF-GHJK" maxlength="20" required autofocus></label>
  <button>Continue</button></form>`

const whoAsks = ({ user_code, client_name, address }: Asks) => html`<p><strong>${client_name}</strong> at the address
  <strong>${address}</strong> asks to act in your name. Go on only if you started it yourself and it shows this code:</p>
  <p class="code">${user_code}</p><input type="hidden" name="user_code" value="${user_code}">`

const decisions = html`<button name="action" value="approve">Approve</button>
  <button name="action" value="deny" class="quiet">Turn away</button>`

const signInForm = (asks: Asks, email: string) => html`<form method="post" action="/device">${whoAsks(asks)}
  <label>E-mail <input type="email" name="email" value="${email}" autocomplete="username" maxlength="254" required></label>
  <label>Password <input type="password" name="password" autocomplete="current-password" maxlength="1024"></label>
  ${decisions}
  <button name="action" value="sso" class="quiet">Sign in through my organization</button></form>`

const joinForm = (invitation: Invitation, token: string, name: string) => {
  const isNew = makesAccount(invitation)
  const asked = isNew ? 'Choose a password, at least 10 characters' : 'The password of your account'
  return html`<form method="post" action="/accept-invitation">
  <p><strong>${invitation.organization_name}</strong> has invited <strong>${invitation.user.email}</strong>.</p>
  <input type="hidden" name="token" value="${token}">
  <input type="hidden" name="email" value="${invitation.user.email}" autocomplete="username">
  <label>Your name <input name="name" value="${name || invitation.user.name}" autocomplete="name" maxlength="200" required></label>
  <label>${asked} <input type="password" name="password" minlength="10" maxlength="1024" required
    autocomplete="${isNew ? 'new-password' : 'current-password'}"></label>
  <button>Join</button></form>`
}

const decideForm = (
  asks: Asks,
  code: string,
  email: string,
) => html`<form method="post" action="/device">${whoAsks(asks)}
  <p>You are signed in as <strong>${email}</strong>.</p>
  <input type="hidden" name="code" value="${code}">${decisions}</form>`
