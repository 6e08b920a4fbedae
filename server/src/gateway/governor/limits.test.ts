/** Limits of calls, as clients meet them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { newOrganization, testFlow } from '../../testing.ts'
import { call } from './governor-testing.ts'

const { clock } = await testFlow()

/** To the beginning of a minute: what is counted together stays together. */
const toNextMinute = () => clock.advance(60 - (clock.now().getTime() % 60_000) / 1_000)

for (const kind of ['organization', 'workspace', 'user', 'key', 'model'] as const) {
  test(`no more requests a minute are made than a limit of each ${kind} lets`, async () => {
    const { admin, alice } = await newOrganization()
    const limit = await alice.gateway.limits.create({ subject: { kind }, requests_per_minute: 5 })
    toNextMinute()
    const told = []
    for (let i = 0; i < 7; i += 1) told.push(await call(admin.api_key, { say: 'x' }))
    assert.deepEqual(
      told.map(({ status }) => status),
      [200, 200, 200, 200, 200, 429, 429],
    )
    const [first, refused] = [told[0], told[6]]
    assert.equal(first?.headers.get('x-ratelimit-limit-requests'), '5')
    assert.equal(told[4]?.headers.get('x-ratelimit-remaining-requests'), '0')
    assert.ok(Number(refused?.headers.get('retry-after')) > 30)
    assert.equal(refused?.headers.get('x-ratelimit-remaining-requests'), '0')
    assert.match(
      refused?.message ?? '',
      new RegExp(`limit of 5 requests a minute for .* is used up \\(limit ${limit.id}\\)`),
    )
    toNextMinute()
    assert.equal((await call(admin.api_key, { say: 'x' })).status, 200)
  })

  test(`no more calls are made at the same time than a limit of each ${kind} lets`, async () => {
    const { admin, alice } = await newOrganization()
    await alice.gateway.limits.create({ subject: { kind }, concurrent: 2 })
    const slow = () => call(admin.api_key, { say: 'x', delay_ms: 300 })
    const told = await Promise.all([1, 2, 3, 4, 5].map(slow))
    assert.deepEqual(told.map(({ status }) => status).toSorted(), [200, 200, 429, 429, 429])
    const refused = told.find(({ status }) => status === 429)
    assert.equal(refused?.headers.get('retry-after'), '1')
    assert.match(refused?.message ?? '', /limit of 2 calls at the same time/)
    assert.equal((await slow()).status, 200)
  })

  test(`no more tokens a minute are used than a limit of each ${kind} lets`, async () => {
    const { admin, alice } = await newOrganization()
    await alice.gateway.limits.create({ subject: { kind }, tokens_per_minute: 500 })
    toNextMinute()
    let used = 0
    let statuses: number[] = []
    for (let i = 0; i < 60; i += 1) {
      const told = await call(admin.api_key, { say: 'one two three' })
      statuses.push(told.status)
      used += Number(/"total_tokens":(\d+)/.exec(told.text)?.[1] ?? 0)
    }
    assert.equal(statuses[0], 200)
    assert.equal(statuses.at(-1), 429)
    assert.ok(used > 200 && used <= 500, String(used))
    toNextMinute()
    statuses = [(await call(admin.api_key, { say: 'x' })).status]
    assert.deepEqual(statuses, [200])
  })
}

test('answers that were kept count as requests, and need no tokens', async () => {
  const { admin, alice } = await newOrganization()
  await alice.gateway.limits.create({ subject: { kind: 'key' }, requests_per_minute: 3, tokens_per_minute: 40 })
  toNextMinute()
  const ask = () => call(admin.api_key, { say: 'one' }, { max_tokens: 16 }, undefined, { 'x-flow-cache-seconds': '60' })
  const told = []
  for (let i = 0; i < 5; i += 1) told.push(await ask())
  assert.deepEqual(
    told.map(({ status, headers }) => [status, headers.get('x-flow-cache')]),
    [
      [200, 'miss'],
      [200, 'hit'],
      [200, 'hit'],
      [429, null],
      [429, null],
    ],
  )
})

