import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import type { Tokens } from '@flow/contract/auth'
import { Failure } from '../failure.ts'
import { acceptInvitation, authenticate, invitationPage, login } from './auth.ts'
import { type AuthTest, openAuthTest, type Person } from './testing.ts'

let t: AuthTest
before(async () => {
  t = await openAuthTest()
})
after(() => t.close())

const address = '198.51.100.7'
const refusedWith = (code: string) => (error: unknown) => error instanceof Failure && error.code === code
const unauthenticated = refusedWith('UNAUTHENTICATED')
const signIn = (person: Person) => login(t.stranger(), { email: person.email, password: person.password })
const asBearer = ({ access_token }: Tokens) => authenticate(t.platform, { bearer: access_token, address })

test('an invitation makes an account, once', async () => {
  const { organization_id } = await t.newOrganization()
  const { token, email } = await t.invite(organization_id, {})
  const accept = () => acceptInvitation(t.stranger(), { token, name: 'Grace', password: 'a new password' })
  const [first, second] = await Promise.allSettled([accept(), accept()])
  const [won, lost] = first.status === 'fulfilled' ? [first, second] : [second, first]
  assert.equal(won.status, 'fulfilled')
  assert.ok(lost.status === 'rejected' && refusedWith('UNAUTHENTICATED')(lost.reason))

  const tokens = await login(t.stranger(), { email, password: 'a new password' })
  assert.equal(tokens.organization_id, organization_id)
  assert.equal(tokens.user.name, 'Grace')
  assert.deepEqual((await asBearer(tokens)).grants, [{ role: 'viewer', scope: 'organization' }])
})

test('an invitation that is unknown or a week old is refused', async () => {
  const { organization_id } = await t.newOrganization()
  const { token } = await t.invite(organization_id, {})
  const accept = (text: string) =>
    acceptInvitation(t.stranger(), { token: text, name: 'Grace', password: 'a new password' })
  await assert.rejects(accept('unknown'), unauthenticated)
  t.wait(7 * 24 * 3600)
  await assert.rejects(accept(token), unauthenticated)
})

test('whoever holds an invitation cannot set the password of an account that exists', async () => {
  const person = await t.newPerson()
  const second = await t.newOrganization()
  const { token } = await t.invite(second.organization_id, person)
  const accept = (password: string, credentials = {}) =>
    acceptInvitation(t.stranger({ credentials }), { token, name: 'Somebody', password })

  await assert.rejects(accept('the inviter’s choice'), unauthenticated)
  const stranger = await signIn(await t.newPerson())
  await assert.rejects(accept('the inviter’s choice', { bearer: stranger.access_token }), unauthenticated)
  await assert.rejects(login(t.stranger(), { email: person.email, password: 'the inviter’s choice' }), unauthenticated)

  const joined = await accept(person.password)
  assert.equal(joined.organization_id, second.organization_id)
  await signIn(person)
})

test('whoever is signed in accepts with that sign-in', async () => {
  const person = await t.newPerson()
  const second = await t.newOrganization()
  const { token } = await t.invite(second.organization_id, person)
  const { access_token } = await signIn(person)
  const ctx = t.stranger({ credentials: { bearer: access_token } })
  const joined = await acceptInvitation(ctx, { token, name: 'Somebody', password: 'does not matter here' })
  assert.equal(joined.organization_id, second.organization_id)
  await signIn(person)
})

const page = (token: string, fields?: Record<string, string>, headers: Record<string, string> = {}) => {
  const url = `https://flow.example/accept-invitation?token=${token}`
  const body = new URLSearchParams({ token, ...fields })
  const sent = { method: 'POST', body, headers: { origin: 'https://flow.example', ...headers } }
  return invitationPage(new Request(url, fields ? sent : {}), t.platform, address)
}

test('the page behind the link shows who invites whom, and a look at it accepts nothing', async () => {
  const { organization_id } = await t.newOrganization()
  const { token, email } = await t.invite(organization_id, {})
  for (let looks = 0; looks < 2; looks += 1) {
    const shown = await page(token)
    assert.equal(shown.status, 200)
    const text = await shown.text()
    assert.ok(text.includes(email) && text.includes('Choose a password'))
  }
  const joined = await page(token, { name: 'Hedy', password: 'a new password' })
  assert.equal(joined.status, 200)
  assert.ok((await joined.text()).includes(`as <strong>${email}</strong>`))
  assert.equal((await login(t.stranger(), { email, password: 'a new password' })).user.name, 'Hedy')
  assert.equal((await page(token)).status, 401)
})

test('the page asks whoever has an account for its password', async () => {
  const person = await t.newPerson()
  const second = await t.newOrganization()
  const { token } = await t.invite(second.organization_id, person)
  assert.ok((await (await page(token)).text()).includes('The password of your account'))
  assert.equal((await page(token, { name: 'X', password: 'the inviter’s choice' })).status, 401)
  assert.equal((await page(token, { name: 'X', password: person.password })).status, 200)
})

test('the page says what is missing and refuses forms from other sites', async () => {
  const { organization_id } = await t.newOrganization()
  const { token } = await t.invite(organization_id, {})
  const short = await page(token, { name: '', password: 'short' })
  assert.equal(short.status, 422)
  const text = await short.text()
  assert.ok(text.includes('at least 10 characters') && text.includes('name:'), text)
  const good = { name: 'Hedy', password: 'a new password' }
  assert.equal((await page(token, good, { origin: 'https://evil.example' })).status, 403)
  assert.equal((await page('unknown', good)).status, 401)
  assert.equal((await page(token, good)).status, 200)
})
