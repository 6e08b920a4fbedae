import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonValue } from '@flow/contract/common'
import { FlowError, type PlatformClient } from '@flow/sdk'
import { newOrganization, testFlow } from '../testing.ts'
import { ENTRIES_MAX, forgetStates, SCOPE_MAX } from './state.ts'

const made = async (alice: PlatformClient, config: Record<string, JsonValue> = {}, slug = 'memory') =>
  (await alice.states.create({ name: slug, slug, config })).id

const refused = (code: string, field?: string) => (error: unknown) => {
  assert.ok(error instanceof FlowError, String(error))
  assert.equal(error.code, code, error.message)
  if (field) assert.deepEqual([...new Set(error.details.map((detail) => detail.field))], [field])
  return true
}

test('what is written is read again, by scope and key', async () => {
  const { alice, admin } = await newOrganization()
  const component_id = await made(alice, { persistence: 'long_term' })
  const at = { component_id, scope: 'customer:42/a b', key: 'last order' }

  const first = await alice.state.put({ ...at, value: { id: 7, lines: [null, 'ä'] } })
  const second = await alice.state.put({ ...at, value: null })
  await alice.state.put({ ...at, key: 'other', value: 1 })

  assert.equal(first.version, 1)
  assert.equal(first.expires_at, null)
  assert.equal(first.updated_by, admin.user_id)
  assert.deepEqual(await alice.state.get(at), second)
  assert.deepEqual([second.value, second.version, second.created_at], [null, 2, first.created_at])
  const scope = await alice.state.getScope({ component_id, scope: at.scope })
  assert.deepEqual(scope.values, { 'last order': null, other: 1 })
  assert.deepEqual(scope.versions, { 'last order': 2, other: 3 })
  await alice.state.remove(at)
  await assert.rejects(alice.state.get(at), refused('NOT_FOUND'))
  await assert.rejects(alice.state.remove(at), refused('NOT_FOUND'))
  const { items } = await alice.state.listScopes({ component_id, search: 'customer' })
  assert.deepEqual(
    items.map(({ scope, entries, characters }) => [scope, entries, characters]),
    [[at.scope, 1, 1]],
  )
  await alice.state.clear({ component_id, scope: at.scope })
  await assert.rejects(alice.state.clear({ component_id, scope: at.scope }), refused('NOT_FOUND'))
  assert.equal((await alice.state.listScopes({ component_id })).total, 0)
})

test('initial values are read until something is written', async () => {
  const { alice } = await newOrganization()
  const component_id = await made(alice, { initial_values: { count: 0, name: 'new' } })
  const at = { component_id, scope: 's', key: 'count' }

  const initial = await alice.state.get(at)

  assert.deepEqual([initial.value, initial.version, initial.updated_at], [0, 0, null])
  await alice.state.put({ ...at, value: 5, version: 0 })
  const { values, versions } = await alice.state.getScope({ component_id, scope: 's' })
  assert.deepEqual(
    [values, versions],
    [
      { count: 5, name: 'new' },
      { count: 1, name: 0 },
    ],
  )
  await alice.state.remove(at)
  assert.equal((await alice.state.get(at)).value, 0)
})

test('of many who write on what they have read, one succeeds', async () => {
  const { alice } = await newOrganization()
  const component_id = await made(alice)
  const at = { component_id, scope: 's', key: 'k' }
  const writers = async (put: (value: number) => Promise<{ version: number }>) => {
    const tries = await Promise.allSettled(Array.from({ length: 10 }, (_, i) => put(i)))
    const good = tries.filter((one) => one.status === 'fulfilled')
    for (const one of tries) if (one.status === 'rejected') refused('PRECONDITION_FAILED')(one.reason)
    assert.equal(good.length, 1)
  }

  await writers((value) => alice.state.put({ ...at, value, version: 0 }))
  const { version } = await alice.state.get(at)
  await writers((value) => alice.state.put({ ...at, value, version }))

  const { fetch } = await testFlow()
  const { admin, alice: bob } = await newOrganization()
  const theirs = await made(bob)
  await bob.state.put({ ...at, component_id: theirs, value: 1 })
  const read = await fetch(`/api/v1/components/${theirs}/state/s/k`, { headers: { 'x-api-key': admin.api_key } })
  const if_match = read.headers.get('etag') ?? ''
  await writers((value) => bob.state.put({ ...at, component_id: theirs, value: value + 10 }, { if_match }))
})

test('a counter that many raise at once, each again until it succeeds, counts them all', async () => {
  const { alice } = await newOrganization()
  const component_id = await made(alice, { initial_values: { n: 0 } })
  const at = { component_id, scope: 's', key: 'n' }
  const raise = async () => {
    for (;;) {
      const { value, version } = await alice.state.get(at)
      try {
        return await alice.state.put({ ...at, value: Number(value) + 1, version })
      } catch (error) {
        refused('PRECONDITION_FAILED')(error)
      }
    }
  }

  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let i = 0; i < 5; i += 1) await raise()
    }),
  )

  assert.equal((await alice.state.get(at)).value, 40)
})

