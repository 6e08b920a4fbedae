/** The SDK's `GatewayClient` against the data plane, over a socket and in the process. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import {
  type ChatChunk,
  FlowSDK,
  FlowTimeoutError,
  GatewayAuthError,
  GatewayClient,
  GatewayModelNotFoundError,
  GatewayRateLimitError,
  GatewayRequestError,
  GatewayStreamError,
  GatewayUnavailableError,
} from '@flow/sdk'
import { listen } from '../../http/listen.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import { breaks, delta, END, openUpstream, pause, refuses, says, streams } from '../call/upstream-testing.ts'
import { PREFIX } from '../front/front.ts'

const { app, fetch } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })
const listening = await listen(app, '127.0.0.1', 0)
after(() => listening.close(0))
const { admin, alice, workspace_id } = await newOrganization()
const upstream = await openUpstream(says('Hello.'))
const { base_url } = upstream
await alice.gateway.providers.create({ name: 'own', kind: 'openai', base_url, skip_test: true })
const origin = `http://127.0.0.1:${listening.port}`

const settings = { auth_token: admin.api_key, max_retries: 0 }
const socket = new GatewayClient({ ...settings, base_url: origin })
const inside = new GatewayClient({ ...settings, base_url: `http://flow.test${PREFIX}`, fetch })
const user = (content: string) => [{ role: 'user' as const, content }]
const script = (...steps: unknown[]) => user(JSON.stringify(steps.length === 1 ? steps[0] : steps))
const streamed = { stream: true } as const

/** What a stream said before it ended, and how. */
async function read(stream: AsyncIterable<ChatChunk>) {
  let said = ''
  try {
    for await (const { choices } of stream) said += choices[0]?.delta.content ?? ''
  } catch (error) {
    return { said, error }
  }
  return { said, error: undefined }
}

for (const [door, client] of Object.entries({ 'over a socket': socket, 'in the process': inside })) {
  test(`a chat is answered ${door}, whole and in a stream`, async () => {
    const { choices, usage } = await client.chatCompletion('flow/echo', user('Grüße'), {
      temperature: 0,
      max_tokens: 50,
    })
    assert.equal(choices[0]?.message.content, 'Grüße')
    assert.ok((usage?.total_tokens ?? 0) > 0)

    const { said, error } = await read(client.chatCompletion('flow/echo', user('one two three'), streamed))
    assert.deepEqual([said, error], ['one two three', undefined])
  })

  test(`the last chunk tells the usage ${door}, where it is asked for`, async () => {
    const told = { ...streamed, stream_options: { include_usage: true } }
    const chunks = await Array.fromAsync(client.chatCompletion('flow/echo', user('12345678'), told))
    assert.deepEqual(chunks.at(-1)?.choices, [])
    assert.equal(chunks.at(-1)?.usage?.completion_tokens, 2)
  })

  test(`tools are called ${door}`, async () => {
    const calls = [{ name: 'weather', arguments: { city: 'Rome' } }]
    const { choices } = await client.chatCompletion('flow/scripted', script({ calls }))
    assert.equal(choices[0]?.finish_reason, 'tool_calls')
    assert.deepEqual(choices[0]?.message.tool_calls?.[0]?.function, { name: 'weather', arguments: '{"city":"Rome"}' })
  })

  test(`texts become vectors ${door}`, async () => {
    const { data } = await client.embeddings('flow/hash-embedding-384', ['a', 'b'])
    assert.deepEqual(
      data.map(({ index, embedding }) => [index, embedding.length]),
      [
        [0, 384],
        [1, 384],
      ],
    )
  })

  test(`models are listed ${door}, and found by an id with a slash`, async () => {
    assert.ok((await client.models()).some(({ id }) => id === 'flow/echo'))
    assert.equal((await client.model('flow/echo')).owned_by, 'flow')
    await assert.rejects(client.model('flow/nothing'), GatewayModelNotFoundError)
  })

  test(`a stream that breaks ${door} throws behind what was said`, async () => {
    for (const fault of [{ cut_after: 3 }, { malformed_after: 3 }]) {
      const broken = client.chatCompletion('flow/scripted', script({ say: 'a b c d e', ...fault }), streamed)
      const { said, error } = await read(broken)
      assert.equal(said, 'a b ')
      assert.ok(error instanceof GatewayStreamError, String(error))
      assert.match(error.code ?? '', /^upstream_/)
      assert.match(error.request_id ?? '', /^[0-9a-f-]{36}$/)
    }
  })

  test(`each refusal has its class ${door}`, async () => {
    const chat = (model: string, messages = user('x')) => client.chatCompletion(model, messages)
    await assert.rejects(chat('flow/nothing'), GatewayModelNotFoundError)
    await assert.rejects(chat('flow/scripted', script({ status: 500, message: 'Ouch.' })), GatewayUnavailableError)
    await assert.rejects(
      client
        .chatCompletion('flow/scripted', script({ status: 429, retry_after_seconds: 60 }), streamed)
        [Symbol.asyncIterator]()
        .next(),
      (error: unknown) => error instanceof GatewayRateLimitError && error.retry_after === 60,
    )
    await assert.rejects(
      client.chatCompletion('flow/echo', [{ role: 'wizard' as 'user', content: 'x' }]),
      (error: unknown) => error instanceof GatewayRequestError && error.param === 'messages[0].role',
    )
    await assert.rejects(client.embeddings('flow/echo', 'x'), { code: 'unsupported_model' })
    await assert.rejects(chat('flow/hash-embedding-384'), { code: 'unsupported_model' })
    await assert.rejects(client.rerank('flow/nothing', 'q', ['a']), GatewayModelNotFoundError)
  })
}

