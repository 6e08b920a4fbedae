/** Calls as they are traced, told through the SDK and with calls as clients make them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GatewayCallSummary } from '@flow/contract/gateway-calls'
import type { PlatformClient } from '@flow/sdk'
import { newId } from '../../context.ts'
import { sql } from '../../db/db.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import { until } from '../../workflows/testing.ts'
import { openUpstream } from '../call/upstream-testing.ts'
import { forgetCalls } from './retention.ts'

const DAY = 86_400
const { platform, clock, fetch } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })

const say = (content: string, more: object = {}) => ({
  model: 'flow/echo',
  messages: [{ role: 'user', content }],
  ...more,
})
const scripted = (script: object, more: object = {}) => say(JSON.stringify(script), { model: 'flow/scripted', ...more })

const ask = (api_key: string, body: object, headers: Record<string, string> = {}, path = 'chat/completions') =>
  fetch(`/api/v1/gateway/v1/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'x-api-key': api_key, 'content-type': 'application/json', ...headers },
  })
/** Answered to its end; gives the request's id. */
async function asked(...given: Parameters<typeof ask>): Promise<string> {
  const response = await ask(...given)
  await response.text()
  return response.headers.get('x-request-id') ?? ''
}
/** The call, as soon as it is written. */
async function callOf(client: PlatformClient, request_id: string): Promise<GatewayCallSummary> {
  const { items } = await until(
    () => client.gateway.calls.list({ request_id }),
    ({ total }) => total > 0,
  )
  assert.equal(items.length, 1)
  return items[0] ?? assert.fail()
}
const read = async (client: PlatformClient, request_id: string) =>
  client.gateway.calls.get({ call_id: (await callOf(client, request_id)).id })

test('a call is traced with who called, who answered, what it used and what was said', async () => {
  const { alice, admin, workspace_id } = await newOrganization()
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
  const request_id = await asked(admin.api_key, say('12345678'), { traceparent })

  const call = await read(alice, request_id)
  assert.deepEqual(
    [call.workspace_id, call.user_id, call.mouth, call.model, call.provider, call.provider_model],
    [workspace_id, admin.user_id, 'chat', 'flow/echo', 'flow', 'echo'],
  )
  assert.ok(call.key_id)
  assert.deepEqual(
    [call.status, call.http_status, call.error, call.is_stream, call.cache, call.is_estimated, call.credits],
    ['completed', 200, null, false, 'off', false, 0],
  )
  assert.deepEqual(call.usage, {
    input_tokens: 2,
    cached_tokens: 0,
    cache_written_tokens: 0,
    output_tokens: 2,
    reasoning_tokens: 0,
  })
  const [attempt, ...others] = call.attempts
  assert.deepEqual(
    [attempt?.provider, attempt?.model, attempt?.http_status, attempt?.fault],
    ['flow', 'echo', 200, null],
  )
  assert.equal(others.length, 0)
  assert.ok((attempt?.started_ms ?? -1) >= 0 && (attempt?.duration_ms ?? -1) >= 0)
  assert.ok((call.first_chunk_ms ?? -1) >= 0 && call.duration_ms >= (call.first_chunk_ms ?? 0))
  assert.equal(call.traceparent, traceparent)
  assert.equal(Date.parse(call.expires_at) - Date.parse(call.started_at), 30 * DAY * 1000)
  assert.equal(call.content, 'kept')
  assert.deepEqual(call.request, say('12345678'))
  const answer = call.answer as { choices: { message: { content: string } }[] }
  assert.equal(answer.choices[0]?.message.content, '12345678')
})

test('a stream is kept as the text of its events, whole characters where the provider cut them', async () => {
  const { alice, admin } = await newOrganization()
  const request_id = await asked(admin.api_key, scripted({ say: 'häßlich 🙂', split: true }, { stream: true }))

  const call = await read(alice, request_id)
  assert.equal(call.is_stream, true)
  const { stream } = call.answer as { stream: string }
  assert.ok(stream.startsWith('data: {') && stream.endsWith('data: [DONE]\n\n'))
  assert.ok(stream.includes('🙂') && !stream.includes('\ufffd'))
})

