/** What goes wrong at providers, each with a real one over a socket, and what the client meets: an answer, a refusal in
 *  OpenAI's words, or a stream that says that it broke. */

import assert from 'node:assert/strict'
import { type AddressInfo, createServer } from 'node:net'
import { after, test } from 'node:test'
import OpenAI from 'openai'
import { pino } from 'pino'
import { listen } from '../../http/listen.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import type { Fault } from '../hub.ts'
import { createForward } from './forward.ts'
import {
  type Answer,
  breaks,
  delta,
  END,
  event,
  openUpstream,
  pause,
  refuses,
  says,
  streams,
} from './upstream-testing.ts'
import { askWhole } from './whole.ts'

const { app } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })
const listening = await listen(app, '127.0.0.1', 0)
after(() => listening.close(0))
const origin = `http://127.0.0.1:${listening.port}`

type Route = Parameters<Awaited<ReturnType<typeof newOrganization>>['alice']['gateway']['routes']['create']>[0]

/** An organization whose providers `one` and `two` are these, and a client of it. */
async function newClient(upstreams: { base_url: string }[], route: Partial<Route> = {}) {
  const { alice, admin } = await newOrganization()
  const names = ['one', 'two', 'three'].slice(0, upstreams.length)
  for (const [i, { base_url }] of upstreams.entries()) {
    const name = names[i] ?? ''
    await alice.gateway.providers.create({ name, kind: 'openai', base_url, key: `sk-${name}-secret`, skip_test: true })
  }
  const targets = names.map((provider) => ({ provider, model: 'm' }))
  if (targets.length > 0) await alice.gateway.routes.create({ name: 'smart', targets, attempts_max: 1, ...route })
  const openai = new OpenAI({ apiKey: admin.api_key, baseURL: `${origin}/api/v1/gateway/v1`, maxRetries: 0 })
  return { openai, alice, admin }
}

const ask = { model: 'smart', messages: [{ role: 'user' as const, content: 'Hello' }] }
const streamed = { ...ask, stream: true as const }

/** What a stream said before it ended, and how. */
async function read(stream: AsyncIterable<OpenAI.ChatCompletionChunk>) {
  let said = ''
  try {
    for await (const chunk of stream) said += chunk.choices[0]?.delta.content ?? ''
  } catch (error) {
    return { said, error: error as InstanceType<typeof OpenAI.APIError> }
  }
  return { said, error: undefined }
}

const gone = { base_url: 'http://127.0.0.1:9' }

test('the provider gets its own key, the model’s own name and nothing of the client’s credentials', async () => {
  const upstream = await openUpstream(says('Hello.'))
  const { openai } = await newClient([upstream])

  const { data, response } = await openai.chat.completions
    .create(
      { ...ask, model: 'one/some/model', seed: 7 },
      { headers: { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, tracestate: 'vendor=1,other@2=x' } },
    )
    .withResponse()

  assert.equal(data.choices[0]?.message.content, 'Hello.')
  const [got] = upstream.got
  assert.equal(got?.headers.authorization, 'Bearer sk-one-secret')
  assert.equal(got?.url, '/chat/completions')
  assert.deepEqual({ model: got?.body.model, seed: got?.body.seed }, { model: 'some/model', seed: 7 })
  assert.equal(got?.headers.tracestate, 'vendor=1,other@2=x')
  assert.match(String(got?.headers.traceparent), new RegExp(`^00-${'a'.repeat(32)}-(?!b{16})[0-9a-f]{16}-01$`))
  assert.equal(response.headers.get('x-flow-provider'), 'one')
  assert.equal(response.headers.get('x-flow-model'), 'some/model')
})

test('a key that a provider repeats in its refusal is told to nobody', async () => {
  const repeats: Answer = (response, got) => {
    const error = { message: `Incorrect API key: ${got.headers.authorization}`, type: 'auth', code: 'invalid_api_key' }
    response.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify({ error }))
  }
  const late: Answer = streams(
    delta('one '),
    'data: {"error":{"message":"the key sk-one-secret is used up","code":"x"}}\n\n',
  )
  const upstream = await openUpstream(repeats, late)
  const { openai } = await newClient([upstream])

  const refusal = await openai.chat.completions.create(ask).catch((error: unknown) => error)
  assert.match(String(refusal), /Incorrect API key: Bearer …/)
  const { error } = await read(await openai.chat.completions.create(streamed))
  assert.match(String(error?.message), /the key … is used up/)
})

