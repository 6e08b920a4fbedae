import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import type { Grant } from '@flow/contract/access'
import { sql } from '../db/db.ts'
import { Failure } from '../failure.ts'
import { listKeys, mintKey, newKeyText, revokeKey, revokeKeysOf } from '../keys/keys.ts'
import { login, token } from './auth.ts'
import { may } from './rules.ts'
import { type AuthTest, openAuthTest, type Person } from './testing.ts'
import { authenticate } from './who.ts'

let t: AuthTest
before(async () => {
  t = await openAuthTest()
})
after(() => t.close())

const address = '198.51.100.7'
const refusedWith = (code: string) => (error: unknown) => error instanceof Failure && error.code === code

async function actorOf(person: Person) {
  const tokens = await login(t.stranger(), { email: person.email, password: person.password })
  return authenticate(t.platform, { bearer: tokens.access_token, address })
}

async function keyOf(person: Person, wanted: Partial<Parameters<typeof mintKey>[1]> = {}) {
  return mintKey(t.contextOf(await actorOf(person)), { name: 'key', ...wanted })
}

test('a key acts for the user who made it, as X-API-Key and as bearer', async () => {
  const person = await t.newPerson('solution_builder')
  const made = await keyOf(person)
  for (const credentials of [{ api_key: made.key }, { bearer: made.key }]) {
    const actor = await authenticate(t.platform, { ...credentials, address })
    assert.equal(actor.kind, 'api_key')
    assert.equal(actor.id, made.id)
    assert.equal(actor.user_id, person.user_id)
    assert.equal(actor.organization_id, person.organization_id)
    assert.deepEqual(actor.grants, [{ role: 'solution_builder', scope: 'organization' }])
  }
})

test('the key goes before the token when both are sent', async () => {
  const [one, other] = [await t.newPerson(), await t.newPerson()]
  const made = await keyOf(one)
  const { access_token } = await login(t.stranger(), { email: other.email, password: other.password })
  const actor = await authenticate(t.platform, { api_key: made.key, bearer: access_token, address })
  assert.equal(actor.user_id, one.user_id)
  await assert.rejects(
    authenticate(t.platform, { api_key: 'fl_wrong', bearer: access_token, address }),
    refusedWith('UNAUTHENTICATED'),
  )
})

test('nothing, nonsense and well-formed keys that nobody made are refused', async () => {
  for (const credentials of [
    {},
    { api_key: '' },
    { api_key: 'x' },
    { bearer: 'x' },
    { bearer: 'a.b.c' },
    { api_key: newKeyText('standard') },
  ]) {
    await assert.rejects(authenticate(t.platform, { ...credentials, address }), refusedWith('UNAUTHENTICATED'))
  }
})

test('only the hash of a key is stored', async () => {
  const person = await t.newPerson()
  const made = await keyOf(person)
  const row = await t.database.platform.one<Record<string, unknown>>(
    sql`select k.*, k::text as text from api_keys k where id = ${made.id}`,
  )
  const secret = made.key.slice(made.prefix.length, -4)
  assert.ok(!JSON.stringify(row).includes(secret))
  assert.equal(made.last_four, made.key.slice(-4))
  assert.ok(!('key' in ((await listKeys(t.contextOf(await actorOf(person)), everything)).items[0] ?? {})))
})

test('a revoked key stops at once, on every replica', async () => {
  const person = await t.newPerson()
  const made = await keyOf(person)
  const replica = t.anotherReplica()
  await authenticate(replica, { api_key: made.key, address })

  const ctx = t.contextOf(await actorOf(person))
  assert.equal(await revokeKey(ctx, made.id), true)
  for (const platform of [t.platform, replica]) {
    await assert.rejects(authenticate(platform, { api_key: made.key, address }), refusedWith('UNAUTHENTICATED'))
  }
  assert.equal(await revokeKey(ctx, made.id), false)
  assert.equal((await listKeys(ctx, everything)).total, 0)
})

test('a key of another organization can be neither listed nor revoked', async () => {
  const [one, other] = [await t.newPerson(), await t.newPerson()]
  const made = await keyOf(one)
  const ctx = t.contextOf(await actorOf(other))
  assert.equal(await revokeKey(ctx, made.id), false)
  assert.equal((await listKeys(ctx, everything)).total, 0)
  await authenticate(t.platform, { api_key: made.key, address })
})

test('a key expires on the second', async () => {
  const person = await t.newPerson()
  const made = await keyOf(person, { expires_at: new Date(t.clock.at.getTime() + 60_000).toISOString() })
  t.wait(59)
  await authenticate(t.platform, { api_key: made.key, address })
  t.wait(1)
  await assert.rejects(authenticate(t.platform, { api_key: made.key, address }), refusedWith('UNAUTHENTICATED'))
})

