/** The life of a call as its record tells it, and what bodies and credentials it begins with. */

import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { after, test } from 'node:test'
import { sql } from '../../db/db.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import { PREFIX } from '../front/front.ts'
import { chance } from '../mouths/mouths-testing.ts'
import { openPlane } from '../open.ts'
import type { CallRecord, Estimate, Ticket } from '../policies/policy.ts'
import { delta, END, openUpstream, pause, refuses, says, streams } from './upstream-testing.ts'

const { platform, clock, client } = await testFlow({
  FLOW_ALLOWED_HOSTS: '127.0.0.1',
  FLOW_CORS_ORIGINS: 'https://app.example.com',
})

/** A plane whose governor notes what it is told. */
function newPlane(ticket: Partial<Ticket> = {}) {
  const records: CallRecord[] = []
  const estimates: Estimate[][] = []
  /** Those that the governor never saw, or refused. */
  const unadmitted: CallRecord[] = []
  const told: { wake?: () => void } = {}
  /** How often each admitted call was settled. */
  const settlements: number[] = []
  const plane = openPlane(platform, {
    noted: () => {},
    spend: async () => ({}),
    journal: { note: (record) => void unadmitted.push(record) },
    governor: {
      admit(_policy, _caller, _call, given) {
        estimates.push(given)
        const own = settlements.push(0) - 1
        const settle = (record: CallRecord) => {
          settlements[own] = (settlements[own] ?? 0) + 1
          records.push(record)
          told.wake?.()
          return { nanocredits: 1_500_000_000 }
        }
        return { output_tokens_max: null, headers: {}, allows: () => true, covers: () => true, settle, ...ticket }
      },
    },
  })
  after(() => plane.close())
  const call = (key: string, body: unknown, init: RequestInit = {}, path = '/chat/completions') => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...init.headers }
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    return plane.respond(
      new Request(`http://flow.test${PREFIX}${path}`, { method: 'POST', body: text, ...init, headers }),
    )
  }
  /** The next record. */
  const noted = async () => {
    if (records.length === 0) await new Promise<void>((resolve) => (told.wake = resolve))
    const record = records.shift()
    assert.ok(record)
    return record
  }
  return { plane, call, noted, records, unadmitted, estimates, settlements }
}

const say = (content: string, more: object = {}) => ({
  model: 'flow/echo',
  messages: [{ role: 'user', content }],
  ...more,
})
const scripted = (script: object, more: object = {}) => say(JSON.stringify(script), { model: 'flow/scripted', ...more })
const faultOf = async (response: Response) => ((await response.json()) as { error: Record<string, unknown> }).error