test('when a provider is down the next one answers', async () => {
  const two = await openUpstream(says('I am two.'))
  const { openai } = await newClient([gone, two])

  const { data, response } = await openai.chat.completions.create(ask).withResponse()

  assert.equal(data.choices[0]?.message.content, 'I am two.')
  assert.equal(response.headers.get('x-flow-provider'), 'two')
  assert.equal(response.headers.get('x-flow-attempts'), '2')
})

test('when all are down the client learns it as a 502', async () => {
  const { openai } = await newClient([gone, gone])
  await assert.rejects(openai.chat.completions.create(ask), { status: 502, code: 'upstream_failed' })
})

test('what happened to the connection is told by the provider’s name, and its address is not', async () => {
  const away = await openUpstream()
  await away.close()
  const odd = createServer((socket) => void socket.end('I am no web server.\r\n\r\n'))
  await new Promise<void>((resolve) => odd.listen(0, '127.0.0.1', resolve))
  after(() => odd.close())
  const { port } = odd.address() as AddressInfo
  const told: [{ base_url: string }, RegExp][] = [
    [away, /^502 one takes no connections\.$/],
    [await openUpstream((response) => response.destroy()), /^502 The connection to one broke\.$/],
    [{ base_url: `http://127.0.0.1:${port}` }, /^502 one answered with what is no HTTP\.$/],
    [{ base_url: `https://127.0.0.1:${port}` }, /^502 The connection to one could not be made a safe one\.$/],
  ]
  for (const [upstream, sentence] of told) {
    const { openai } = await newClient([upstream])
    await assert.rejects(openai.chat.completions.create(ask), (error) => {
      return error instanceof OpenAI.APIError && sentence.test(error.message) && !/127|:\d/.test(error.message)
    })
  }

  const { openai } = await newClient([await openUpstream(breaks(delta('Well')))])
  const { said, error } = await read(await openai.chat.completions.create(streamed))
  assert.deepEqual([said, error?.message], ['Well', 'The connection to one broke.'])
})

