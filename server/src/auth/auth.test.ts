/** The story of signing in, told through the product's own client and its edge. What each part does with thieves,
 *  races and clocks stands in the tests of the parts. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { FlowError } from '@flow/sdk'
import { newOrganization, type TestOrganization, testFlow } from '../testing.ts'
import { givePassword } from '../users/users.ts'
import { hashPassword } from './auth.ts'
import { startProvider } from './provider.testing.ts'

const PUBLIC_URL = 'https://flow.example'
const PASSWORD = 'correct horse battery'
const provider = await startProvider([`${PUBLIC_URL}/api/v1/auth/sso/callback`])
after(() => provider.close())
const flowOfThisFile = () => testFlow({ FLOW_PUBLIC_URL: PUBLIC_URL, FLOW_ALLOWED_HOSTS: '127.0.0.1' })

const refusedWith = (code: string) => (error: unknown) => error instanceof FlowError && error.code === code

async function newCompany() {
  const flow = await flowOfThisFile()
  const made = await newOrganization()
  const now = flow.platform.clock.now().toISOString()
  await givePassword(flow.platform.database.platform, made.admin.user_id, await hashPassword(PASSWORD), now)
  return { ...made, ...flow }
}

async function signedIn({ admin, organization_id }: Pick<TestOrganization, 'admin' | 'organization_id'>) {
  const { client } = await flowOfThisFile()
  const tokens = await client().auth.login({ email: admin.email, password: PASSWORD })
  return { tokens, person: client(tokens.access_token, { org_id: organization_id }) }
}

test('a person signs in, sees who they are, renews, and signs out for good', async () => {
  const company = await newCompany()
  const { tokens, person } = await signedIn(company)
  const who = await person.auth.whoami()
  assert.equal(who.kind, 'user')
  assert.equal(who.user.email, company.admin.email)
  assert.equal(who.organization.id, company.organization_id)
  assert.equal(who.workspace_id, company.workspace_id)
  assert.equal(who.api_key_id, null)

  const renewed = await company.client().auth.refresh({ refresh_token: tokens.refresh_token })
  const again = company.client(renewed.access_token)
  assert.equal((await again.auth.whoami()).session_id, who.session_id)
  await again.auth.logout()
  await assert.rejects(person.auth.whoami(), refusedWith('UNAUTHENTICATED'))
  await assert.rejects(
    company.client().auth.refresh({ refresh_token: renewed.refresh_token }),
    refusedWith('UNAUTHENTICATED'),
  )
})

test('a key says what it is and what it may, and is exchanged for a token that may the same', async () => {
  const { alice, client } = await newCompany()
  const { key, id } = await alice.organizations.createApiKey({ name: 'Reader', scopes: ['solutions.read'] })
  const who = await client(key).auth.whoami()
  assert.equal(who.kind, 'api_key')
  assert.equal(who.api_key_id, id)
  assert.deepEqual(who.permissions, ['solutions.read'])

  for (const { access_token } of [await client(key).auth.token(), await client().auth.token({ api_key: key })]) {
    assert.deepEqual((await client(access_token).auth.whoami()).permissions, who.permissions)
  }
  const { access_token } = await client().auth.token({ api_key: key })
  await alice.organizations.revokeApiKey({ key_id: id })
  await assert.rejects(client(key).auth.whoami(), refusedWith('UNAUTHENTICATED'))
  await assert.rejects(client(access_token).auth.whoami(), refusedWith('UNAUTHENTICATED'))
})

test('an invited colleague accepts and is in', async () => {
  const { alice, client, fetch, organization_id } = await newCompany()
  const invited = await alice.users.invite({
    email: `guest-${crypto.randomUUID()}@example.com`,
    grants: [{ role: 'viewer' }],
  })
  const link = new URL(invited.accept_url)
  const page = await fetch(`${link.pathname}${link.search}`)
  assert.ok((await page.text()).includes(invited.email))
  const token = link.searchParams.get('token') ?? ''
  const tokens = await client().auth.acceptInvitation({ token, name: 'Guest', password: 'a long new password' })
  assert.equal(tokens.organization_id, organization_id)
  assert.equal((await client(tokens.access_token).auth.whoami()).name, 'Guest')
})

test('a command line is signed in by a person in the browser', async () => {
  const company = await newCompany()
  const { person } = await signedIn(company)
  const begun = await company.client().auth.startCliLogin({ client_name: 'laptop' })
  const { id: request_id, secret, user_code } = begun
  assert.equal((await company.client().auth.pollCliLogin({ request_id, secret })).status, 'pending')
  assert.equal((await person.auth.getCliLogin({ user_code })).client_name, 'laptop')
  await assert.rejects(company.alice.auth.approveCliLogin({ user_code }), refusedWith('FORBIDDEN'))
  await person.auth.approveCliLogin({ user_code })
  company.clock.advance(5)
  const { tokens } = await company.client().auth.pollCliLogin({ request_id, secret })
  assert.equal((await company.client(tokens?.access_token).auth.whoami()).user.email, company.admin.email)

  const unwanted = await company.client().auth.startCliLogin()
  assert.equal((await person.auth.denyCliLogin({ user_code: unwanted.user_code })).status, 'denied')
})

test('the page for a command line is served beside the API, and its own content policy stands', async () => {
  const { fetch } = await newCompany()
  const page = await fetch('/device')
  assert.equal(page.status, 200)
  assert.match(page.headers.get('content-security-policy') ?? '', /^default-src 'none'/)
})

test('the public keys are served where everybody looks for them', async () => {
  const { fetch } = await newCompany()
  const response = await fetch('/.well-known/jwks.json')
  const { keys } = (await response.json()) as { keys: Record<string, unknown>[] }
  assert.ok(keys.length >= 1)
  assert.ok(keys.every((key) => key.kty === 'RSA' && key.d === undefined))
})

test('a company sets up single sign-on, a colleague comes through it, and the company ends it', async () => {
  const company = await newCompany()
  const domain = `c-${crypto.randomUUID()}.example`
  const { issuer, client_id, client_secret } = provider
  const settings = await company.alice.auth.setSso({ issuer, client_id, client_secret, domains: [domain] })
  assert.deepEqual(await company.alice.auth.getSso(), settings)
  const viewer = await company.member('viewer')
  await assert.rejects(viewer.client.auth.getSso(), refusedWith('FORBIDDEN'))

  provider.accounts.set(domain, { email: `ada@${domain}`, email_verified: true, name: 'Ada' })
  const plain = await company.client().auth.initiateSso({ email: `ada@${domain}` })
  const back = await provider.signIn(plain.authorization_url, domain)
  back.searchParams.set('session_state', 'what a provider adds is no reason to refuse')
  const answer = await company.fetch(`${back.pathname}${back.search}`)
  const tokens = (await answer.json()) as { access_token: string }
  assert.equal((await company.client(tokens.access_token).auth.whoami()).user.email, `ada@${domain}`)

  const redirect_uri = `${PUBLIC_URL}/console`
  const begun = await company.client().auth.initiateSso({ organization: company.organization_id, redirect_uri })
  const there = await provider.signIn(begun.authorization_url, domain)
  const redirect = await company.fetch(`${there.pathname}${there.search}`)
  assert.equal(redirect.status, 302)
  const code = new URL(redirect.headers.get('location') ?? '').searchParams.get('code') ?? ''
  const exchanged = await company.client().auth.exchangeSsoCode({ code, state: begun.state })
  assert.equal(exchanged.user.name, 'Ada')
  await assert.rejects(company.client().auth.ssoCallback({ state: begun.state }), refusedWith('UNAUTHENTICATED'))

  await company.alice.auth.removeSso()
  await assert.rejects(company.client().auth.initiateSso({ email: `ada@${domain}` }), refusedWith('NOT_FOUND'))
})

test('signing in, and being refused, stand in the audit log', async () => {
  const company = await newCompany()
  const wrong = company.client().auth.login({ email: company.admin.email, password: 'not the password' })
  await assert.rejects(wrong, refusedWith('UNAUTHENTICATED'))
  await signedIn(company)
  let outcomes: string[] = []
  for (let tries = 0; tries < 100 && outcomes.length < 2; tries += 1) {
    const { items } = await company.alice.audit.list({ event_type: 'auth.login' })
    outcomes = items.map(({ outcome }) => outcome).sort()
  }
  assert.deepEqual(outcomes, ['failure', 'success'])
})