test('a call is noted with who called, what it used and what was said', async () => {
  const { admin, organization_id, workspace_id } = await newOrganization()
  const { call, noted, estimates } = newPlane({ headers: { 'x-flow-warning': 'a budget' } })
  const traceparent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`
  const response = await call(admin.api_key, say('12345678', { max_tokens: 50, n: 2 }), { headers: { traceparent } })
  const answer = await response.text()

  assert.equal(response.headers.get('x-flow-cost'), '1.5')
  assert.equal(response.headers.get('x-flow-warning'), 'a budget')
  const record = await noted()
  assert.equal(record.caller.organization_id, organization_id)
  assert.equal(record.caller.workspace_id, workspace_id)
  assert.equal(record.caller.user_id, admin.user_id)
  assert.ok(record.caller.key_id)
  assert.equal(record.request_id, response.headers.get('x-request-id'))
  assert.deepEqual(
    [record.status, record.http_status, record.mouth, record.model, record.provider, record.provider_model],
    ['completed', 200, 'chat', 'flow/echo', 'flow', 'echo'],
  )
  assert.deepEqual(record.usage, { input: 2, cached: 0, cache_written: 0, output: 2, reasoning: 0 })
  assert.equal(record.is_estimated, false)
  assert.deepEqual(
    record.attempts.map(({ http_status, fault }) => [http_status, fault]),
    [[200, null]],
  )
  assert.equal(record.traceparent, traceparent)
  assert.deepEqual(JSON.parse(record.answer?.toString() ?? ''), JSON.parse(answer))
  assert.equal(JSON.parse(record.request?.toString() ?? '').messages[0].content, '12345678')
  const [[estimate] = []] = estimates
  assert.equal(estimate?.model, 'flow/echo')
  assert.ok((estimate?.input_tokens_max ?? 0) >= 8)
})

test('a streamed call costs what the same call costs unstreamed', async () => {
  const { admin } = await newOrganization()
  const { call, noted } = newPlane()
  const script = { say: 'It is sunny in Rome.', think: 'Hm.', calls: [{ name: 'weather' }] }
  await (await call(admin.api_key, scripted(script))).text()
  const whole = await noted()
  await (await call(admin.api_key, scripted(script, { stream: true }))).text()
  const streamed = await noted()
  assert.deepEqual(streamed.usage, whole.usage)
  assert.equal(streamed.is_estimated, false)
  assert.ok(streamed.first_chunk_ms !== null)
  assert.match(JSON.parse(streamed.answer?.toString() ?? '').stream, /\[DONE\]/)
})

test('a client that goes away pays for what was produced', async () => {
  const { admin } = await newOrganization()
  const { call, noted } = newPlane()
  const abort = new AbortController()
  const body = scripted({ say: 'word '.repeat(200), between_ms: 5 }, { stream: true })
  const response = await call(admin.api_key, body, { signal: abort.signal })
  const reader = response.body?.getReader()
  for (let i = 0; i < 5; i += 1) await reader?.read()
  abort.abort()

  const record = await noted()
  assert.deepEqual([record.status, record.http_status, record.is_estimated], ['aborted', 499, true])
  assert.ok(record.usage.output >= 3 && record.usage.output < 200, `${record.usage.output} tokens`)
  assert.ok(record.usage.input > 0)
})

test('a stream is cut off when nobody pays for more, and says so', async () => {
  const { admin } = await newOrganization()
  const { call, noted } = newPlane({ covers: (output_tokens) => output_tokens <= 4 })
  const response = await call(admin.api_key, scripted({ say: 'a b c d e f g h i j' }, { stream: true }))
  const text = await response.text()
  assert.match(text, /"content":"e "/)
  assert.doesNotMatch(text, /"content":"g "|\[DONE\]/)
  assert.match(text, /insufficient_quota/)
  const record = await noted()
  assert.deepEqual([record.status, record.fault?.code], ['cut_off', 'BUDGET_EXCEEDED'])
})

test('a provider is asked for no more than is paid for', async () => {
  const { admin } = await newOrganization()
  const { call, noted } = newPlane({ output_tokens_max: 3 })
  const response = await call(admin.api_key, say('x'.repeat(100), { max_tokens: 20 }))
  const answer = (await response.json()) as { choices: { finish_reason: string; message: { content: string } }[] }
  assert.equal(answer.choices[0]?.finish_reason, 'length')
  assert.equal(answer.choices[0]?.message.content.length, 12)
  assert.equal((await noted()).usage.output, 3)
})

test('usage that a provider does not tell is counted here', async () => {
  const { admin } = await newOrganization()
  const { call, noted } = newPlane()
  await (await call(admin.api_key, scripted({ say: 'x'.repeat(400), usage: null }))).text()
  const whole = await noted()
  assert.deepEqual([whole.is_estimated, whole.usage.output], [true, 100])
  await (await call(admin.api_key, scripted({ say: 'x'.repeat(400), usage: null }, { stream: true }))).text()
  assert.deepEqual((await noted()).usage.output, 100)
})

test('a client is told the usage that is billed, where its provider tells none and the format is another', async () => {
  const { admin } = await newOrganization()
  const { call, noted } = newPlane()
  const script = JSON.stringify({
    think: 'y'.repeat(40),
    say: 'x'.repeat(400),
    calls: [{ name: 'f', arguments: { a: 1 } }],
    usage: null,
  })
  const model = 'flow/scripted'
  for (const stream of [false, true]) {
    for (const [path, body] of [
      ['/messages', { model, max_tokens: 500, messages: [{ role: 'user', content: script }] }],
      ['/responses', { model, input: script }],
      [
        '/completions',
        { model, prompt: script, max_tokens: 500, ...(stream && { stream_options: { include_usage: true } }) },
      ],
    ] as const) {
      const text = await (await call(admin.api_key, { ...body, stream }, {}, path)).text()
      const { usage, is_estimated } = await noted()
      assert.ok(is_estimated && usage.input > 0 && usage.output > 110, path)
      const told = (name: string) =>
        Number(
          text
            .matchAll(new RegExp(`"${name}":(\\d+)`, 'g'))
            .toArray()
            .at(-1)?.[1],
        )
      const [input, output] =
        path === '/completions' ? ['prompt_tokens', 'completion_tokens'] : ['input_tokens', 'output_tokens']
      assert.deepEqual([told(input), told(output)], [usage.input, usage.output], `${path} ${stream}`)
    }
  }
})

test('vectors and rankings whose provider tells no tokens are not for nothing', async () => {
  const { alice, admin } = await newOrganization()
  const { call, noted } = newPlane()
  const whole = (body: object) => (response: ServerResponse) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  const ranked = await openUpstream(
    whole({ results: [{ index: 0, relevance_score: 0.5 }], meta: { billed_units: { search_units: 1 } } }),
  )
  const embedded = await openUpstream(whole({ embedding: { values: [1, 0] } }))
  for (const [name, kind, { base_url }] of [
    ['co', 'cohere', ranked],
    ['go', 'gemini', embedded],
  ] as const) {
    await alice.gateway.providers.create({ name, kind, base_url, key: 'k', skip_test: true })
  }

  const documents = ['x'.repeat(396)]
  for (const [path, body] of [
    ['/rerank', { model: 'co/rerank-v3.5', query: 'what', documents }],
    ['/embeddings', { model: 'go/gemini-embedding-001', input: 'x'.repeat(400) }],
  ] as const) {
    const answer = (await (await call(admin.api_key, body, {}, path)).json()) as { usage: { total_tokens: number } }
    assert.equal(answer.usage.total_tokens, 100)
    const { usage, is_estimated } = await noted()
    assert.deepEqual([usage.input, usage.output, is_estimated], [100, 0, true])
  }
})

test('every call is settled exactly once, however it ends', async () => {
  const { admin } = await newOrganization()
  const { call, noted, records } = newPlane()
  const ends = [
    {},
    { status: 500 },
    { status: 400 },
    { cut_after: 0 },
    { cut_after: 2 },
    { malformed_after: 1 },
    { status: 429, retry_after_seconds: 100 },
  ]
  for (const stream of [true, false]) {
    for (const end of ends) {
      const response = await call(admin.api_key, scripted({ say: 'a b c d', ...end }, { stream }))
      await response.text()
      const { status } = await noted()
      assert.equal(status, Object.keys(end).length === 0 ? 'completed' : 'failed', JSON.stringify({ end, stream }))
    }
  }
  await pause(20)
  assert.deepEqual(records, [])
})

test('bodies that are no calls are refused in OpenAI’s words', async () => {
  const { admin } = await newOrganization()
  const { call, plane } = newPlane()
  const ask = async (body: unknown, init: RequestInit = {}, path?: string) => {
    const response = await call(admin.api_key, body, init, path)
    return { status: response.status, ...(await faultOf(response)) } as Record<string, unknown>
  }
  const deep = `{"model":"flow/echo","messages":${'['.repeat(5000)}${']'.repeat(5000)}}`
  assert.equal((await ask('{"model":')).status, 400)
  assert.equal((await ask('[]')).status, 400)
  assert.equal((await ask(deep)).status, 400)
  assert.equal((await ask('{"__proto__":{},"model":"flow/echo"}')).status, 400)
  assert.equal((await ask('{"\\u005f_proto__":{},"model":"flow/echo"}')).status, 400)
  assert.deepEqual((await ask({ messages: [] })).param, 'model')
  assert.match(String((await ask(say('x', { messages: [{ role: 'wizard', content: 'x' }] }))).param), /messages\[0\]/)
  assert.equal((await ask(say('x', { model: 'flow/nothing' }))).code, 'model_not_found')
  assert.equal((await ask(say('x', { model: 'nowhere' }))).status, 404)
  assert.equal((await ask(say('x'), { headers: { 'content-type': 'text/plain' } })).status, 415)
  assert.equal((await ask(say('x'), { headers: { 'content-encoding': 'gzip' } })).status, 415)
  assert.equal((await ask({ model: 'flow/echo', input: 'x' }, {}, '/nothing')).status, 404)
  assert.equal((await ask(say('x'.repeat(33 * 1024 * 1024)))).status, 413)
  const wrong = await plane.respond(new Request(`http://flow.test${PREFIX}/chat/completions`))
  assert.deepEqual([wrong.status, wrong.headers.get('allow')], [405, 'POST'])
})