test('where a connection was lost stands in the log', async () => {
  const lines: { msg: string; provider: string; origin: string; reason: string }[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const upstream = await openUpstream((response) => response.destroy())
  const forward = createForward({ allowed_hosts: ['127.0.0.1'] }, log)
  after(() => forward.close())
  const outgoing = { method: 'GET' as const, url: `${upstream.base_url}/models`, headers: {}, body: '', dropped: [] }
  await assert.rejects(askWhole(forward.send, outgoing, 'one', { wait_ms: 5_000, bytes: 1_000 }), {
    message: 'The connection to one broke.',
  })
  assert.deepEqual(
    lines.map(({ msg, provider, origin, reason }) => [msg, provider, origin, reason]),
    [['a connection to a provider was lost', 'one', upstream.base_url, 'other side closed']],
  )
})

test('a provider that does not begin in time gives way to the next', async () => {
  const slow = await openUpstream(async (response) => {
    await pause(2_000)
    response.end()
  })
  const two = await openUpstream(streams(delta('I am two.'), END))
  const { openai } = await newClient([slow, two], { timeouts_ms: { first_chunk: 200 } })

  const { said, error } = await read(await openai.chat.completions.create(streamed))

  assert.deepEqual([said, error], ['I am two.', undefined])
  await slow.got[0]?.closed
})

test('a stream that stops in the middle ends with an error, and is not begun again', async () => {
  const hanging = await openUpstream(streams(delta('one '), delta('two '), 5_000))
  const two = await openUpstream(says('never'))
  const { openai } = await newClient([hanging, two], { timeouts_ms: { between_chunks: 200 } })

  const { said, error } = await read(await openai.chat.completions.create(streamed))

  assert.equal(said, 'one two ')
  assert.match(String(error?.message), /sent nothing more within 200 ms/)
  assert.equal(two.got.length, 0)
  await hanging.got[0]?.closed
})

test('a stream whose connection breaks, or which ends too early, ends with an error', async () => {
  for (const answer of [
    breaks(delta('one '), delta('two ')),
    streams(delta('one '), delta('two ')),
    streams(delta('one '), delta('two '), 'data: {"choices":[{"ind'),
  ]) {
    const upstream = await openUpstream(answer)
    const { openai } = await newClient([upstream])
    const { said, error } = await read(await openai.chat.completions.create(streamed))
    assert.equal(said, 'one two ')
    assert.ok(error instanceof OpenAI.APIError, String(error))
  }
})

test('a stream that breaks before its first event is begun again elsewhere', async () => {
  const broken = await openUpstream(breaks(': still here\n\n'))
  const two = await openUpstream(streams(delta('I am two.'), END))
  const { openai } = await newClient([broken, two])

  const { said, error } = await read(await openai.chat.completions.create(streamed))
  assert.deepEqual([said, error], ['I am two.', undefined])
})

test('half a character is no character: the client gets whole ones', async () => {
  const text = 'naïve 😀 日本'
  const bytes = Buffer.from(delta(text) + END)
  const at = bytes.indexOf('😀') + 2
  const upstream = await openUpstream(streams(bytes.subarray(0, at), 30, bytes.subarray(at)))
  const { openai } = await newClient([upstream])
  assert.equal((await read(await openai.chat.completions.create(streamed))).said, text)

  upstream.answer(breaks(bytes.subarray(0, at)))
  await assert.rejects(openai.chat.completions.create(streamed), { status: 502 })
})

test('an event that is no JSON ends the stream with an error', async () => {
  const upstream = await openUpstream(streams(delta('one '), 'data: {"choices": [{\n\n', delta('two '), END))
  const { openai } = await newClient([upstream])
  const { said, error } = await read(await openai.chat.completions.create(streamed))
  assert.equal(said, 'one ')
  assert.match(String(error?.message), /no JSON/)
})

test('an error that the provider sends in its stream is told', async () => {
  const upstream = await openUpstream(
    streams(delta('one '), 'data: {"error":{"message":"overloaded","type":"server_error","code":null}}\n\n'),
  )
  const { openai } = await newClient([upstream])
  const { said, error } = await read(await openai.chat.completions.create(streamed))
  assert.equal(said, 'one ')
  assert.match(String(error?.message), /overloaded/)
})

test('a 429 with Retry-After is waited for when it is short, and told when it is long', async () => {
  const upstream = await openUpstream(refuses(429, { 'retry-after': '1' }), says('Now.'))
  const { openai } = await newClient([upstream], { attempts_max: 2 })
  const began = performance.now()
  const answer = await openai.chat.completions.create(ask)
  assert.equal(answer.choices[0]?.message.content, 'Now.')
  assert.ok(performance.now() - began >= 950)

  upstream.answer(refuses(429, { 'retry-after': '120' }))
  await assert.rejects(openai.chat.completions.create(ask), (error: InstanceType<typeof OpenAI.APIError>) => {
    assert.equal(error.status, 429)
    assert.equal(error.headers?.get('retry-after'), '120')
    return true
  })
  // Nobody asks it again before that.
  const asked = upstream.got.length
  await assert.rejects(openai.chat.completions.create(ask), { status: 503 })
  assert.equal(upstream.got.length, asked)
})

test('a 429 without Retry-After is tried again, and then told', async () => {
  const upstream = await openUpstream(refuses(429), refuses(429), says('Now.'))
  const { openai } = await newClient([upstream], { attempts_max: 3 })
  assert.equal((await openai.chat.completions.create(ask)).choices[0]?.message.content, 'Now.')
  assert.equal(upstream.got.length, 3)

  upstream.answer(refuses(429))
  await assert.rejects(openai.chat.completions.create(ask), { status: 429 })
})

test('a 429 sends the call to the next provider at once', async () => {
  const busy = await openUpstream(refuses(429, { 'retry-after': '5' }))
  const two = await openUpstream(says('I am two.'))
  const { openai } = await newClient([busy, two], { attempts_max: 3 })
  assert.equal((await openai.chat.completions.create(ask)).choices[0]?.message.content, 'I am two.')
  assert.equal(busy.got.length, 1)
})

test('a wrong request is not tried again anywhere', async () => {
  const one = await openUpstream(refuses(400))
  const two = await openUpstream(says('never'))
  const { openai } = await newClient([one, two], { attempts_max: 3 })
  await assert.rejects(openai.chat.completions.create(ask), { status: 400 })
  assert.deepEqual([one.got.length, two.got.length], [1, 0])
})

test('a provider that refuses our key is not the client’s fault', async () => {
  const upstream = await openUpstream(refuses(401))
  const { openai } = await newClient([upstream])
  await assert.rejects(openai.chat.completions.create(ask), { status: 502, code: 'upstream_refused' })
})

test('an answer of the wrong kind, or that is cut off, is no answer', async () => {
  const wrong: Record<string, Answer> = {
    html: (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome</h1>'),
    gzip: (response) =>
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end('x'),
    text: (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices": ['),
    short: (response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '5000' }).write('{"choices": [')
      setTimeout(() => response.destroy(), 20)
    },
    redirect: (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    empty: (response) => response.writeHead(200, { 'content-type': 'application/json' }).end(),
  }
  for (const [name, answer] of Object.entries(wrong)) {
    const one = await openUpstream(answer)
    const two = await openUpstream(says('I am two.'))
    const { openai } = await newClient([one, two])
    assert.equal((await openai.chat.completions.create(ask)).choices[0]?.message.content, 'I am two.', name)
    const lone = await newClient([one])
    await assert.rejects(lone.openai.chat.completions.create(ask), { status: 502 }, name)
  }
})

test('a stream that was answered as a page is no stream', async () => {
  const one = await openUpstream((response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>'))
  const { openai } = await newClient([one])
  await assert.rejects(openai.chat.completions.create(streamed), { status: 502 })
})

test('answers of 10 MB pass, whole and in one event', async () => {
  const long = 'x'.repeat(10 * 1024 * 1024)
  const upstream = await openUpstream(says(long))
  const { openai } = await newClient([upstream])
  assert.equal((await openai.chat.completions.create(ask)).choices[0]?.message.content?.length, long.length)

  upstream.answer(streams(delta(long), END))
  assert.equal((await read(await openai.chat.completions.create(streamed))).said.length, long.length)
})

test('a client that reads slowly slows the provider down', async () => {
  let written = 0
  const upstream = await openUpstream(async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const piece = delta('x'.repeat(64 * 1024))
    for (let i = 0; i < 800; i += 1) {
      written += piece.length
      if (!response.write(piece)) await new Promise((resolve) => response.once('drain', resolve))
    }
    response.end(END)
  })
  const { openai } = await newClient([upstream])
  const response = await openai.chat.completions.create(streamed).asResponse()
  const reader = response.body?.getReader()
  await reader?.read()
  await pause(700)
  assert.ok(written < 40 * 1024 * 1024, `${written} bytes were taken from the provider`)
  let bytes = 0
  for (let next = await reader?.read(); next && !next.done; next = await reader?.read())
    bytes += next.value?.length ?? 0
  assert.ok(bytes > 50 * 1024 * 1024)
})

test('a client that goes away ends the call at the provider at once', async () => {
  const upstream = await openUpstream(streams(delta('one '), delta('two '), 10_000))
  const { openai } = await newClient([upstream])
  const stream = await openai.chat.completions.create(streamed)
  for await (const _chunk of stream) break
  stream.controller.abort()
  await upstream.got[0]?.closed

  upstream.answer(async () => {})
  const abort = new AbortController()
  const call = openai.chat.completions.create(ask, { signal: abort.signal })
  call.catch(() => {})
  while (upstream.got.length < 2) await pause(5)
  abort.abort()
  await upstream.got[1]?.closed
})

test('a provider that fails of late is left alone, and asked again later', async () => {
  const upstream = await openUpstream(refuses(500))
  const { openai } = await newClient([upstream])
  for (let i = 0; i < 5; i += 1) await assert.rejects(openai.chat.completions.create(ask), { status: 500 })
  await assert.rejects(openai.chat.completions.create(ask), { status: 503, code: 'UNAVAILABLE' })
  assert.equal(upstream.got.length, 5)
})

test('a second provider is asked when the first thinks too long, and the first is let go', async () => {
  const slow = await openUpstream(async (response, got) => {
    await pause(1_500)
    if (!response.destroyed) await says('I am one.')(response, got)
  })
  const two = await openUpstream(says('I am two.'))
  const { openai } = await newClient([slow, two], { hedge_after_ms: 100 })
  const { data, response } = await openai.chat.completions.create(ask).withResponse()
  assert.equal(data.choices[0]?.message.content, 'I am two.')
  assert.equal(response.headers.get('x-flow-attempts'), '2')
  await slow.got[0]?.closed
})

test('no call takes longer than its whole time', async () => {
  const upstream = await openUpstream(async () => {})
  const { openai } = await newClient([upstream, upstream], {
    timeouts_ms: { connect: 300, first_chunk: 300, between_chunks: 300, total: 300 },
    attempts_max: 5,
  })
  await assert.rejects(openai.chat.completions.create(ask), { status: 504, code: 'upstream_timeout' })
  await upstream.got[0]?.closed
})

test('weights share the calls, and a share of nothing gets none', async () => {
  const [one, two] = [await openUpstream(says('1')), await openUpstream(says('2'))]
  const targets = [
    { provider: 'one', model: 'm', weight: 0 },
    { provider: 'two', model: 'm', weight: 5 },
  ]
  const { openai } = await newClient([one, two], { strategy: 'weighted', targets })
  for (let i = 0; i < 10; i += 1) await openai.chat.completions.create(ask)
  assert.deepEqual([one.got.length, two.got.length], [0, 10])
})

test('an address inside the network is not called', async () => {
  const upstream = await openUpstream(says('never'))
  const forward = createForward({ allowed_hosts: [] }, pino({ level: 'silent' }))
  after(() => forward.close())
  const url = `${upstream.base_url}/chat/completions`
  const fault = await new Promise<Fault>((resolve, reject) => {
    forward.send({ method: 'POST', url, headers: {}, body: '{}', dropped: [] }, 1, {
      name: 'one',
      sent: () => {},
      head: reject,
      chunk: () => {},
      end: reject,
      fail: resolve,
    })
  })
  assert.deepEqual([fault.status, fault.code], [502, 'upstream_refused'])
  assert.match(fault.message, /the address of one: it is not on the public internet/)
  assert.doesNotMatch(fault.message, /127/)
  assert.equal(upstream.got.length, 0)
})

test('a whole answer that does not come in its share of the time is asked of the next provider', async () => {
  const silent = await openUpstream(() => {})
  const stops = await openUpstream((response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).write('{"id":')
  })
  const well = await openUpstream(says('Hello.'))
  const timeouts_ms = { total: 3_000, first_chunk: 3_000, between_chunks: 300 }
  for (const upstream of [silent, stops]) {
    const { openai } = await newClient([upstream, well], { timeouts_ms, attempts_max: 3 })
    const began = performance.now()
    const { data, response } = await openai.chat.completions.create(ask).withResponse()
    assert.deepEqual([data.choices[0]?.message.content, response.headers.get('x-flow-attempts')], ['Hello.', '2'])
    assert.ok(performance.now() - began < 2_900)
  }
  // The last one has all the time that is left.
  const slow = await openUpstream(async (response, got) => {
    await pause(800)
    return says('Late.')(response, got)
  })
  const { openai } = await newClient([slow], { timeouts_ms: { total: 3_000, first_chunk: 300, between_chunks: 300 } })
  assert.equal((await openai.chat.completions.create(ask)).choices[0]?.message.content, 'Late.')
})

test('what the next target cannot do leaves the client the fault that passes', async () => {
  const down = await openUpstream(refuses(503))
  const { openai, alice } = await newClient([down])
  await alice.gateway.providers.create({
    name: 'claude',
    kind: 'anthropic',
    base_url: 'http://127.0.0.1:9',
    key: 'sk-ant',
    skip_test: true,
  })
  const targets = ['one', 'claude'].map((provider) => ({ provider, model: 'm' }))
  await alice.gateway.routes.create({ name: 'either', targets, attempts_max: 1 })
  // Also when the first one is left alone for a while.
  for (let i = 0; i < 7; i += 1) {
    await assert.rejects(openai.chat.completions.create({ ...ask, model: 'either', n: 2 }), { status: 503 })
  }
  assert.equal(down.got.length, 5)
})

test('another key or address begins without the pause that the one before has earned', async () => {
  const upstream = await openUpstream(refuses(429, { 'retry-after': '86400' }))
  const { openai, alice } = await newClient([upstream])
  await assert.rejects(openai.chat.completions.create(ask), { status: 429 })
  const told: InstanceType<typeof OpenAI.APIError> = await openai.chat.completions.create(ask).catch((error) => error)
  assert.equal(told.status, 503)
  // A pause is believed for an hour at most.
  assert.ok(Number(told.headers?.get('retry-after')) <= 3_600)
  assert.equal(upstream.got.length, 1)

  upstream.answer(says('Hello.'))
  const [provider] = (await alice.gateway.providers.list({})).items
  await alice.gateway.providers.rotateKey({ provider_id: provider?.id ?? '', key: 'sk-two', skip_test: true })
  assert.equal((await openai.chat.completions.create(ask)).choices[0]?.message.content, 'Hello.')
  assert.equal(upstream.got.at(-1)?.headers.authorization, 'Bearer sk-two')
})

test('media types are compared without regard to case', async () => {
  const upstream = await openUpstream((response) => {
    const body = {
      id: 'x',
      object: 'chat.completion',
      created: 1,
      model: 'm',
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hello.' }, finish_reason: 'stop' }],
    }
    response.writeHead(200, { 'content-type': 'Application/JSON; Charset=UTF-8' }).end(JSON.stringify(body))
  })
  const { openai } = await newClient([upstream])
  const { data, response } = await openai.chat.completions.create(ask).withResponse()
  assert.equal(data.choices[0]?.message.content, 'Hello.')
  // It told no usage.
  assert.equal(response.headers.get('x-flow-estimated'), 'true')
  upstream.answer((response) => {
    response.writeHead(200, { 'content-type': 'Text/Event-Stream' }).end(delta('Hello.') + END)
  })
  assert.equal((await read(await openai.chat.completions.create(streamed))).said, 'Hello.')
  upstream.answer(says('Hello.'))
  const { response: exact } = await openai.chat.completions.create(ask).withResponse()
  assert.equal(exact.headers.get('x-flow-estimated'), null)
})

test('of a stream that ends early the usage counts that was told by then, whatever format the client speaks', async () => {
  const gemini = `data: {"candidates":[{"content":{"role":"model","parts":[{"text":"Hi"}]}}],"usageMetadata":{"promptTokenCount":5000,"candidatesTokenCount":1,"thoughtsTokenCount":3000}}\n\n`
  const anthropic = [
    {
      type: 'message_start',
      message: {
        id: 'm',
        type: 'message',
        role: 'assistant',
        model: 'm',
        content: [],
        usage: { input_tokens: 5_000, output_tokens: 1 },
      },
    },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } },
  ].map((told) => `event: ${told.type}\ndata: ${JSON.stringify(told)}\n\n`)
  const usage = { prompt_tokens: 5_000, completion_tokens: 1, total_tokens: 5_001 }
  const openai = event({ choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: null }], usage })
  const { alice, admin } = await newClient([])
  for (const [kind, events] of Object.entries({ gemini: [gemini], anthropic, openai: [openai] })) {
    const upstream = await openUpstream(breaks(...events))
    const { base_url } = upstream
    await alice.gateway.providers.create({ name: kind, kind: kind as 'gemini', base_url, key: 'sk', skip_test: true })
    for (const path of ['chat/completions', 'messages']) {
      const headers = { 'x-api-key': admin.api_key, 'content-type': 'application/json' }
      const asked = { ...streamed, model: `${kind}/m`, max_tokens: 50 }
      const url = `${origin}/api/v1/gateway/v1/${path}`
      const told = await fetch(url, { method: 'POST', headers, body: JSON.stringify(asked) })
      await told.text()
      const request_id = told.headers.get('x-request-id') ?? ''
      let found: { usage: { input_tokens: number } } | undefined
      for (let i = 0; i < 100 && !found; i += 1) {
        await pause(20)
        found = (await alice.gateway.calls.list({ request_id })).items[0]
      }
      assert.equal(found?.usage.input_tokens, 5_000, `${kind} by ${path}`)
    }
  }
})