test('calls that fail, are refused, break or are left are traced, each with how it ended', async () => {
  const { alice, admin } = await newOrganization()
  const failed = await asked(admin.api_key, scripted({ status: 400, message: 'Nothing for me.', code: 'odd' }))
  const refused = await asked(admin.api_key, say('x', { model: 'nobody/none' }))
  const broken = await asked(admin.api_key, scripted({ say: 'a b c', cut_after: 2 }, { stream: true }))
  const leaving = new AbortController()
  const left = await fetch(
    new Request('http://flow.test/api/v1/gateway/v1/chat/completions', {
      method: 'POST',
      body: JSON.stringify(scripted({ say: 'a b c', hang_after: 2 }, { stream: true })),
      headers: { 'x-api-key': admin.api_key, 'content-type': 'application/json' },
      signal: leaving.signal,
    }),
  )
  const aborted = left.headers.get('x-request-id') ?? ''
  leaving.abort()

  const ends = await Promise.all([failed, refused, broken, aborted].map((request_id) => read(alice, request_id)))
  assert.deepEqual(
    ends.map(({ status, http_status }) => [status, http_status]),
    [
      ['failed', 400],
      ['refused', 404],
      ['failed', 200],
      ['aborted', 499],
    ],
  )
  const [first, second, third, fourth = assert.fail()] = ends
  assert.deepEqual([first?.error?.code, first?.error?.message], ['odd', 'Nothing for me.'])
  assert.equal(first?.attempts[0]?.fault, 'odd')
  assert.deepEqual([second?.provider, second?.attempts, second?.error?.code], [null, [], 'model_not_found'])
  assert.deepEqual(second?.request, say('x', { model: 'nobody/none' }))
  assert.ok((third?.usage.output_tokens ?? 0) > 0 && third?.is_estimated)
  assert.equal(fourth.error, null)
  assert.match((fourth.answer as { stream: string }).stream, /"content":"a "/)
  await asked(admin.api_key, say('fine'))
  const unwell = await alice.gateway.calls.list({ status: 'failed,refused,aborted' })
  assert.equal(unwell.total, 4)
})

test('what cannot be read, and who is not known, makes no call', async () => {
  const { alice, admin } = await newOrganization()
  await asked(admin.api_key, { messages: [] })
  await asked(`${admin.api_key}x`, say('x'))
  const request_id = await asked(admin.api_key, say('x'))
  await callOf(alice, request_id)
  assert.equal((await alice.gateway.calls.list()).total, 1)
})

test('an answer out of the cache is a call of its own, which nobody was asked for', async () => {
  const { alice, admin } = await newOrganization()
  const ids: string[] = []
  for (const _ of [1, 2]) ids.push(await asked(admin.api_key, say('again'), { 'x-flow-cache-seconds': '60' }))
  const [first, second] = await Promise.all(ids.map((request_id) => read(alice, request_id)))

  assert.deepEqual([first?.cache, first?.attempts.length], ['miss', 1])
  assert.deepEqual([second?.cache, second?.attempts, second?.provider_model], ['hit', [], 'echo'])
  assert.deepEqual(second?.answer, first?.answer)
  assert.equal((await alice.gateway.calls.list({ cache: 'hit' })).items[0]?.id, second?.id)
})

test('without keep_content what was said is kept nowhere', async () => {
  const { alice, admin, organization_id } = await newOrganization()
  await alice.gateway.settings.update({ keep_content: false })
  const whole = await asked(admin.api_key, say('a private word'))
  const streamed = await asked(admin.api_key, say('a private word', { stream: true }))

  for (const request_id of [whole, streamed]) {
    const call = await read(alice, request_id)
    assert.deepEqual([call.content, call.request, call.answer, call.status], ['none', null, null, 'completed'])
  }
  const db = platform.database.of(organization_id)
  const rows = await db.many<{ row: string }>(sql`
    select c::text as row from gateway_calls c union all select t::text from gateway_call_contents t`)
  assert.equal(rows.length, 2)
  assert.ok(rows.every(({ row }) => !row.includes('private')))
})

test('a content that is too long is left out, and the other one is kept', async () => {
  const { alice, admin } = await newOrganization()
  const long = await asked(admin.api_key, say('x'.repeat(1024 * 1024)))
  const call = await read(alice, long)
  assert.deepEqual([call.content, call.request, call.answer, call.usage.input_tokens], ['none', null, null, 262_144])

  const half = await asked(admin.api_key, scripted({ say: 'short' }, { metadata: { x: 'y'.repeat(1024 * 1024) } }))
  const { content, request, answer } = await read(alice, half)
  assert.deepEqual([content, request], ['kept', null])
  assert.ok(answer)
})

test('keys are in no trace', async () => {
  const { alice, admin, organization_id } = await newOrganization()
  await callOf(alice, await asked(admin.api_key, say('x'), { authorization: `Bearer ${admin.api_key}` }))
  const db = platform.database.of(organization_id)
  const rows = await db.many<{ row: string }>(sql`
    select c::text as row from gateway_calls c union all select t::text from gateway_call_contents t`)
  assert.ok(rows.every(({ row }) => !row.includes(admin.api_key)))
})