test('who may not call is told so', async () => {
  const stranger = new GatewayClient({ base_url: origin, auth_token: 'nobody', max_retries: 0 })
  await assert.rejects(
    stranger.models(),
    (error: unknown) => error instanceof GatewayAuthError && error.status === 401 && error.code === 'invalid_api_key',
  )
})

test('a refused token is renewed once, also for a stream, and the call made again', async () => {
  let renewed = 0
  const renewing = (next: string) =>
    new GatewayClient({
      base_url: origin,
      auth_token: 'expired',
      on_auth_token_refresh: () => {
        renewed += 1
        return next
      },
    })
  const client = renewing(admin.api_key)
  assert.equal((await read(client.chatCompletion('flow/echo', user('Hello'), streamed))).said, 'Hello')
  assert.equal((await client.chatCompletion('flow/echo', user('Hello'))).choices[0]?.message.content, 'Hello')
  assert.equal(renewed, 1)

  await assert.rejects(renewing('worse').models(), GatewayAuthError)
  assert.equal(renewed, 2)
})

test('a limit for now is waited for, and what says that it is of no use is not tried again', async () => {
  const client = new GatewayClient({ base_url: origin, auth_token: admin.api_key, max_retries: 2 })
  const before = upstream.got.length
  upstream.answer(refuses(429, { 'retry-after': '11' }))
  const hurried = AbortSignal.timeout(300)
  await assert.rejects(client.chatCompletion('own/limited', user('x'), {}, { signal: hurried }), {
    name: 'TimeoutError',
  })
  upstream.answer(refuses(401))
  await assert.rejects(client.chatCompletion('own/refusing', user('x')), { status: 502, code: 'upstream_refused' })
  // Neither the gateway nor the client has asked the provider a second time.
  assert.equal(upstream.got.length - before, 2)
})

test('a stream that is given up ends the call at the provider', async () => {
  upstream.answer(streams(delta('one '), delta('two '), 3_000))
  const call = () => client.chatCompletion('own/m', user('x'), streamed, { signal: abort.signal })
  const [client, abort] = [socket, new AbortController()]

  for await (const _chunk of call()) break
  await upstream.got.at(-1)?.closed

  await assert.rejects(async () => {
    for await (const _chunk of call()) abort.abort(new Error('enough'))
  }, /enough/)
  await upstream.got.at(-1)?.closed
  await assert.rejects(client.chatCompletion('own/m', user('x'), {}, { signal: abort.signal }), /enough/)
})

test('a stream that says nothing for too long is a timeout, and whoever reads it slowly has the time', async () => {
  const hasty = new GatewayClient({ ...settings, base_url: origin, timeout: 0.5 })
  upstream.answer(streams(delta('one '), delta('two '), 3_000))
  const { said, error } = await read(hasty.chatCompletion('own/m', user('x'), streamed))
  assert.equal(said, 'one two ')
  assert.ok(error instanceof FlowTimeoutError)

  upstream.answer(streams(delta('one '), delta('two '), END))
  let slowly = ''
  for await (const { choices } of hasty.chatCompletion('own/m', user('x'), streamed)) {
    await pause(300)
    slowly += choices[0]?.delta.content ?? ''
  }
  assert.equal(slowly, 'one two ')
  await assert.rejects(hasty.chatCompletion('flow/scripted', script({ say: 'x', delay_ms: 5_000 })), FlowTimeoutError)
})

