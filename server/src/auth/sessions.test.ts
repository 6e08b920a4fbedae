import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import type { Tokens } from '@flow/contract/auth'
import { hash } from '@node-rs/argon2'
import { sql } from '../db/db.ts'
import { Failure } from '../failure.ts'
import { fingerprintOf, mintKey } from '../keys/keys.ts'
import { authenticate, login, logout, refresh, token, whoami } from './auth.ts'
import { hashPassword, isOutdated, verifyPassword } from './passwords.ts'
import { type AuthTest, openAuthTest, PASSWORD, type Person } from './testing.ts'

let t: AuthTest
before(async () => {
  t = await openAuthTest()
})
after(() => t.close())

const address = '198.51.100.7'
const refusedWith =
  (code: string, message = /./) =>
  (error: unknown) =>
    error instanceof Failure && error.code === code && message.test(error.message)
const unauthenticated = refusedWith('UNAUTHENTICATED')

const signIn = (person: Person, from = address) =>
  login(t.stranger({ address: from }), { email: person.email, password: person.password })
const asBearer = ({ access_token }: Pick<Tokens, 'access_token'>) =>
  authenticate(t.platform, { bearer: access_token, address })
const renew = ({ refresh_token }: Tokens, organization_id?: string) =>
  refresh(t.stranger(), { refresh_token, organization_id })
const guess = (email: string, from = address) =>
  login(t.stranger({ address: from }), { email, password: 'a wrong password' })

/** An address of its own for each test, so that none is slowed down by another. */
const newAddress = () => `10.${[...crypto.getRandomValues(new Uint8Array(3))].join('.')}`

test('e-mail and password give tokens for fifteen minutes and who it is', async () => {
  const person = await t.newPerson()
  const tokens = await signIn(person)
  assert.equal(tokens.token_type, 'Bearer')
  assert.equal(tokens.expires_in, 900)
  assert.equal(tokens.organization_id, person.organization_id)
  assert.deepEqual(tokens.user, { id: person.user_id, email: person.email, name: 'Somebody' })
  const actor = await asBearer(tokens)
  const who = await whoami(t.contextOf(actor, person.workspace_id), {})
  assert.equal(who.organization.id, person.organization_id)
  assert.ok(who.permissions.includes('users.write'))
})

test('a wrong password, an unknown address and an account without a password get the same answer', async () => {
  const person = await t.newPerson()
  const { organization_id } = await t.newOrganization()
  const { email } = await t.join(organization_id, { password_hash: null })
  const answers: string[] = []
  for (const each of [person.email, 'nobody@example.com', email]) {
    await guess(each, newAddress()).catch((error: Failure) => answers.push(`${error.code} ${error.message}`))
  }
  assert.deepEqual([...new Set(answers)], ['UNAUTHENTICATED E-mail or password is wrong.'])
  assert.equal(answers.length, 3)
})

test('only an active member of an active organization signs in, and nobody into an organization of others', async () => {
  const person = await t.newPerson()
  const other = await t.newPerson()
  const into = (organization_id: string) => login(t.stranger(), { ...person, organization_id })
  await assert.rejects(into(other.organization_id), unauthenticated)
  const update = (status: string) =>
    t.database.platform.run(sql`update memberships set status = ${status} where user_id = ${person.user_id}`)
  for (const status of ['suspended', 'invited']) {
    await update(status)
    await assert.rejects(signIn(person), unauthenticated)
  }
  await update('active')
  await signIn(person)
})

test('a person in several organizations signs in where they say, else where they joined first', async () => {
  const person = await t.newPerson()
  t.wait(1)
  const second = await t.newOrganization()
  await t.join(second.organization_id, { ...person, role: 'viewer' })
  assert.equal((await signIn(person)).organization_id, person.organization_id)
  const there = await login(t.stranger(), { ...person, organization_id: second.organization_id })
  assert.deepEqual((await asBearer(there)).grants, [{ role: 'viewer', scope: 'organization' }])

  const back = await renew(there, person.organization_id)
  assert.equal((await asBearer(back)).organization_id, person.organization_id)
  // The access token from before is still for the other one, for as long as it lives.
  assert.equal((await asBearer(there)).organization_id, second.organization_id)
  const nowhere = await t.newOrganization()
  await assert.rejects(renew(back, nowhere.organization_id), unauthenticated)
})

