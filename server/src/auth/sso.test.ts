import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import test, { after, before } from 'node:test'
import type { Tokens } from '@flow/contract/auth'
import { Redirect } from '../answer.ts'
import { sql } from '../db/db.ts'
import { Failure } from '../failure.ts'
import * as auth from './auth.ts'
import { type Claims, startProvider, type TestProvider } from './provider.testing.ts'
import { type AuthTest, openAuthTest, PASSWORD, type Person } from './testing.ts'

let t: AuthTest
let provider: TestProvider
before(async () => {
  t = await openAuthTest()
  provider = await startProvider(['https://flow.example/api/v1/auth/sso/callback'])
})
after(async () => {
  provider.close()
  await t.close()
})

const address = '198.51.100.7'
const refusedWith =
  (code: string, message = /./) =>
  (error: unknown) =>
    error instanceof Failure && error.code === code && message.test(error.message)
const unauthenticated = refusedWith('UNAUTHENTICATED')

let count = 0
/** An organization whose domain signs in at the provider. */
async function organizationWithSso(more: Record<string, unknown> = {}) {
  count += 1
  const domain = `company-${count}.example`
  const admin = await t.newPerson()
  const ctx = await contextOf(admin)
  const { issuer, client_id, client_secret } = provider
  const settings = { org_id: admin.organization_id, issuer, client_id, client_secret, domains: [domain], ...more }
  await auth.setSso(ctx, settings)
  return { admin, ctx, domain, organization_id: admin.organization_id, settings }
}

async function contextOf(person: Person) {
  const { access_token } = await auth.login(t.stranger(), person)
  return t.contextOf(await auth.authenticate(t.platform, { bearer: access_token, address }))
}

/** Somebody whom the provider knows. Their name there is not their address. */
function known(email: string | undefined, claims: Claims = { email_verified: true }): string {
  count += 1
  provider.accounts.set(`subject-${count}`, { name: 'Ada Lovelace', ...(email ? { email } : {}), ...claims })
  return `subject-${count}`
}

const initiate = (email: string, redirect_uri?: string) => auth.initiateSso(t.stranger(), { email, redirect_uri })
const callback = (url: URL) => {
  const input = Object.fromEntries(url.searchParams) as Parameters<typeof auth.ssoCallback>[1]
  return auth.ssoCallback(t.stranger(), input)
}

/** The whole way, without a redirect at its end. */
async function signIn(email: string, login: string): Promise<Tokens> {
  const begun = await initiate(email)
  const answer = await callback(await provider.signIn(begun.authorization_url, login))
  assert.ok(!(answer instanceof Redirect))
  return answer
}

const asBearer = ({ access_token }: Pick<Tokens, 'access_token'>) =>
  auth.authenticate(t.platform, { bearer: access_token, address })

test('a first sign-in through the provider makes the user, with the configured role', async () => {
  const { domain, organization_id } = await organizationWithSso({ default_role: 'solution_builder' })
  const email = `ada@${domain}`
  const login = known(email)
  const tokens = await signIn(`Ada@${domain.toUpperCase()}`, login)
  assert.equal(tokens.organization_id, organization_id)
  assert.equal(tokens.user.email, email)
  assert.equal(tokens.user.name, 'Ada Lovelace')
  const actor = await asBearer(tokens)
  assert.deepEqual(actor.grants, [{ role: 'solution_builder', scope: 'organization' }])

  const again = await signIn(email, login)
  assert.equal(again.user.id, tokens.user.id)
  await auth.refresh(t.stranger(), { refresh_token: again.refresh_token })
})

test('the browser goes there with PKCE, state and nonce, and comes back to one address', async () => {
  const { domain, admin } = await organizationWithSso()
  const { slug } = await t.database.platform.one<{ slug: string }>(
    sql`select slug from organizations where id = ${admin.organization_id}`,
  )
  for (const wish of [{ email: `x@${domain}` }, { organization: admin.organization_id }, { organization: slug }]) {
    const { authorization_url, state } = await auth.initiateSso(t.stranger(), wish)
    const asked = Object.fromEntries(new URL(authorization_url).searchParams)
    assert.equal(asked.code_challenge_method, 'S256')
    assert.equal(asked.response_type, 'code')
    assert.equal(asked.redirect_uri, 'https://flow.example/api/v1/auth/sso/callback')
    assert.equal(asked.state, state)
    assert.ok((asked.nonce?.length ?? 0) >= 40 && (asked.code_challenge?.length ?? 0) === 43)
  }
  const rows = await t.database.platform.many(sql`select row_to_json(r)::text as text from sso_requests r`)
  assert.ok(!JSON.stringify(rows).includes('nonce'))
})

