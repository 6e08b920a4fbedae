/** The data plane as OpenAI's own client meets it, over a socket and in the process. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import OpenAI from 'openai'
import { createApp } from '../../app.ts'
import { listen } from '../../http/listen.ts'
import { createMetrics } from '../../http/metrics.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import { pause } from '../call/upstream-testing.ts'

const { app, fetch, platform } = await testFlow()
const listening = await listen(app, '127.0.0.1', 0)
after(() => listening.close(0))
const { admin, alice, member } = await newOrganization()

const socket = new OpenAI({
  apiKey: admin.api_key,
  baseURL: `http://127.0.0.1:${listening.port}/api/v1/gateway/v1`,
  maxRetries: 0,
})
const inside = new OpenAI({
  apiKey: admin.api_key,
  baseURL: 'http://flow.test/api/v1/gateway/v1',
  maxRetries: 0,
  fetch: (url, init) => fetch(new Request(url as string, init as RequestInit)),
})
const user = (content: string) => [{ role: 'user' as const, content }]
const scripted = (script: unknown) => ({ model: 'flow/scripted', messages: user(JSON.stringify(script)) })

for (const [door, openai] of Object.entries({ 'over a socket': socket, 'in the process': inside })) {
  test(`a chat is answered ${door}`, async () => {
    const { data, response } = await openai.chat.completions
      .create({ model: 'flow/echo', messages: user('Hello, wörld') })
      .withResponse()

    assert.equal(data.object, 'chat.completion')
    assert.deepEqual(data.choices[0]?.message.content, 'Hello, wörld')
    assert.equal(data.choices[0]?.finish_reason, 'stop')
    assert.equal(data.usage?.total_tokens, 8)
    assert.equal(response.headers.get('x-flow-provider'), 'flow')
    assert.equal(response.headers.get('x-flow-model'), 'echo')
    assert.equal(response.headers.get('x-flow-attempts'), '1')
    assert.match(response.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/)
  })

  test(`a chat streams ${door}, and tells its usage only when asked`, async () => {
    for (const include_usage of [true, false]) {
      const stream = await openai.chat.completions.create({
        model: 'flow/echo',
        messages: user('one two three'),
        stream: true,
        ...(include_usage ? { stream_options: { include_usage } } : {}),
      })
      const chunks = await Array.fromAsync(stream)

      assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''), 'one two three')
      const finishes = chunks.flatMap(({ choices }) => choices.flatMap(({ finish_reason }) => finish_reason ?? []))
      assert.deepEqual(finishes, ['stop'])
      const told = chunks.filter(({ usage }) => usage)
      assert.equal(told.length, include_usage ? 1 : 0)
      assert.deepEqual(
        told.map(({ choices }) => choices),
        include_usage ? [[]] : [],
      )
    }
  })

  test(`tools are called ${door}, whole and in a stream`, async () => {
    const script = scripted({ calls: [{ name: 'weather', arguments: { city: 'Rome' } }, { name: 'time' }] })
    const whole = await openai.chat.completions.create(script)
    assert.equal(whole.choices[0]?.finish_reason, 'tool_calls')
    assert.deepEqual(
      whole.choices[0]?.message.tool_calls?.map((call) => call.type === 'function' && call.function),
      [
        { name: 'weather', arguments: '{"city":"Rome"}' },
        { name: 'time', arguments: '{}' },
      ],
    )

    const streamed = await openai.chat.completions.stream(script).finalChatCompletion()
    assert.deepEqual(streamed.choices[0]?.message.tool_calls?.length, 2)
  })

  test(`texts become vectors ${door}, as numbers and in base64`, async () => {
    const input = ['the cat sat', 'the cat sat down', 'quantum chromodynamics']
    const [floats, encoded] = await Promise.all([
      openai.embeddings.create({ model: 'flow/hash-embedding-384', input, encoding_format: 'float' }),
      openai.embeddings.create({ model: 'flow/hash-embedding-384', input }),
    ])
    const vectors = floats.data.map(({ embedding }) => embedding)
    const dot = (a: number[] = [], b: number[] = []) => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0)

    assert.deepEqual(
      vectors.map(({ length }) => length),
      [384, 384, 384],
    )
    assert.ok(Math.abs(dot(vectors[0], vectors[0]) - 1) < 1e-6)
    assert.ok(dot(vectors[0], vectors[1]) > dot(vectors[0], vectors[2]) + 0.3)
    for (const [i, { embedding }] of encoded.data.entries()) {
      assert.ok(Math.abs(dot(embedding, vectors[i]) - 1) < 1e-5)
    }
  })

  test(`models are listed ${door}, and found by an id with a slash`, async () => {
    const models = await Array.fromAsync(openai.models.list())
    assert.deepEqual(
      models.map(({ id }) => id),
      ['flow/echo', 'flow/hash-embedding-384', 'flow/hash-rerank-384', 'flow/scripted'],
    )
    assert.equal((await openai.models.retrieve('flow/echo')).id, 'flow/echo')
    await assert.rejects(openai.models.retrieve('flow/nothing'), { status: 404, code: 'model_not_found' })
  })

  test(`refusals are OpenAI's ${door}`, async () => {
    await assert.rejects(openai.chat.completions.create({ model: 'nobody/knows', messages: user('x') }), {
      status: 404,
      code: 'model_not_found',
      type: 'invalid_request_error',
      param: 'model',
    })
    await assert.rejects(openai.withOptions({ apiKey: 'wrong' }).models.list(), { status: 401 })
    await assert.rejects(
      openai.chat.completions.create(scripted({ status: 429, message: 'Slower.', retry_after_seconds: 60 })),
      (error: InstanceType<typeof OpenAI.RateLimitError>) => {
        assert.ok(error instanceof OpenAI.RateLimitError)
        assert.equal(error.headers?.get('retry-after'), '60')
        return true
      },
    )
  })

  test(`a stream that breaks ${door} ends with an error`, async () => {
    for (const fault of [{ cut_after: 3 }, { malformed_after: 3 }]) {
      const stream = await openai.chat.completions.create({ ...scripted({ say: 'a b c d e', ...fault }), stream: true })
      const said: string[] = []
      await assert.rejects(async () => {
        for await (const chunk of stream) said.push(chunk.choices[0]?.delta.content ?? '')
      }, OpenAI.APIError)
      assert.equal(said.join(''), 'a b ')
    }
  })

  test(`characters cut in the middle arrive whole ${door}`, async () => {
    const said = 'naïve 😀 日本語 '.repeat(20)
    const stream = await openai.chat.completions.create({ ...scripted({ say: said, split: true }), stream: true })
    const chunks = await Array.fromAsync(stream)
    assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''), said)
  })

  test(`a first attempt that fails is followed by a second ${door}`, async () => {
    const script = scripted({ attempts: [{ status: 503 }, { say: 'At last.' }] })
    const { data, response } = await openai.chat.completions.create(script).withResponse()
    assert.equal(data.choices[0]?.message.content, 'At last.')
    assert.equal(response.headers.get('x-flow-attempts'), '2')
  })
}

test('a key that is revoked ends its stream and is refused at once', async () => {
  const { data: key } = { data: await alice.organizations.createApiKey({ name: 'short' }) }
  const openai = socket.withOptions({ apiKey: key.key })
  const stream = await openai.chat.completions.create({
    ...scripted({ say: 'word '.repeat(1000), between_ms: 20 }),
    stream: true,
  })
  let chunks = 0
  await assert.rejects(async () => {
    for await (const _chunk of stream) {
      chunks += 1
      if (chunks === 3) await alice.organizations.revokeApiKey({ key_id: key.id })
    }
  }, /not valid/)
  assert.ok(chunks < 1000)
  await assert.rejects(openai.models.list(), { status: 401 })
})

test('whoever may only look may not call', async () => {
  const viewer = await member('viewer')
  await assert.rejects(socket.withOptions({ apiKey: viewer.api_key }).models.list(), { status: 403 })
})

test('what is too large, or comes from nobody, is refused while it is still being sent', async () => {
  const large = new Uint8Array(40 * 1024 * 1024).fill(0x20)
  const send = (key: string, body: Uint8Array<ArrayBuffer> | ReadableStream, more: object = {}) =>
    globalThis.fetch(`http://127.0.0.1:${listening.port}/api/v1/gateway/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body,
      ...more,
    })
  assert.equal((await send(admin.api_key, large)).status, 413)
  assert.equal((await send('nobody', large)).status, 413)
  assert.equal((await send('nobody', large.subarray(0, 20 * 1024 * 1024))).status, 401)
  const endless = new ReadableStream({
    pull: (controller) => pause(20).then(() => controller.enqueue(new Uint8Array(1))),
  })
  assert.equal((await send('fl_nobody', endless, { duplex: 'half' })).status, 401)
  const pieces = ReadableStream.from(Array.from({ length: 40 }, () => large.subarray(0, 1024 * 1024)))
  assert.equal((await send(admin.api_key, pieces, { duplex: 'half' })).status, 413)
})

test('what costs nothing counts as a request of the management API, and a chat does not', async () => {
  const config = { ...platform.config, rate_limit_per_minute: 4 }
  const small = createApp({ ...platform, config }, createMetrics(), { draining: false })
  after(() => small.close())
  const headers = { 'x-api-key': admin.api_key, 'content-type': 'application/json' }
  const ask = async (path: string, body?: object) =>
    small.request(`/api/v1${path}`, body ? { method: 'POST', body: JSON.stringify(body), headers } : { headers })
  const chat = { model: 'flow/echo', messages: user('Hi') }

  const counted = await ask('/gateway/v1/messages/count_tokens', chat)
  assert.deepEqual([counted.status, counted.headers.get('ratelimit')], [200, '"actor";r=3;t=60'])
  assert.equal((await ask('/gateway/v1/models')).status, 200)
  assert.equal((await ask('/gateway/v1/models/flow/echo')).status, 200)
  assert.equal((await ask('/users/me')).status, 200)
  const refused = await ask('/gateway/v1/messages/count_tokens', chat)
  assert.equal(refused.status, 429)
  assert.ok(Number(refused.headers.get('retry-after')) > 50)
  assert.match(await refused.text(), /"rate_limit_error".*Too many requests\. Wait/)
  assert.equal((await ask('/gateway/v1/models')).status, 429)
  assert.equal((await ask('/gateway/v1/chat/completions', chat)).status, 200)
})

test('a HEAD of the models says how long the list is, and Anthropic’s clients find the id of their request', async () => {
  const url = `http://127.0.0.1:${listening.port}/api/v1/gateway/v1`
  const headers = { 'x-api-key': admin.api_key, 'content-type': 'application/json' }
  const got = await globalThis.fetch(`${url}/models/flow/echo`, { headers })
  const head = await globalThis.fetch(`${url}/models/flow/echo`, { method: 'HEAD', headers })
  assert.equal(head.headers.get('content-length'), String((await got.text()).length))
  assert.equal(await head.text(), '')
  assert.equal((await fetch(new Request(`${url}/models/flow/echo`, { method: 'HEAD', headers }))).body, null)

  for (const [path, max_tokens] of [
    ['/messages', 5],
    ['/messages', -1],
    ['/messages/count_tokens', undefined],
  ] as const) {
    const body = JSON.stringify({ model: 'flow/echo', messages: user('Hi'), max_tokens })
    const told = await globalThis.fetch(url + path, { method: 'POST', headers, body })
    assert.match(told.headers.get('request-id') ?? '', /^[0-9a-f-]{36}$/)
    assert.equal(told.headers.get('request-id'), told.headers.get('x-request-id'))
  }
})