test('a refresh token gives new tokens once; the second use ends the sign-in with all its tokens', async () => {
  const person = await t.newPerson()
  const first = await signIn(person)
  const second = await renew(first)
  const third = await renew(second)
  await asBearer(third)

  await assert.rejects(renew(first), refusedWith('UNAUTHENTICATED', /used before/))
  for (const tokens of [first, second, third]) {
    await assert.rejects(renew(tokens), unauthenticated)
    await assert.rejects(asBearer(tokens), unauthenticated)
  }
  await asBearer(await signIn(person))
})

test('of two refreshes with one token at the same moment one ends the sign-in', async () => {
  const person = await t.newPerson()
  const tokens = await signIn(person)
  const outcomes = await Promise.allSettled([renew(tokens), renew(tokens), renew(tokens)])
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') await assert.rejects(renew(outcome.value), unauthenticated)
  }
  await assert.rejects(asBearer(tokens), unauthenticated)
})

test('a refresh that is refused for another reason does not use the token up', async () => {
  const person = await t.newPerson()
  const tokens = await signIn(person)
  const status = (to: string) =>
    t.database.platform.run(sql`update memberships set status = ${to} where user_id = ${person.user_id}`)
  await status('suspended')
  await assert.rejects(renew(tokens), unauthenticated)
  await status('active')
  await renew(tokens)
})

test('a refresh token lives thirty days, and each use prolongs the sign-in', async () => {
  const person = await t.newPerson()
  let tokens = await signIn(person)
  const day = 24 * 3600
  for (let i = 0; i < 3; i += 1) {
    t.wait(29 * day)
    tokens = await renew(tokens)
  }
  t.wait(30 * day)
  await assert.rejects(renew(tokens), unauthenticated)
})

test('signing out ends the access token and the refresh token at once, on every replica', async () => {
  const person = await t.newPerson()
  const [here, there] = [await signIn(person), await signIn(person)]
  const replica = t.anotherReplica()
  await authenticate(replica, { bearer: here.access_token, address })

  await logout(t.contextOf(await asBearer(here)), { everywhere: false })
  await assert.rejects(authenticate(replica, { bearer: here.access_token, address }), unauthenticated)
  await assert.rejects(asBearer(here), unauthenticated)
  await assert.rejects(renew(here), unauthenticated)
  await asBearer(there)
})

test('signing out everywhere ends all sign-ins of the person and nobody else’s', async () => {
  const [person, other] = [await t.newPerson(), await t.newPerson()]
  const mine = [await signIn(person), await signIn(person)]
  const theirs = await signIn(other)
  await logout(t.contextOf(await asBearer(mine[0] as Tokens)), { everywhere: true })
  for (const tokens of mine) await assert.rejects(asBearer(tokens), unauthenticated)
  await asBearer(theirs)
})

test('a key has no sign-in to end', async () => {
  const person = await t.newPerson()
  const { key } = await mintKey(t.contextOf(await asBearer(await signIn(person))), { name: 'key' })
  const actor = await authenticate(t.platform, { api_key: key, address })
  await assert.rejects(logout(t.contextOf(actor), { everywhere: true }), refusedWith('CONFLICT'))
})

test('a key is exchanged for an access token that may no more than the key, and ends with it', async () => {
  const person = await t.newPerson()
  const ctx = t.contextOf(await asBearer(await signIn(person)))
  const made = await mintKey(ctx, { name: 'key', scopes: ['solutions.read'], workspace_id: person.workspace_id })
  const ways = [
    await token(t.stranger(), { api_key: made.key }),
    await token(t.stranger({ credentials: { api_key: made.key } }), {}),
    await token(t.stranger({ credentials: { bearer: made.key } }), {}),
  ]
  for (const tokens of ways) {
    const actor = await asBearer(tokens)
    assert.equal(actor.kind, 'api_key')
    assert.equal(actor.id, made.id)
    assert.deepEqual(actor.scopes, ['solutions.read'])
    assert.equal(actor.workspace_id, person.workspace_id)
    assert.ok(!('refresh_token' in tokens))
  }
  await t.database.platform.run(sql`update api_keys set revoked_at = now() where id = ${made.id}`)
  for (const tokens of ways) await assert.rejects(asBearer(tokens), unauthenticated)
  for (const wrong of [{}, { api_key: 'fl_x' }, { api_key: made.key }]) {
    await assert.rejects(token(t.stranger(), wrong), unauthenticated)
  }
})