test('with redirect_uri the browser ends there with a code, which counts once and only with the state', async () => {
  const { domain } = await organizationWithSso()
  const email = `bob@${domain}`
  const login = known(email)
  const way = async () => {
    const begun = await initiate(email, 'http://localhost:5173/signed-in?from=here')
    const answer = await callback(await provider.signIn(begun.authorization_url, login))
    assert.ok(answer instanceof Redirect)
    return { begun, url: new URL(answer.url), code: new URL(answer.url).searchParams.get('code') ?? '' }
  }
  const first = await way()
  assert.equal(first.url.origin, 'http://localhost:5173')
  assert.equal(first.url.searchParams.get('from'), 'here')
  assert.equal(first.url.searchParams.get('state'), first.begun.state)
  assert.ok(!first.url.href.includes('eyJ'))

  const exchange = (code: string, state: string) => auth.exchangeSsoCode(t.stranger(), { code, state })
  const tokens = await exchange(first.code, first.begun.state)
  assert.equal(tokens.user.email, email)
  await assert.rejects(exchange(first.code, first.begun.state), unauthenticated)

  const [second, third] = [await way(), await way()]
  await assert.rejects(exchange(second.code, third.begun.state), unauthenticated)
  await assert.rejects(
    exchange(second.code, second.begun.state),
    unauthenticated,
    'a code that met a wrong state is spent',
  )
  t.wait(300)
  await assert.rejects(exchange(third.code, third.begun.state), unauthenticated)
})

test('a browser is not sent to a stranger’s address', async () => {
  const { domain } = await organizationWithSso()
  for (const uri of ['https://evil.example/', 'https://flow.example.evil.example/', 'http://flow.example/']) {
    await assert.rejects(initiate(`x@${domain}`, uri), refusedWith('VALIDATION_ERROR'))
  }
  await initiate(`x@${domain}`, 'https://console.example/done')
})

test('what the provider refused is told at the address where the sign-in began', async () => {
  const { domain } = await organizationWithSso()
  const begun = await initiate(`x@${domain}`, 'https://console.example/done')
  const answer = await auth.ssoCallback(t.stranger(), { state: begun.state, error: 'access_denied' })
  assert.ok(answer instanceof Redirect)
  assert.equal(new URL(answer.url).searchParams.get('error'), 'unauthenticated')
  assert.equal(new URL(answer.url).searchParams.get('state'), begun.state)

  const plain = await initiate(`x@${domain}`)
  await assert.rejects(auth.ssoCallback(t.stranger(), { state: plain.state, error: 'access_denied' }), unauthenticated)
})

test('a wrong state, a used one, an expired one and one of another sign-in are refused', async () => {
  const { domain } = await organizationWithSso()
  const login = known(`eve@${domain}`)
  const way = async () => provider.signIn((await initiate(`eve@${domain}`)).authorization_url, login)

  const unknown = await way()
  unknown.searchParams.set('state', 'x'.repeat(43))
  await assert.rejects(callback(unknown), unauthenticated)

  const used = await way()
  await callback(used)
  await assert.rejects(callback(used), unauthenticated)

  const [mine, theirs] = [await way(), await way()]
  mine.searchParams.set('state', theirs.searchParams.get('state') ?? '')
  await assert.rejects(callback(mine), unauthenticated)

  const late = await way()
  t.wait(600)
  await assert.rejects(callback(late), unauthenticated)
})