test('what was said is told to the one who called and to auditors; others who may read see the call alone', async () => {
  const { admin, member, alice } = await newOrganization()
  const [builder, viewer, auditor, manager] = await Promise.all([
    member('solution_builder'),
    member('viewer'),
    member('security_auditor'),
    member('billing_manager'),
  ])
  const request_id = await asked(builder.api_key, say('mine'))
  const { id: call_id } = await callOf(builder.client, request_id)
  const contentFor = async (client: PlatformClient) => {
    const { content, request } = await client.gateway.calls.get({ call_id })
    return [content, request !== null]
  }

  assert.deepEqual(await contentFor(builder.client), ['kept', true])
  assert.deepEqual(await contentFor(auditor.client), ['kept', true])
  assert.deepEqual(await contentFor(alice), ['kept', true])
  assert.deepEqual(await contentFor(viewer.client), ['withheld', false])
  await assert.rejects(manager.client.gateway.calls.list(), { code: 'FORBIDDEN' })
  await assert.rejects(manager.client.gateway.calls.get({ call_id }), { code: 'FORBIDDEN' })
  const others = await callOf(alice, await asked(admin.api_key, say('hers')))
  assert.equal((await builder.client.gateway.calls.get({ call_id: others.id })).content, 'withheld')
})

test('calls are their workspace’s; those with a role in the organization see all, others their own, strangers none', async () => {
  const { alice, admin, member, workspace_id } = await newOrganization()
  const { id: side } = await alice.organizations.createWorkspace({ name: 'Side', slug: 'side' })
  const here = await callOf(alice, await asked(admin.api_key, say('here')))
  await asked(admin.api_key, say('there'), { 'x-workspace-id': side })
  const { items } = await until(
    () => alice.gateway.calls.list({ workspace_id: side }),
    ({ total }) => total > 0,
  )
  const [there = assert.fail()] = items

  const idsFor = async (client: PlatformClient, workspace_id?: string) =>
    (await client.gateway.calls.list({ workspace_id, sort: 'started_at', order: 'asc' })).items.map(({ id }) => id)
  assert.deepEqual(await idsFor(alice), [here.id])
  assert.deepEqual(await idsFor(alice, 'all'), [here.id, there.id])
  const { client: bob } = await member({ role: 'viewer', scope: 'workspace', scope_id: workspace_id })
  assert.deepEqual(await idsFor(bob), [here.id])
  await assert.rejects(idsFor(bob, 'all'), { code: 'FORBIDDEN' })
  await assert.rejects(idsFor(bob, side), { code: 'FORBIDDEN' })
  await assert.rejects(bob.gateway.calls.get({ call_id: there.id }), { code: 'NOT_FOUND' })
  const stranger = await newOrganization()
  assert.deepEqual(await idsFor(stranger.alice, 'all'), [])
  assert.deepEqual(await idsFor(stranger.alice, workspace_id), [])
  await assert.rejects(stranger.alice.gateway.calls.get({ call_id: here.id }), { code: 'NOT_FOUND' })
})

test('calls are found by what they were, in any order and page by page', async () => {
  const { alice, admin, member } = await newOrganization()
  const bob = await member('solution_builder')
  const before = clock.now().toISOString()
  await alice.gateway.routes.create({ name: 'short-cut', targets: [{ provider: 'flow', model: 'echo' }] })
  const short = await callOf(alice, await asked(admin.api_key, say('x', { model: 'short-cut' })))
  const slow = await callOf(alice, await asked(admin.api_key, scripted({ say: 'y', delay_ms: 300 })))
  const long = await callOf(alice, await asked(bob.api_key, say('z'.repeat(400), { stream: true })))
  const vector = { model: 'flow/hash-embedding-384', input: 'x' }
  const embedded = await callOf(alice, await asked(admin.api_key, vector, {}, 'embeddings'))

  type Filter = Parameters<PlatformClient['gateway']['calls']['list']>[0]
  const found = async (filter: Filter) => {
    const { items } = await alice.gateway.calls.list({ order: 'asc', ...filter })
    return items.map(({ id }) => id)
  }
  const all = [short.id, slow.id, long.id, embedded.id]
  assert.deepEqual(await found({}), all)
  assert.deepEqual(await found({ model: 'short-cut' }), [short.id])
  assert.deepEqual(await found({ model: 'flow/echo' }), [short.id, long.id])
  assert.deepEqual(await found({ provider: 'flow', mouth: 'embeddings' }), [embedded.id])
  assert.deepEqual(await found({ user_id: bob.user_id }), [long.id])
  assert.deepEqual(await found({ key_id: long.key_id ?? '' }), [long.id])
  assert.deepEqual(await found({ is_stream: 'true' }), [long.id])
  assert.deepEqual(await found({ status: 'completed', duration_ms_min: 300 }), [slow.id])
  assert.deepEqual(await found({ started_after: before, started_before: slow.started_at }), [short.id])
  assert.deepEqual(await found({ credits_min: 0.000_000_001 }), [])
  assert.deepEqual(await found({ execution_id: newId() }), [])
  assert.equal((await found({ sort: 'tokens', order: 'desc' }))[0], long.id)
  assert.equal((await found({ sort: 'duration_ms', order: 'desc' }))[0], slow.id)
  assert.equal((await found({ sort: 'credits' })).length, 4)
  const paged: string[] = []
  for await (const { id } of alice.gateway.calls.list({ limit: 1, order: 'asc' })) paged.push(id)
  assert.deepEqual(paged, all)
  await assert.rejects(alice.gateway.calls.list({ status: 'odd' }), { code: 'VALIDATION_ERROR' })
})