test('guessing is slowed down for the address that guesses, and the owner still comes in from theirs', async () => {
  const person = await t.newPerson()
  const [thief, owner] = [newAddress(), newAddress()]
  for (let i = 0; i < 5; i += 1) await assert.rejects(guess(person.email, thief), unauthenticated)
  const slowed = await guess(person.email, thief).catch((error: Failure) => error)
  assert.ok(slowed instanceof Failure && slowed.code === 'RATE_LIMITED')
  assert.equal(slowed.retry_after_seconds, 1)
  // Even the right password is not looked at.
  await assert.rejects(signIn(person, thief), refusedWith('RATE_LIMITED'))
  await signIn(person, owner)

  t.wait(1)
  await assert.rejects(guess(person.email, thief), unauthenticated)
  t.wait(1)
  await assert.rejects(guess(person.email, thief), refusedWith('RATE_LIMITED'))
  t.wait(1)
  await signIn(person, thief)
  await assert.rejects(guess(person.email, thief), unauthenticated)
  await signIn(person, thief)
})

test('an unknown address is slowed down just as a known one', async () => {
  const from = newAddress()
  for (let i = 0; i < 5; i += 1) await assert.rejects(guess('nobody-here@example.com', from), unauthenticated)
  await assert.rejects(guess('nobody-here@example.com', from), refusedWith('RATE_LIMITED'))
})

test('one address that tries many accounts is slowed down for all of them', async () => {
  const from = newAddress()
  for (let i = 0; i < 30; i += 1) await assert.rejects(guess(`victim-${i}@example.com`, from), unauthenticated)
  await assert.rejects(guess('victim-30@example.com', from), refusedWith('RATE_LIMITED'))
  const person = await t.newPerson()
  await assert.rejects(signIn(person, from), refusedWith('RATE_LIMITED'))
  t.wait(1)
  await signIn(person, from)
})

test('guesses at the same moment count as many', async () => {
  const from = newAddress()
  const guesses = Array.from({ length: 20 }, () => guess('crowd@example.com', from))
  const outcomes = await Promise.allSettled(guesses)
  const looked = outcomes.filter(
    ({ status, ...rest }) => status === 'rejected' && (rest as { reason: Failure }).reason.code === 'UNAUTHENTICATED',
  )
  assert.equal(looked.length, 5)
})

test('many addresses against one account slow each other down, and never the owner at a usual address', async () => {
  const person = await t.newPerson()
  const home = newAddress()
  await signIn(person, home)
  for (let i = 0; i < 50; i += 1) await assert.rejects(guess(person.email, `192.0.2.${i}`), unauthenticated)
  const slowed = await guess(person.email, '192.0.2.99').catch((error: Failure) => error)
  assert.ok(slowed instanceof Failure && slowed.code === 'RATE_LIMITED')
  assert.ok((slowed.retry_after_seconds ?? 99) <= 30)
  await signIn(person, home)
  t.wait(30)
  await signIn(person, '192.0.2.100')
})

test('the slow-down survives a restart and holds for every replica', async () => {
  const from = newAddress()
  for (let i = 0; i < 5; i += 1) await assert.rejects(guess('replica@example.com', from), unauthenticated)
  const elsewhere = { ...t.stranger({ address: from }), platform: t.anotherReplica() }
  await assert.rejects(login(elsewhere, { email: 'replica@example.com', password: 'x' }), refusedWith('RATE_LIMITED'))
  const rows = await t.database.platform.many(sql`select encode(subject, 'escape') as subject from sign_in_failures`)
  assert.ok(!JSON.stringify(rows).includes('replica'))
})

test('nothing that opens a door is stored in the clear', async () => {
  const person = await t.newPerson()
  const tokens = await signIn(person)
  const rows = await t.database.platform.many(sql`
    select row_to_json(s)::text as text from sessions s
    union all select row_to_json(r)::text from refresh_tokens r
    union all select row_to_json(u)::text from users u`)
  const stored = JSON.stringify(rows)
  for (const secret of [tokens.refresh_token, tokens.access_token, person.password]) assert.ok(!stored.includes(secret))
  assert.ok(stored.includes(fingerprintOf(tokens.refresh_token).toString('hex')))
})