test('a code that was used, belongs to another sign-in, has expired or is none is refused', async () => {
  const { domain } = await organizationWithSso()
  const login = known(`mallory@${domain}`)
  const way = async () => provider.signIn((await initiate(`mallory@${domain}`)).authorization_url, login)
  const withCodeOf = async (code: string | null) => {
    const url = await way()
    url.searchParams.set('code', code ?? '')
    return callback(url)
  }

  const used = await way()
  await callback(used)
  await assert.rejects(withCodeOf(used.searchParams.get('code')), unauthenticated)
  // Not used yet, but begun by somebody else: PKCE tells.
  await assert.rejects(withCodeOf((await way()).searchParams.get('code')), unauthenticated)
  await assert.rejects(withCodeOf('nonsense'), unauthenticated)

  const none = await initiate(`mallory@${domain}`)
  await assert.rejects(auth.ssoCallback(t.stranger(), { state: none.state }), unauthenticated)

  provider.hooks.code_seconds = 1
  const old = await way()
  provider.hooks.code_seconds = 60
  await new Promise((next) => setTimeout(next, 2100))
  await assert.rejects(callback(old), unauthenticated)
})

test('an id token with a wrong nonce, audience, issuer, time or signature is refused', async () => {
  const { domain } = await organizationWithSso()
  const login = known(`trent@${domain}`)
  const now = Math.floor(performance.timeOrigin / 1000)
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const bends: Record<string, TestProvider['hooks']['bend']> = {
    'another nonce': (claims, signed) => signed({ ...claims, nonce: 'another' }),
    'no nonce': ({ nonce: _, ...claims }, signed) => signed(claims),
    'another audience': (claims, signed) => signed({ ...claims, aud: 'another' }),
    'two audiences, and the other one authorized': (claims, signed) =>
      signed({ ...claims, aud: ['flow', 'another'], azp: 'another' }),
    'another issuer': (claims, signed) => signed({ ...claims, iss: 'https://evil.example' }),
    expired: (claims, signed) => signed({ ...claims, iat: now - 7200, exp: now - 3600 }),
    'no expiry': ({ exp: _, ...claims }, signed) => signed(claims),
    'another key': (claims, signed) => signed(claims, other),
    'no signature': (claims) => `${part({ alg: 'none' })}.${part(claims)}.`,
    nonsense: () => 'a.b.c',
  }
  try {
    for (const [name, bend] of Object.entries(bends)) {
      provider.hooks.bend = bend
      await assert.rejects(signIn(`trent@${domain}`, login), unauthenticated, name)
    }
    provider.hooks.bend = (claims, signed) => signed(claims)
    await signIn(`trent@${domain}`, login)
  } finally {
    provider.hooks.bend = undefined
  }
})

test('a nonce that was changed on the way to the provider is noticed', async () => {
  const { domain } = await organizationWithSso()
  const url = new URL((await initiate(`x@${domain}`)).authorization_url)
  url.searchParams.set('nonce', 'chosen-by-somebody-else')
  await assert.rejects(callback(await provider.signIn(url.href, known(`x@${domain}`))), unauthenticated)
})

test('the provider’s id token is no access token of ours', async () => {
  const { domain } = await organizationWithSso()
  await signIn(`peggy@${domain}`, known(`peggy@${domain}`))
  await assert.rejects(asBearer({ access_token: provider.hooks.last_id_token ?? '' }), unauthenticated)
})

test('an address of another domain, an unverified one and none at all are refused', async () => {
  const { domain } = await organizationWithSso()
  const begin = `x@${domain}`
  const wrong: [string | undefined, Claims][] = [
    [`x@sub.${domain}`, {}],
    [`x@${domain}.evil.example`, {}],
    ['x@gmail.com', { email_verified: true }],
    [`x@${domain}`, { email_verified: false }],
    [`x@${domain}`, { email_verified: 'false' }],
    [undefined, {}],
  ]
  for (const [email, claims] of wrong) await assert.rejects(signIn(begin, known(email, claims)), unauthenticated, email)
  await signIn(begin, known(`quiet@${domain}`, {}))
})

test('somebody suspended does not come back in through the provider', async () => {
  const { domain, organization_id } = await organizationWithSso()
  const login = known(`sam@${domain}`)
  const tokens = await signIn(`sam@${domain}`, login)
  await t.database.platform.run(sql`update memberships set status = 'suspended' where user_id = ${tokens.user.id}`)
  await assert.rejects(signIn(`sam@${domain}`, login), unauthenticated)

  const { email } = await t.join(organization_id, { email: `suspended@${domain}`, status: 'suspended' })
  await assert.rejects(signIn(email, known(email)), unauthenticated)
})