test('a server that breaks off in the middle of a stream, or ends it too early, is noticed', async () => {
  const bare = await openUpstream(
    breaks(delta('one ')),
    streams(delta('one ')),
    streams(delta('one '), 'data: {"a\n\n'),
  )
  const client = new GatewayClient({ base_url: `${bare.base_url}/v1`, auth_token: 'x' })
  for (let i = 0; i < 3; i += 1) {
    const { said, error } = await read(client.chatCompletion('m', user('x'), streamed))
    assert.equal(said, 'one ')
    assert.ok(error instanceof GatewayStreamError)
  }
  assert.deepEqual(
    bare.got.map(({ url }) => url),
    Array(3).fill('/v1/chat/completions'),
  )
})

test('a broken connection is tried again where nothing can happen twice', async () => {
  const bare = await openUpstream((response) => response.destroy(), says('Hello.'))
  const client = new GatewayClient({ base_url: bare.base_url, auth_token: 'x' })
  await assert.rejects(client.chatCompletion('m', user('x')), { name: 'FlowConnectionError' })

  bare.answer((response) => response.destroy(), says('Hello.'))
  const { choices } = await client.chatCompletion('m', user('x'), {}, { idempotency_key: 'k' })
  assert.equal(choices[0]?.message.content, 'Hello.')
  assert.deepEqual(
    bare.got.slice(1).map(({ headers }) => headers['idempotency-key']),
    ['k', 'k'],
  )
})

test('code that Flow runs calls models by flow.gateway, which is set up by the environment', async (t) => {
  const before = { ...process.env }
  t.after(() => {
    process.env = before
  })
  Object.assign(process.env, { PLATFORM_API_URL: origin, AUTH_TOKEN: admin.api_key, WORKSPACE_ID: workspace_id })

  const flow = new FlowSDK()
  assert.equal((await flow.gateway.chatCompletion('flow/echo', user('Hello'))).choices[0]?.message.content, 'Hello')
  assert.deepEqual(
    (await flow.gateway.providers.list()).items.map(({ name }) => name),
    ['own'],
  )
  assert.equal(new GatewayClient().base_url, `${origin}${PREFIX}`)
  process.env.GATEWAY_URL = 'http://gateway.example.com/v1'
  assert.equal(new GatewayClient().base_url, 'http://gateway.example.com/v1')
  assert.equal(new FlowSDK().gateway.base_url, 'http://gateway.example.com/v1')
})

test('what a guardrail only flags ends no stream later, and stands in the trace when it was found', async () => {
  const { alice, admin } = await newOrganization()
  const code = `export const main = async ({ text }) => {
    await new Promise((resolve) => setTimeout(resolve, 1500))
    return { ok: !text.includes('bad') }
  }`
  const config = { language: 'javascript' as const, code }
  const { id: component_id } = await alice.codeBlocks.create({ name: 'Slow', slug: 'slow', config })
  await alice.components.publish({ component_id })
  const rule = { type: 'code_block' as const, component_id }
  await alice.gateway.guardrails.create({ name: 'Slow', always: true, side: 'output', action: 'flag', rule })
  upstream.answer(streams(delta('bad '), delta('words'), END))
  await alice.gateway.providers.create({ name: 'own', kind: 'openai', base_url, skip_test: true })

  const client = new GatewayClient({ base_url: origin, auth_token: admin.api_key, max_retries: 0 })
  const request_id = crypto.randomUUID()
  const began = performance.now()
  const { said } = await read(client.chatCompletion('own/m', user('x'), streamed, { request_id }))
  assert.equal(said, 'bad words')
  assert.ok(performance.now() - began < 1_400)
  assert.deepEqual((await alice.gateway.calls.list({ request_id })).items, [])

  let found: Awaited<ReturnType<typeof alice.gateway.calls.list>>['items'] = []
  for (let i = 0; i < 100 && found.length === 0; i += 1) {
    await pause(50)
    found = (await alice.gateway.calls.list({ request_id })).items
  }
  assert.equal(found.length, 1)
  const call = await alice.gateway.calls.get({ call_id: found[0]?.id ?? '' })
  assert.deepEqual([call.status, call.http_status, call.error], ['completed', 200, null])
  assert.deepEqual(call.findings, [{ guardrail: 'Slow', action: 'flag', side: 'output' }])
  assert.deepEqual([call.usage.input_tokens, call.usage.output_tokens], [7, 3])
  assert.ok((call.duration_ms ?? 0) < 1_400)
})