test('a conversation of 100,000 messages passes', async () => {
  const { admin } = await newOrganization()
  const { call } = newPlane()
  const messages = Array.from({ length: 100_000 }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: `${i}` }))
  const response = await call(admin.api_key, say('', { messages: [...messages, { role: 'user', content: 'last' }] }))
  const answer = (await response.json()) as { choices: { message: { content: string } }[] }
  assert.equal(answer.choices[0]?.message.content, 'last')
})

test('only allowed origins may read answers from a browser', async () => {
  const { admin } = await newOrganization()
  const { call, plane } = newPlane()
  const from = async (origin: string) => {
    const response = await call(admin.api_key, say('x'), { headers: { origin } })
    return response.headers.get('access-control-allow-origin')
  }
  assert.equal(await from('https://app.example.com'), 'https://app.example.com')
  assert.equal(await from('https://evil.example.com'), null)
  const preflight = await plane.respond(
    new Request(`http://flow.test${PREFIX}/chat/completions`, {
      method: 'OPTIONS',
      headers: { origin: 'https://app.example.com', 'access-control-request-headers': 'authorization' },
    }),
  )
  assert.deepEqual([preflight.status, preflight.headers.get('access-control-allow-headers')], [204, 'authorization'])
})

test('an idempotency key gives the same answer, once', async () => {
  const { admin } = await newOrganization()
  const { call, noted, records } = newPlane()
  const once = (body: object, key: string) => call(admin.api_key, body, { headers: { 'idempotency-key': key } })
  const first = await once(say('hello'), 'a')
  const text = await first.text()
  await noted()
  const again = await once(say('hello'), 'a')
  assert.equal(await again.text(), text)
  assert.equal(again.headers.get('idempotent-replayed'), 'true')
  assert.equal(again.headers.get('x-flow-cost'), '1.5')
  assert.deepEqual(records, [])
  assert.equal((await once(say('other'), 'a')).status, 422)
  assert.equal((await once(say('other'), 'with space')).status, 422)

  const slow = scripted({ say: 'slow', delay_ms: 200 })
  const [one, two] = [once(slow, 'b'), pause(80).then(() => once(slow, 'b'))]
  assert.deepEqual([(await one).status, (await two).status], [200, 409])
  assert.equal((await two).headers.get('retry-after'), '5')
})