test('an invited person who comes through the provider has joined, with the roles of the invitation', async () => {
  const { domain, organization_id } = await organizationWithSso({ default_role: 'solution_builder' })
  const invited = await t.invite(organization_id, { email: `invited@${domain}` })
  const tokens = await signIn(invited.email, known(invited.email))
  assert.equal(tokens.user.id, invited.user_id)
  assert.deepEqual((await asBearer(tokens)).grants, [{ role: 'viewer', scope: 'organization' }])
  const accept = auth.acceptInvitation(t.stranger(), { token: invited.token, name: 'X', password: 'a new password' })
  await assert.rejects(accept, unauthenticated)
})

test('what one organization’s provider vouches for counts in no other organization', async () => {
  const { domain, organization_id } = await organizationWithSso()
  // The address has an account with an organization of its own: its owner never heard of the provider.
  const owner = await t.newPerson()
  await t.database.platform.run(sql`update users set email = ${`owner@${domain}`} where id = ${owner.user_id}`)
  const tokens = await signIn(`owner@${domain}`, known(`owner@${domain}`))
  assert.equal(tokens.user.id, owner.user_id)
  assert.equal(tokens.organization_id, organization_id)

  const into = auth.refresh(t.stranger(), {
    refresh_token: tokens.refresh_token,
    organization_id: owner.organization_id,
  })
  await assert.rejects(into, refusedWith('FORBIDDEN'))
  const ctx = t.contextOf(await asBearer(tokens))
  const started = await auth.startCliLogin(t.stranger(), { client_name: 'cli' })
  await auth.approveCliLogin(ctx, started)
  const polled = await auth.pollCliLogin(t.stranger(), { request_id: started.id, secret: started.secret })
  const refresh_token = polled.tokens?.refresh_token ?? ''
  await assert.rejects(
    auth.refresh(t.stranger(), { refresh_token, organization_id: owner.organization_id }),
    refusedWith('FORBIDDEN'),
  )
})

test('a password that somebody else set does not open what the provider began', async () => {
  const { domain, organization_id } = await organizationWithSso()
  // Mallory invites the address into an organization of hers, and accepts herself: the account has her password.
  const hers = await t.newOrganization()
  const { email, user_id } = await t.join(hers.organization_id, { email: `victim@${domain}` })
  const tokens = await signIn(email, known(email))
  assert.equal(tokens.user.id, user_id)

  await assert.rejects(auth.login(t.stranger(), { email, password: PASSWORD, organization_id }), unauthenticated)
  const mallory = await auth.login(t.stranger(), { email, password: PASSWORD })
  assert.equal(mallory.organization_id, hers.organization_id)
  const into = auth.refresh(t.stranger(), { refresh_token: mallory.refresh_token, organization_id })
  await assert.rejects(into, unauthenticated)
})

test('settings keep what is not sent, never show the secret, and want it again for another issuer', async () => {
  const { ctx, settings, domain } = await organizationWithSso()
  const { org_id } = settings
  const shown = await auth.getSso(ctx, { org_id })
  assert.equal(shown.has_client_secret, true)
  assert.equal(shown.callback_url, 'https://flow.example/api/v1/auth/sso/callback')
  assert.ok(!JSON.stringify(shown).includes(provider.client_secret))
  const rows = await t.database.platform.many(sql`select row_to_json(s)::text as text from sso_settings s`)
  assert.ok(!JSON.stringify(rows).includes(provider.client_secret))

  const changed = await auth.setSso(ctx, { org_id, default_role: 'security_auditor' })
  assert.deepEqual({ ...shown, default_role: 'security_auditor', updated_at: changed.updated_at }, changed)
  await signIn(`still@${domain}`, known(`still@${domain}`))

  const to = (issuer: string) => auth.setSso(ctx, { org_id, issuer })
  await assert.rejects(to('https://evil.example'), refusedWith('VALIDATION_ERROR', /client secret/))
  await assert.rejects(to('http://insecure.example'), refusedWith('VALIDATION_ERROR'))
})

test('the first time every setting is needed, and each that is missing is named', async () => {
  const ctx = await contextOf(await t.newPerson())
  const org_id = ctx.organization_id
  await assert.rejects(auth.getSso(ctx, { org_id }), refusedWith('NOT_FOUND'))
  await assert.rejects(auth.removeSso(ctx, { org_id }), refusedWith('NOT_FOUND'))
  const refused = await auth.setSso(ctx, { org_id, issuer: 'https://id.example' }).catch((error: Failure) => error)
  assert.ok(refused instanceof Failure)
  assert.deepEqual(refused.details.map(({ field }) => field).sort(), ['client_id', 'client_secret', 'domains'])
})