test('all limits that a call is subject to hold together, and others have their own', async () => {
  const { admin, alice, member } = await newOrganization()
  const bob = await member('solution_builder')
  await alice.gateway.limits.create({ subject: { kind: 'organization' }, requests_per_minute: 4 })
  await alice.gateway.limits.create({ subject: { kind: 'user', id: bob.user_id }, requests_per_minute: 1 })
  toNextMinute()
  const asked = [bob, bob, admin, admin, admin, admin]
  const statuses = []
  for (const { api_key } of asked) statuses.push((await call(api_key, { say: 'x' })).status)
  assert.deepEqual(statuses, [200, 429, 200, 200, 200, 429])
})

test('a limit that is changed holds for the next call, and one that is removed no longer', async () => {
  const { admin, alice } = await newOrganization()
  const status = async () => (await call(admin.api_key, { say: 'x' })).status
  const { id } = await alice.gateway.limits.create({ subject: { kind: 'key' }, requests_per_minute: 0 })
  toNextMinute()
  assert.equal(await status(), 429)
  await alice.gateway.limits.update({ limit_id: id, requests_per_minute: 2 })
  assert.deepEqual([await status(), await status(), await status()], [200, 200, 429])
  await alice.gateway.limits.remove({ limit_id: id })
  assert.equal(await status(), 200)
})

test('a target whose model is over its limit is passed over', async () => {
  const { admin, alice } = await newOrganization()
  await alice.gateway.limits.create({ subject: { kind: 'model', id: 'flow/scripted' }, requests_per_minute: 1 })
  const targets = ['scripted', 'echo'].map((model) => ({ provider: 'flow', model }))
  await alice.gateway.routes.create({ name: 'either', targets })
  toNextMinute()
  const models = []
  for (let i = 0; i < 3; i += 1) {
    models.push((await call(admin.api_key, 'hello', { model: 'either' })).headers.get('x-flow-model'))
  }
  assert.deepEqual(models, ['scripted', 'echo', 'echo'])
})

test('a client that goes away gives its place back', async () => {
  const { admin, alice } = await newOrganization()
  await alice.gateway.limits.create({ subject: { kind: 'user' }, concurrent: 1 })
  const { app } = await testFlow()
  const gone = new AbortController()
  const body = JSON.stringify({
    model: 'flow/scripted',
    messages: [{ role: 'user', content: '{"say":"x","hang_after":0}' }],
  })
  const headers = { authorization: `Bearer ${admin.api_key}`, 'content-type': 'application/json' }
  const url = 'http://flow.test/api/v1/gateway/v1/chat/completions'
  const left = app.direct
    .respond(new Request(url, { method: 'POST', body, headers, signal: gone.signal }))
    .catch(() => {})
  while ((await call(admin.api_key, { say: 'x' })).status === 200) await sleep(5)
  gone.abort()
  await left
  while ((await call(admin.api_key, { say: 'x' })).status === 429) await sleep(20)
})

test('what no waiting lets through is refused for good, and says how much it needs', async () => {
  const { admin, alice } = await newOrganization()
  const tokens = await alice.gateway.limits.create({ subject: { kind: 'user' }, tokens_per_minute: 500 })
  const long = await call(admin.api_key, 'word '.repeat(1_000), { max_tokens: 100 })
  const { status, headers, message } = long
  assert.deepEqual([status, headers.get('x-should-retry'), headers.get('retry-after')], [429, 'false', null])
  assert.match(message, /needs \d{4} tokens at least, .* is 500 tokens a minute \(limit .*Ask for less, or raise/)
  await alice.gateway.limits.remove({ limit_id: tokens.id })

  for (const none of [{ requests_per_minute: 0 }, { concurrent: 0 }]) {
    const limit = await alice.gateway.limits.create({ subject: { kind: 'user' }, ...none })
    const told = await call(admin.api_key, { say: 'x' })
    assert.deepEqual([told.status, told.headers.get('x-should-retry')], [429, 'false'])
    await alice.gateway.limits.remove({ limit_id: limit.id })
  }
  assert.equal((await call(admin.api_key, { say: 'x' })).status, 200)
})