test('a long call holds its idempotency key, and one whose process has ended does not', async (t) => {
  const { alice, admin, organization_id } = await newOrganization()
  const upstream = await openUpstream((response, got) => {
    if (upstream.got.length > 1) says('Twice?')(response, got)
  })
  await alice.gateway.providers.create({ name: 'one', kind: 'openai', base_url: upstream.base_url, skip_test: true })
  const { call } = newPlane()
  t.mock.timers.enable({ apis: ['setInterval'] })
  const leaving = new AbortController()
  const once = (signal?: AbortSignal) =>
    call(admin.api_key, say('x', { model: 'one/m' }), {
      headers: { 'idempotency-key': 'long' },
      ...(signal && { signal }),
    })
  const first = once(leaving.signal).catch(() => {})
  while (upstream.got.length === 0) await pause(5)
  const db = platform.database.of(organization_id)
  const heldAt = () => db.one<{ at: string }>(sql`select created_at as at from idempotency_keys where key = 'long'`)
  for (let i = 0; i < 6; i += 1) {
    clock.advance(20)
    const now = clock.now().toISOString()
    t.mock.timers.tick(20_000)
    while ((await heldAt()).at < now) await pause(5)
  }
  assert.equal((await once()).status, 409)
  assert.equal(upstream.got.length, 1)
  clock.advance(101)
  assert.match(await (await once()).text(), /Twice\?/)
  leaving.abort()
  await first
})

test('a call that failed lets its idempotency key go', async () => {
  const { alice, admin } = await newOrganization()
  const upstream = await openUpstream((response) => response.writeHead(400).end('{}'), says('Now.'))
  await alice.gateway.providers.create({ name: 'one', kind: 'openai', base_url: upstream.base_url, skip_test: true })
  const { call } = newPlane()
  const once = () => call(admin.api_key, say('x', { model: 'one/m' }), { headers: { 'idempotency-key': 'k' } })
  assert.equal((await once()).status, 400)
  for (let tries = 0; tries < 50; tries += 1) {
    const response = await once()
    if (response.status === 200) return
    await pause(10)
  }
  assert.fail('the key was not let go')
})