test('a key falls with its maker: suspended, removed, demoted, and back again', async () => {
  const person = await t.newPerson()
  const made = await keyOf(person)
  const of = { user: person.user_id, organization: person.organization_id }
  const { platform: db } = t.database
  const status = (to: string) =>
    db.run(
      sql`update memberships set status = ${to} where user_id = ${of.user} and organization_id = ${of.organization}`,
    )

  await status('suspended')
  await assert.rejects(authenticate(t.platform, { api_key: made.key, address }), refusedWith('UNAUTHENTICATED'))
  await status('active')
  const before = await authenticate(t.platform, { api_key: made.key, address })
  assert.equal(may(before, 'users.write', { workspace_id: person.workspace_id }), true)

  await db.run(sql`update grants set role = 'viewer' where user_id = ${of.user}`)
  const demoted = await authenticate(t.platform, { api_key: made.key, address })
  assert.equal(may(demoted, 'users.write', { workspace_id: person.workspace_id }), false)

  await db.run(sql`delete from memberships where user_id = ${of.user}`)
  await assert.rejects(authenticate(t.platform, { api_key: made.key, address }), refusedWith('UNAUTHENTICATED'))
})

test('the keys of somebody who was removed do not come back with them', async () => {
  const person = await t.newPerson()
  const made = await keyOf(person)
  assert.equal(await revokeKeysOf(t.contextOf(await actorOf(person)), person.user_id), 1)
  await assert.rejects(authenticate(t.platform, { api_key: made.key, address }), refusedWith('UNAUTHENTICATED'))
})

test('nobody comes into a suspended organization, with a key or a token', async () => {
  const person = await t.newPerson()
  const made = await keyOf(person)
  const { access_token } = await login(t.stranger(), { email: person.email, password: person.password })
  await t.database.platform.run(sql`update organizations set status = 'suspended' where id = ${person.organization_id}`)
  for (const credentials of [{ api_key: made.key }, { bearer: access_token }]) {
    await assert.rejects(authenticate(t.platform, { ...credentials, address }), refusedWith('FORBIDDEN'))
  }
  await assert.rejects(
    login(t.stranger(), { email: person.email, password: person.password }),
    refusedWith('UNAUTHENTICATED'),
  )
})

test('a key cannot make a key that may more than itself', async () => {
  const person = await t.newPerson()
  const narrow = await keyOf(person, {
    scopes: ['organization.write', 'solutions.read'],
    workspace_id: person.workspace_id,
  })
  const ctx = t.contextOf(await authenticate(t.platform, { api_key: narrow.key, address }))

  await assert.rejects(mintKey(ctx, { name: 'wider', scopes: ['solutions.write'] }), refusedWith('FORBIDDEN'))
  await assert.rejects(mintKey(ctx, { name: 'elsewhere', workspace_id: crypto.randomUUID() }), refusedWith('FORBIDDEN'))
  const same = await mintKey(ctx, { name: 'same' })
  assert.deepEqual(same.scopes, narrow.scopes)
  assert.equal(same.workspace_id, person.workspace_id)
})

test('a service token and its access token may nothing on the platform', async () => {
  const person = await t.newPerson()
  const made = await keyOf(person, { kind: 'service' })
  const { access_token } = await token(t.stranger(), { api_key: made.key })
  for (const credentials of [{ api_key: made.key }, { bearer: access_token }]) {
    const actor = await authenticate(t.platform, { ...credentials, address })
    assert.equal(actor.kind, 'service_token')
    assert.equal(may(actor, 'solutions.read', { workspace_id: person.workspace_id }), false)
  }
})

test('the use of a key is noted, at most once a minute', async () => {
  const person = await t.newPerson()
  const made = await keyOf(person)
  // The note is written beside the request, so it is looked for until it is there.
  const isUsedAt = async (expected: string) => {
    for (let tries = 0; tries < 200; tries += 1) {
      const row = sql`select last_used_at from api_keys where id = ${made.id}`
      const { last_used_at } = await t.database.platform.one<{ last_used_at: string }>(row)
      if (last_used_at === expected) return true
      await new Promise((next) => setTimeout(next, 10))
    }
    return false
  }
  const use = () => authenticate(t.platform, { api_key: made.key, address })
  const first = t.clock.at.toISOString()
  await use()
  assert.ok(await isUsedAt(first))
  t.wait(30)
  await use()
  assert.ok(await isUsedAt(first))
  t.wait(31)
  await Promise.all([use(), use(), use()])
  assert.ok(await isUsedAt(t.clock.at.toISOString()))
})

test('grants with a scope arrive as the rules read them', async () => {
  const { organization_id, workspace_id } = await t.newOrganization()
  const grants: Grant[] = [{ role: 'solution_builder', scope: 'workspace', scope_id: workspace_id }]
  const { email } = await t.join(organization_id, { grants })
  const { access_token } = await login(t.stranger(), { email, password: 'correct horse battery' })
  const actor = await authenticate(t.platform, { bearer: access_token, address })
  assert.deepEqual(actor.grants, grants)
  assert.equal(may(actor, 'solutions.write', { workspace_id }), true)
})

const everything = { limit: 25, offset: 0, sort: 'created_at', order: 'desc' } as const