test('a version that was given out is never given out again', async () => {
  const { alice } = await newOrganization()
  const { clock } = await testFlow()
  const component_id = await made(alice, { session_seconds: 60 })
  const at = { component_id, scope: 's', key: 'k' }
  const seen = [(await alice.state.put({ ...at, value: 1 })).version]

  await alice.state.remove(at)
  seen.push((await alice.state.put({ ...at, value: 1 })).version)
  await alice.state.clear({ component_id, scope: 's' })
  seen.push((await alice.state.put({ ...at, value: 1 })).version)
  clock.advance(61)
  seen.push((await alice.state.put({ ...at, value: 1 })).version)

  assert.equal(new Set(seen).size, 4, seen.join())
  for (const version of seen.slice(0, -1)) {
    await assert.rejects(alice.state.put({ ...at, value: 2, version }), refused('PRECONDITION_FAILED'))
    await assert.rejects(alice.state.remove({ ...at, version }), refused('PRECONDITION_FAILED'))
  }
})

test('a session is gone when nobody wrote for its time, and begins anew', async () => {
  const { alice } = await newOrganization()
  const { clock, platform } = await testFlow()
  const component_id = await made(alice, { session_seconds: 100, initial_values: { step: 'first' } })
  const at = { component_id, scope: 's' }
  await alice.state.put({ ...at, key: 'step', value: 'second' })
  await alice.state.put({ ...at, key: 'old', value: true })
  clock.advance(99)
  await alice.state.put({ ...at, key: 'step', value: 'third' })
  clock.advance(99)
  assert.equal((await alice.state.get({ ...at, key: 'old' })).value, true)

  clock.advance(2)

  await assert.rejects(alice.state.get({ ...at, key: 'old' }), refused('NOT_FOUND'))
  assert.deepEqual((await alice.state.getScope(at)).values, { step: 'first' })
  assert.equal((await alice.state.listScopes({ component_id })).total, 0)
  await alice.state.put({ ...at, key: 'new', value: 1 })
  assert.deepEqual((await alice.state.getScope(at)).values, { step: 'first', new: 1 })
  await forgetStates(platform)
  assert.deepEqual((await alice.state.getScope(at)).values, { step: 'first', new: 1 })
  clock.advance(101)
  await forgetStates(platform)
  assert.deepEqual((await alice.state.getScope(at)).values, { step: 'first' })
})

test('a value that does not fit, a component that keeps nothing and one that is archived are refused', async () => {
  const { alice } = await newOrganization()
  const schema_definition = {
    type: 'object',
    properties: { count: { $ref: '#/$defs/count' }, tags: { type: 'array', uniqueItems: true } },
    required: ['count'],
    additionalProperties: false,
    $defs: { count: { type: 'integer', minimum: 0 } },
  }
  const component_id = await made(alice, { schema_definition })
  const put = (key: string, value: unknown, id = component_id) =>
    alice.state.put({ component_id: id, scope: 's', key, value: value as never })

  await put('tags', ['a'])
  await assert.rejects(put('count', -1), refused('VALIDATION_ERROR', 'value'))
  await assert.rejects(put('tags', ['a', 'a']), refused('VALIDATION_ERROR', 'value'))
  await assert.rejects(put('other', 1), refused('VALIDATION_ERROR', 'value'))
  await assert.rejects(put('\n', 1), refused('NOT_FOUND'))
  const none = await made(alice, { persistence: 'none' }, 'nothing')
  await assert.rejects(put('a', 1, none), refused('CONFLICT'))
  await alice.components.archive({ component_id, reason: 'Done.' })
  await assert.rejects(put('count', 1), refused('CONFLICT'))
  assert.deepEqual((await alice.state.getScope({ component_id, scope: 's' })).values, { tags: ['a'] })
  const block = await alice.codeBlocks.create({
    name: 'Block',
    slug: 'block',
    config: { language: 'javascript', code: 'export const main = () => 1' },
  })
  await assert.rejects(put('a', 1, block.id), refused('NOT_FOUND'))
})

test('a scope has its limits, whoever writes at once', async () => {
  const { alice } = await newOrganization()
  const component_id = await made(alice)
  const value = 'x'.repeat(256 * 1024 - 2)
  const put = (scope: string, key: string, value: string) => alice.state.put({ component_id, scope, key, value })
  await assert.rejects(put('s', 'k', `${value}x`), refused('VALIDATION_ERROR', 'value'))

  const room = SCOPE_MAX / (256 * 1024)
  const tries = await Promise.allSettled(Array.from({ length: room + 3 }, (_, i) => put('s', `k${i}`, value)))

  assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, room)
  for (const one of tries) if (one.status === 'rejected') refused('CONFLICT')(one.reason)
  const [scope] = (await alice.state.listScopes({ component_id })).items
  assert.deepEqual([scope?.entries, scope?.characters], [room, SCOPE_MAX])
  assert.equal(ENTRIES_MAX, 1000)
})

test("state is found by nobody else's organization or workspace, and goes with its component", async () => {
  const { alice } = await newOrganization()
  const { alice: stranger } = await newOrganization()
  const other = await alice.organizations.createWorkspace({ name: 'Other', slug: 'other' })
  const component_id = await made(alice)
  const at = { component_id, scope: 's', key: 'k' }
  const scope = { component_id, scope: 's' }
  await alice.state.put({ ...at, value: 'mine' })

  for (const call of [
    () => stranger.state.get(at),
    () => stranger.state.put({ ...at, value: 'theirs' }),
    () => stranger.state.getScope(scope),
    () => stranger.state.listScopes({ component_id }),
    () => stranger.state.clear(scope),
    () => stranger.state.remove(at),
    () => alice.state.get(at, { workspace_id: other.id }),
  ]) {
    await assert.rejects(call(), refused('NOT_FOUND'))
  }

  assert.equal((await alice.state.get(at)).value, 'mine')
  await alice.components.remove({ component_id })
  await assert.rejects(alice.state.get(at), refused('NOT_FOUND'))
})