test('what was lost on the client’s way out is found by the trace: a provider’s stream is kept as it was told', async () => {
  const { alice, admin } = await newOrganization()
  const upstream = await openUpstream(streams(delta('one '), delta('two'), END))
  await alice.gateway.providers.create({ name: 'one', kind: 'openai', base_url: upstream.base_url, skip_test: true })
  const { call, noted } = newPlane()
  const text = await (await call(admin.api_key, say('x', { model: 'one/m', stream: true }))).text()
  const record = await noted()
  assert.equal(JSON.parse(record.answer?.toString() ?? '').stream, text)
  assert.deepEqual(record.usage, { input: 7, cached: 0, cache_written: 0, output: 3, reasoning: 0 })
})

test('a suspended member, an ended sign-in and an expired key are refused at once', async () => {
  const { alice, member } = await newOrganization()
  const { call } = newPlane()
  const bob = await member('solution_builder')
  const status = async (credential: string) => (await call(credential, say('x'))).status
  const { access_token } = await client(bob.api_key).auth.token({})
  assert.deepEqual([await status(bob.api_key), await status(access_token)], [200, 200])
  await alice.users.update({ user_id: bob.user_id, status: 'suspended' })
  assert.deepEqual([await status(bob.api_key), await status(access_token)], [401, 401])
  await alice.users.update({ user_id: bob.user_id, status: 'active' })
  assert.equal(await status(bob.api_key), 200)
  await alice.users.update({ user_id: bob.user_id, grants: [{ role: 'viewer', scope: 'organization' }] })
  assert.equal(await status(bob.api_key), 403)

  const expires_at = new Date(clock.now().getTime() + 60_000).toISOString()
  const { key } = await alice.organizations.createApiKey({ name: 'short', expires_at })
  assert.equal(await status(key), 200)
  clock.advance(61)
  assert.equal(await status(key), 401)
})

test('another process hears of a revoked key by notification', async () => {
  const { alice } = await newOrganization()
  const { call } = newPlane()
  const made = await alice.organizations.createApiKey({ name: 'far' })
  assert.equal((await call(made.key, say('x'))).status, 200)
  // As the other process would do it: nobody here is told but by the database.
  await platform.database.platform.tx(async (db) => {
    await db.run({ text: 'update api_keys set revoked_at = now() where id = $1', values: [made.id] })
    db.tell('flow_access', made.created_by)
  })
  const began = performance.now()
  while ((await call(made.key, say('x'))).status === 200) {
    assert.ok(performance.now() - began < 1_000)
    await pause(5)
  }
})

test('a workspace of another organization is not found, and one’s own counts', async () => {
  const { alice, admin } = await newOrganization()
  const other = await newOrganization()
  const { call, noted } = newPlane()
  const { id } = await alice.organizations.createWorkspace({ name: 'Second', slug: 'second' })
  const at = async (workspace_id: string) =>
    (await call(admin.api_key, say('x'), { headers: { 'x-workspace-id': workspace_id } })).status
  assert.equal(await at(other.workspace_id), 404)
  assert.equal(await at(id), 200)
  assert.equal((await noted()).caller.workspace_id, id)
})

test('credentials that are none are refused, and an address that goes on with them is heard no more', async () => {
  const { call } = newPlane()
  assert.equal((await call('nonsense', say('x'))).status, 401)
  const statuses = []
  for (let i = 0; i < 70; i += 1) statuses.push((await call('nonsense', say('x'))).status)
  assert.equal(statuses.at(-1), 429)
})