test('a trace is removed when its time is over, as the organization has set it now; what was billed stays', async () => {
  const [one, two] = [await newOrganization(), await newOrganization()]
  const calls = await Promise.all(
    [one, two].map(async ({ alice, admin }) => callOf(alice, await asked(admin.api_key, say('x')))),
  )
  const isThere = async ({ alice, organization_id }: typeof one, call: GatewayCallSummary | undefined) => {
    const { total } = await alice.gateway.calls.list({ request_id: call?.request_id })
    const { rows } = await platform.database
      .of(organization_id)
      .one<{ rows: number }>(sql`select count(*)::int as rows from gateway_call_contents`)
    return [total, rows]
  }
  await two.alice.gateway.settings.update({ retention_days: 2 })

  clock.advance(2 * DAY - 60)
  await forgetCalls(platform)
  assert.deepEqual(
    [await isThere(one, calls[0]), await isThere(two, calls[1])],
    [
      [1, 1],
      [1, 1],
    ],
  )
  clock.advance(120)
  await forgetCalls(platform)
  assert.deepEqual(
    [await isThere(one, calls[0]), await isThere(two, calls[1])],
    [
      [1, 1],
      [0, 0],
    ],
  )
  clock.advance(28 * DAY)
  await forgetCalls(platform)
  assert.deepEqual(await isThere(one, calls[0]), [0, 0])
})

test('what a guardrail finds is in the trace, and what it blocks is kept nowhere, not even of what it asks itself', async () => {
  const { alice, admin, organization_id } = await newOrganization()
  const upstream = await openUpstream((response, { body }) => {
    const data = (body.input as string[]).map((_, index) => ({ object: 'embedding', index, embedding: [1, 0] }))
    const usage = { prompt_tokens: 2, total_tokens: 2 }
    const answer = JSON.stringify({ object: 'list', data, model: 'near', usage })
    response.writeHead(200, { 'content-type': 'application/json' }).end(answer)
  })
  const { base_url } = upstream
  await alice.gateway.providers.create({ name: 'one', kind: 'openai', base_url, key: 'sk-one', skip_test: true })
  const topics = [{ name: 'whatever', examples: ['anything'] }]
  const rule = { type: 'topics' as const, topics, threshold: 0.5, model: 'one/near' }
  await alice.gateway.guardrails.create({ name: 'Nothing', side: 'input', always: true, action: 'block', rule })
  const request_id = await asked(admin.api_key, say('a word that is not to be kept'))

  const { items } = await until(
    () => alice.gateway.calls.list({ request_id }),
    ({ items }) => items.some(({ mouth }) => mouth === 'chat'),
  )
  const chat = items.find(({ mouth }) => mouth === 'chat') ?? assert.fail()
  const call = await alice.gateway.calls.get({ call_id: chat.id })
  assert.deepEqual([call.status, call.content], ['refused', 'none'])
  assert.deepEqual(
    call.findings.map(({ guardrail, side }) => [guardrail, side]),
    [['Nothing', 'input']],
  )
  assert.ok(items.some(({ mouth }) => mouth === 'embeddings'))
  const db = platform.database.of(organization_id)
  const rows = await db.many<{ row: string }>(sql`select t::text as row from gateway_call_contents t`)
  assert.deepEqual(rows, [])
})