test('a domain belongs to one organization, and is free again when that one gives it up', async () => {
  const one = await organizationWithSso()
  const other = await organizationWithSso()
  const take = () =>
    t.database
      .of(other.organization_id)
      .tx((db) =>
        auth.setSso({ ...other.ctx, db }, { org_id: other.organization_id, domains: [other.domain, one.domain] }),
      )
  await assert.rejects(take(), refusedWith('CONFLICT', new RegExp(one.domain)))
  await assert.rejects(take(), { details: [{ field: 'domains[1]', message: 'It is taken.' }] })
  assert.deepEqual((await auth.getSso(other.ctx, { org_id: other.organization_id })).domains, [other.domain])

  await auth.setSso(one.ctx, { org_id: one.organization_id, domains: ['moved.example'] })
  assert.deepEqual((await take()).domains.sort(), [one.domain, other.domain].sort())
  await auth.removeSso(one.ctx, { org_id: one.organization_id })
  await assert.rejects(initiate('x@moved.example'), refusedWith('NOT_FOUND'))
})

test('settings that change while somebody is on the way end that way', async () => {
  const { ctx, domain, settings } = await organizationWithSso()
  const url = await provider.signIn((await initiate(`x@${domain}`)).authorization_url, known(`x@${domain}`))
  await auth.setSso(ctx, { ...settings, issuer: 'https://another.example' })
  await assert.rejects(callback(url), unauthenticated)
})

test('a provider that is silent, broken or inside is named as such and nothing else is told', async () => {
  const inside = await organizationWithSso({ issuer: 'https://10.0.0.1' })
  const broken = await organizationWithSso({ issuer: `${provider.issuer}/nowhere` })
  for (const { domain } of [inside, broken]) {
    const refused = await initiate(`x@${domain}`).catch((error: Failure) => error)
    assert.ok(refused instanceof Failure && refused.code === 'UPSTREAM_FAILED')
    assert.ok(!refused.message.includes('10.0.0.1'))
  }
  for (const wish of [{}, { email: 'x@y.example', organization: 'some-org' }]) {
    await assert.rejects(auth.initiateSso(t.stranger(), wish), refusedWith('VALIDATION_ERROR'))
  }
  await assert.rejects(initiate('x@nobody.example'), refusedWith('NOT_FOUND'))
})

test('a command line is approved through the provider, from the browser that began it', async () => {
  const { domain } = await organizationWithSso()
  const email = `cleo@${domain}`
  const started = await auth.startCliLogin(t.stranger(), { client_name: 'cli' })
  const post = (fields: Record<string, string>, cookie = '') => {
    const headers = { origin: 'https://flow.example', cookie }
    const body = new URLSearchParams({ user_code: started.user_code, ...fields })
    return auth.devicePage(
      new Request('https://flow.example/device', { method: 'POST', body, headers }),
      t.platform,
      address,
    )
  }
  const page = await post({ action: 'sso', email })
  const cookie = page.headers.get('set-cookie') ?? ''
  assert.match(cookie, /HttpOnly; SameSite=Lax; Secure/)
  const href = /href="([^"]+)"/.exec(await page.text())?.[1]?.replaceAll('&amp;', '&') ?? ''
  const back = await callback(await provider.signIn(href, known(email)))
  assert.ok(back instanceof Redirect)
  const state = cookie.split(';')[0] ?? ''
  const show = (cookies: string) =>
    auth.devicePage(new Request(back.url, { headers: { cookie: cookies } }), t.platform, address)

  assert.equal((await show('')).status, 400)
  const shown = await show(`other=1; ${state}`)
  assert.ok((await shown.text()).includes(email))
  const code = new URL(back.url).searchParams.get('code') ?? ''
  const approved = await post({ action: 'approve', code }, state)
  assert.ok((await approved.text()).includes(`signed in as ${email}`))
  const polled = await auth.pollCliLogin(t.stranger(), { request_id: started.id, secret: started.secret })
  assert.equal(polled.tokens?.user.email, email)
})