test('models that an organization has not named are asked of their provider, and a list fails for nobody', async () => {
  const { alice, admin } = await newOrganization()
  const list = { models: ['gpt-x', 'gpt-y', 'whisper'].map((name) => ({ name: `models/${name}` })) }
  const upstream = await openUpstream((response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(list)),
  )
  const { base_url } = upstream
  const add = (name: string, more: { base_url: string; models?: string[] }) =>
    alice.gateway.providers.create({ name, kind: 'gemini', skip_test: true, ...more })
  await add('down', { base_url: 'http://127.0.0.1:9' })
  await add('named', { base_url, models: ['one'] })
  await add('open', { base_url, models: ['gpt-*', 'own'] })
  const { plane } = newPlane()
  const ids = async () => {
    const headers = { authorization: `Bearer ${admin.api_key}` }
    const response = await plane.respond(new Request(`http://flow.test${PREFIX}/models`, { headers }))
    return ((await response.json()) as { data: { id: string }[] }).data.map(({ id }) => id)
  }
  const builtIn = ['flow/echo', 'flow/hash-embedding-384', 'flow/hash-rerank-384', 'flow/scripted']
  const expected = [...builtIn, 'named/one', 'open/gpt-x', 'open/gpt-y', 'open/own']
  assert.deepEqual(await ids(), expected)
  await alice.gateway.budgets.create({ subject: { kind: 'organization' }, credits: 10, period: 'day' })
  assert.deepEqual(await ids(), expected)
  assert.equal(upstream.got.length, 1)
})

test('whatever providers and clients do, each admitted call is settled exactly once', async () => {
  const { alice, admin } = await newOrganization()
  const draw = chance(7)
  const pick = <Value>(values: Value[]): Value => values[Math.floor(draw() * values.length)] as Value
  const upstream = await openUpstream(async (response, got) => {
    const kind = pick(['ok', 'ok', 'ok', 'refuse', 'hang', 'cut', 'malformed', 'slow'])
    if (kind === 'refuse') return refuses(pick([400, 401, 429, 500, 503]))(response, got)
    if (kind === 'hang') return undefined
    if (got.body.stream !== true) return kind === 'cut' ? response.destroy() : says('Hello.')(response, got)
    const rest = { ok: [END], cut: [], malformed: ['data: {"x\n\n', END], slow: [30, delta('b'), 30, END] }[kind] ?? [
      END,
    ]
    return streams(delta('a '), delta('b '), ...rest)(response, got)
  })
  await alice.gateway.providers.create({ name: 'one', kind: 'openai', base_url: upstream.base_url, skip_test: true })
  await alice.gateway.providers.create({ name: 'two', kind: 'openai', base_url: upstream.base_url, skip_test: true })
  const targets = ['one', 'two'].map((provider) => ({ provider, model: 'm' }))
  const timeouts_ms = { connect: 200, first_chunk: 200, between_chunks: 200, total: 500 }
  await alice.gateway.routes.create({ name: 'both', targets, timeouts_ms, hedge_after_ms: 60 })
  await alice.gateway.routes.create({ name: 'single', targets: targets.slice(1), timeouts_ms })
  const { call, settlements } = newPlane()
  const one = async () => {
    const abort = new AbortController()
    if (draw() < 0.4) setTimeout(() => abort.abort(), draw() * 120)
    const body = say('x', { model: pick(['both', 'single']), stream: draw() < 0.6 })
    const response = await call(admin.api_key, body, { signal: abort.signal })
    await response.text()
  }
  await Promise.allSettled(Array.from({ length: 300 }, one))
  await pause(100)

  // Those that go away before they are let in are none.
  assert.ok(settlements.length >= 150)
  assert.deepEqual([...new Set(settlements)], [1])
})

test('a route that keeps answers asks once, and everybody in the workspace gets the same', async () => {
  const { alice, admin, member } = await newOrganization()
  const bob = await member('solution_builder')
  const stranger = await newOrganization()
  let asked = 0
  const upstream = await openUpstream(async (response, got) => {
    asked += 1
    await pause(30)
    const say = got.body.stream ? streams(delta(`answer ${asked}`), END) : says(`answer ${asked}`)
    return say(response, got)
  })
  for (const client of [alice, stranger.alice]) {
    await client.gateway.providers.create({ name: 'one', kind: 'openai', base_url: upstream.base_url, skip_test: true })
    await client.gateway.routes.create({ name: 'kept', targets: [{ provider: 'one', model: 'm' }], cache_seconds: 60 })
  }
  const { call, records } = newPlane()
  const ask = async (key: string, content: string, more: object = {}, init: RequestInit = {}) => {
    const response = await call(key, say(content, { model: 'kept', ...more }), init)
    const [, answer] = /(answer \d+)/.exec(await response.text()) ?? []
    return [answer, response.headers.get('x-flow-cache')]
  }

  const together = await Promise.all([1, 2, 3, 4].map(() => ask(admin.api_key, 'x')))
  assert.deepEqual(together[0], ['answer 1', 'miss'])
  assert.deepEqual(together.slice(1), Array(3).fill(['answer 1', 'hit']))
  assert.deepEqual(await ask(bob.api_key, 'x'), ['answer 1', 'hit'])
  assert.deepEqual(records.map(({ cache, provider }) => [cache, provider]).at(-1), ['hit', 'one'])
  assert.deepEqual(records.at(-1)?.usage.output, 3)
  assert.deepEqual(await ask(admin.api_key, 'y'), ['answer 2', 'miss'])
  assert.deepEqual(await ask(admin.api_key, 'x', { stream: true }), ['answer 3', 'miss'])
  assert.deepEqual(await ask(admin.api_key, 'x', { stream: true }), ['answer 3', 'hit'])
  assert.deepEqual(await ask(stranger.admin.api_key, 'x'), ['answer 4', 'miss'])
  assert.deepEqual(await ask(admin.api_key, 'x', {}, { headers: { 'x-flow-cache-seconds': '0' } }), ['answer 5', 'off'])
  assert.equal((await ask(admin.api_key, 'x', {}, { headers: { 'x-flow-cache-seconds': 'soon' } }))[0], undefined)
  await alice.gateway.settings.clearCache({})
  assert.deepEqual(await ask(admin.api_key, 'x'), ['answer 6', 'miss'])
})