test('an organization’s own session sees no refresh token, no signing key and nobody else’s sign-ins', async () => {
  const [person, other] = [await t.newPerson(), await t.newPerson()]
  await signIn(person)
  await signIn(other)
  const db = t.database.of(person.organization_id)
  for (const table of ['refresh_tokens', 'signing_keys', 'sign_in_failures'] as const) {
    assert.equal((await db.many({ text: `select * from ${table}`, values: [] })).length, 0, table)
  }
  const sessions = await db.many<{ user_id: string }>(sql`select user_id from sessions`)
  assert.deepEqual([...new Set(sessions.map(({ user_id }) => user_id))], [person.user_id])
})

test('sign-ins and refusals stand in the audit log of the organization', async () => {
  const person = await t.newPerson()
  await assert.rejects(guess(person.email), unauthenticated)
  const tokens = await signIn(person)
  await renew(tokens)
  await assert.rejects(renew(tokens), unauthenticated)
  const events = sql`
    select event_type, outcome from audit_events where organization_id = ${person.organization_id}
    order by "timestamp", event_id`
  let seen: unknown[] = []
  // The refused sign-in is noted beside its answer.
  for (let tries = 0; tries < 200 && seen.length < 3; tries += 1) seen = await t.database.platform.many(events)
  assert.deepEqual(
    new Set(seen.map((event) => JSON.stringify(event))),
    new Set([
      JSON.stringify({ event_type: 'auth.login', outcome: 'failure' }),
      JSON.stringify({ event_type: 'auth.login', outcome: 'success' }),
      JSON.stringify({ event_type: 'auth.refresh', outcome: 'failure' }),
    ]),
  )
})

test('a password is one whatever keyboard composes it, and counts to its last byte', async () => {
  const stored = await hashPassword('Zoe\u0308 had ten letters')
  assert.equal(await verifyPassword(stored, 'Zo\u00eb had ten letters'), true)
  assert.equal(await verifyPassword(stored, 'Zoe had ten letters'), false)
  const long = await hashPassword('x'.repeat(1024))
  assert.equal(await verifyPassword(long, 'x'.repeat(1024)), true)
  assert.equal(await verifyPassword(long, 'x'.repeat(1023)), false)
  assert.equal(await verifyPassword(long, 'x'.repeat(1025)), false)
  for (const nothing of [null, undefined]) assert.equal(await verifyPassword(nothing, 'x'.repeat(1024)), false)
})

test('a wave of sign-ins waits in a bounded line, and who does not fit is told to come again', async () => {
  const outcomes = await Promise.allSettled(Array.from({ length: 100 }, () => verifyPassword(null, 'wave')))
  const turnedAway = outcomes.filter(({ status }) => status === 'rejected')
  assert.equal(turnedAway.length, 34)
  for (const outcome of turnedAway) {
    assert.ok(
      outcome.status === 'rejected' && outcome.reason instanceof Failure && outcome.reason.code === 'UNAVAILABLE',
    )
  }
  assert.equal(await verifyPassword(await hashPassword('after the wave'), 'after the wave'), true)
})

test('a password hashed at yesterday’s cost is hashed again at the next sign-in', async () => {
  const person = await t.newPerson()
  const cheap = await hash(PASSWORD, { memoryCost: 8192, timeCost: 1 })
  await t.database.platform.run(sql`update users set password_hash = ${cheap} where id = ${person.user_id}`)
  assert.equal(isOutdated(cheap), true)
  await signIn(person)
  const { password_hash } = await t.database.platform.one<{ password_hash: string }>(
    sql`select password_hash from users where id = ${person.user_id}`,
  )
  assert.equal(isOutdated(password_hash), false)
  await signIn(person)
})

test('what has expired is swept', async () => {
  const person = await t.newPerson()
  await signIn(person)
  const count = async () =>
    (
      await t.database.platform.one<{ n: number }>(
        sql`select count(*)::int as n from sessions where user_id = ${person.user_id}`,
      )
    ).n
  assert.equal(await count(), 1)
  t.wait(31 * 24 * 3600)
  await signIn(await t.newPerson())
  let left = 1
  for (let tries = 0; tries < 200 && left > 0; tries += 1) left = await count()
  assert.equal(left, 0)
})