test('an answer that failed is kept for nobody, and those who waited ask for themselves', async () => {
  const { alice, admin } = await newOrganization()
  const upstream = await openUpstream(async (response, got) => {
    await pause(30)
    return upstream.got.length === 1 ? refuses(400)(response, got) : says('Well.')(response, got)
  })
  await alice.gateway.providers.create({ name: 'one', kind: 'openai', base_url: upstream.base_url, skip_test: true })
  const { call } = newPlane()
  const ask = async () => (await call(admin.api_key, say('x', { model: 'one/m' }), kept)).status
  const kept = { headers: { 'x-flow-cache-seconds': '60' } }
  const statuses = await Promise.all([1, 2, 3].map(ask))
  assert.deepEqual(statuses, [400, 200, 200])
})

test('of those who wait one is asked for the others when the first one’s client goes away', async () => {
  const { alice, admin } = await newOrganization()
  const upstream = await openUpstream(async (response, got) => {
    if (upstream.got.length === 1) return undefined
    await pause(30)
    return says(`answer ${upstream.got.length}`)(response, got)
  })
  await alice.gateway.providers.create({ name: 'one', kind: 'openai', base_url: upstream.base_url, skip_test: true })
  const { call, unadmitted } = newPlane()
  const ask = (more: RequestInit = {}) =>
    call(admin.api_key, say('x', { model: 'one/m' }), { headers: { 'x-flow-cache-seconds': '60' }, ...more })
  const leaver = new AbortController()
  const first = ask({ signal: leaver.signal })
  while (upstream.got.length === 0) await pause(5)
  const others = Promise.all([1, 2, 3, 4].map(() => ask()))
  await pause(50)
  leaver.abort()
  await assert.rejects(first)

  const states = (await others).map(({ headers }) => headers.get('x-flow-cache'))
  assert.deepEqual(states.sort(), ['hit', 'hit', 'hit', 'miss'])
  assert.deepEqual([upstream.got.length, unadmitted.length], [2, 0])
})

test('an answer that may have been cut by what its caller may still use is given to nobody else', async () => {
  const { alice, admin } = await newOrganization()
  const upstream = await openUpstream(says('Hello.'))
  await alice.gateway.providers.create({ name: 'one', kind: 'openai', base_url: upstream.base_url, skip_test: true })
  // The answer has three tokens.
  for (const [output_tokens_max, asked, state] of [
    [3, {}, 'miss'],
    [3, { max_tokens: 3 }, 'hit'],
    [4, {}, 'hit'],
    [4, { n: 2 }, 'miss'],
    [null, {}, 'hit'],
  ] as const) {
    const { call } = newPlane({ output_tokens_max })
    const body = say('x', { model: 'one/m', ...asked })
    const ask = () => call(admin.api_key, body, { headers: { 'x-flow-cache-seconds': '60' } })
    await (await ask()).text()
    assert.equal((await ask()).headers.get('x-flow-cache'), state, JSON.stringify([output_tokens_max, asked]))
  }
})

test('a route that leads elsewhere gives no answer of where it led before', async () => {
  const { alice, admin } = await newOrganization()
  const targets = []
  for (const name of ['one', 'two']) {
    const { base_url } = await openUpstream(says(`This is ${name}.`))
    await alice.gateway.providers.create({ name, kind: 'openai', base_url, skip_test: true })
    targets.push({ provider: name, model: 'm' })
  }
  const [one, two] = targets
  const { id: route_id } = await alice.gateway.routes.create({
    ...{ name: 'kept', targets: [one ?? assert.fail()], cache_seconds: 60 },
  })
  const { call } = newPlane()
  const ask = async () => (await call(admin.api_key, say('x', { model: 'kept' }))).text()
  assert.match(await ask(), /This is one/)
  await alice.gateway.routes.update({ route_id, targets: [two ?? assert.fail()] })
  assert.match(await ask(), /This is two/)
})

test('whoever went away while another’s answer was awaited is written once, and is admitted nowhere', async () => {
  const { alice, admin } = await newOrganization()
  const answer = Promise.withResolvers<void>()
  const upstream = await openUpstream(async (response, got) => {
    await answer.promise
    return refuses(400)(response, got)
  })
  await alice.gateway.providers.create({ name: 'one', kind: 'openai', base_url: upstream.base_url, skip_test: true })
  const { call, unadmitted, estimates } = newPlane()
  const kept = { headers: { 'x-flow-cache-seconds': '60' } }
  const first = call(admin.api_key, say('x', { model: 'one/m' }), kept)
  while (upstream.got.length === 0) await pause(5)
  const leaver = new AbortController()
  const second = call(admin.api_key, say('x', { model: 'one/m' }), { ...kept, signal: leaver.signal })
  await pause(50)
  leaver.abort()
  await assert.rejects(second)
  answer.resolve()
  assert.equal((await first).status, 400)
  await pause(20)

  assert.deepEqual(
    unadmitted.map(({ status }) => status),
    ['aborted'],
  )
  assert.equal(estimates.length, 1)
})

test('a call that is cut off before it is answered pays for its prompt, and who left after a failure does not', async () => {
  const { alice, admin } = await newOrganization()
  const key = await alice.organizations.createApiKey({ name: 'short' })
  const { call, noted } = newPlane()
  const cut = call(key.key, scripted({ say: 'x', delay_ms: 60_000 }))
  const asked = await openUpstream(refuses(429, { 'retry-after': '9' }))
  await alice.gateway.providers.create({ name: 'one', kind: 'openai', base_url: asked.base_url, skip_test: true })
  await alice.organizations.revokeApiKey({ key_id: key.id })
  assert.equal((await cut).status, 401)
  const record = await noted()
  assert.deepEqual([record.status, record.provider_model], ['cut_off', 'scripted'])
  assert.ok(record.usage.input > 0)

  const leaver = new AbortController()
  const left = call(admin.api_key, say('x', { model: 'one/m' }), { signal: leaver.signal })
  while (asked.got.length === 0) await pause(5)
  await pause(100)
  leaver.abort()
  await assert.rejects(left)
  const { status, provider, usage } = await noted()
  assert.deepEqual([status, provider, usage.input], ['aborted', null, 0])
})

test('who has gone before the call begins asks nobody', async () => {
  const { admin } = await newOrganization()
  const { call, estimates } = newPlane()
  await (await call(admin.api_key, say('x'))).text()
  await assert.rejects(call(admin.api_key, say('x'), { signal: AbortSignal.abort() }))
  await pause(20)
  assert.equal(estimates.length, 1)
})

test('what is asked by headers has an answer of its own, and nobody is told the limits of another', async () => {
  const { admin } = await newOrganization()
  const told = {
    headers: { 'x-flow-budget-warning': 'the first key has used up its budget' } as Record<string, string>,
  }
  const { call } = newPlane(told)
  const ask = async (more: object = {}) => {
    const response = await call(admin.api_key, say('x'), { headers: { 'x-flow-cache-seconds': '60', ...more } })
    return [response.headers.get('x-flow-cache'), response.headers.get('x-flow-budget-warning')]
  }
  assert.deepEqual(await ask(), ['miss', 'the first key has used up its budget'])
  told.headers = {}
  assert.deepEqual(await ask({ 'openai-beta': 'other=v2' }), ['miss', null])
  assert.deepEqual(await ask(), ['hit', null])
})
