/** Providers that break the rules of HTTP, JSON or UTF-8, and clients that send too much: each over a socket, in the format
 *  that passes and in one that is translated. Whatever comes, the client is told in OpenAI's words, and the server goes on. */

import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { after, test } from 'node:test'
import OpenAI from 'openai'
import { listen } from '../../http/listen.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import { type Answer, delta, END, openUpstream, pause, refuses, says, streams } from './upstream-testing.ts'

const { app } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })
const listening = await listen(app, '127.0.0.1', 0)
after(() => listening.close(0))
const baseURL = `http://127.0.0.1:${listening.port}/api/v1/gateway/v1`

/** An organization with a provider that is asked in OpenAI's format, and one that is asked in Gemini's. */
async function newClient(base_url: string) {
  const { alice, admin } = await newOrganization()
  for (const [name, kind] of [['passes', 'openai'] as const, ['translated', 'gemini'] as const]) {
    await alice.gateway.providers.create({ name, kind, base_url, key: 'k', skip_test: true })
    const targets = [{ provider: name, model: 'm' }]
    await alice.gateway.routes.create({ name: `once-${name}`, targets, attempts_max: 1 })
  }
  const openai = new OpenAI({ apiKey: admin.api_key, baseURL, maxRetries: 0 })
  return { openai, alice, admin }
}
const hello = [{ role: 'user' as const, content: 'Hello' }]
const routes = ['once-passes', 'once-translated']

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

/** A server that says these bytes to every request, and hangs up. */
async function openRaw(bytes: string | Buffer): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(bytes))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  after(() => server.close())
  const address = server.address()
  assert.ok(typeof address === 'object' && address)
  return `http://127.0.0.1:${address.port}`
}

const head = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n'
const wild: Record<string, string> = {
  'what is no HTTP': 'SSH-2.0-OpenSSH_9.6\r\n',
  'a chunk without a size': `${head}transfer-encoding: chunked\r\n\r\nZZ\r\n{}\r\n`,
  'chunks that do not end': `${head}transfer-encoding: chunked\r\n\r\n5\r\n{"a":`,
  'two lengths': `${head}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`,
  'a header without an end': `${head}x: ${'y'.repeat(100_000)}\r\n\r\n{}`,
  'nothing at all': '',
  'a switch of protocols': 'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
  'news before an answer that does not come': 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n',
}
for (const [name, bytes] of Object.entries(wild)) {
  test(`a provider that says ${name} has not answered`, async () => {
    const { openai } = await newClient(await openRaw(bytes))
    for (const model of routes) {
      await assert.rejects(openai.chat.completions.create({ model, messages: hello }), { status: 502 })
      await assert.rejects(openai.chat.completions.create({ model, messages: hello, stream: true }), { status: 502 })
    }
    const { choices } = await openai.chat.completions.create({ model: 'flow/echo', messages: hello })
    assert.equal(choices[0]?.message.content, 'Hello')
  })
}

/** The first half of the bytes of a face, with the JSON whole around it. */
const halved = (json: string) => {
  const bytes = Buffer.from(json)
  const at = bytes.indexOf('😀')
  return Buffer.concat([bytes.subarray(0, at + 2), bytes.subarray(at + 4)])
}

test('an answer with half a character in it is no answer', async () => {
  const gemini = { candidates: [{ content: { role: 'model', parts: [{ text: 'a 😀' }] }, finishReason: 'STOP' }] }
  const message = { role: 'assistant', content: 'a 😀' }
  const chat = { id: 'c', object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }] }
  for (const [model, body] of [['once-passes', chat] as const, ['once-translated', gemini] as const]) {
    const answer: Answer = (response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(halved(JSON.stringify(body)))
    const { openai } = await newClient((await openUpstream(answer)).base_url)
    const asked = openai.chat.completions.create({ model, messages: hello })
    await assert.rejects(asked, { status: 502, code: 'upstream_malformed' }, model)
  }
})

test('an event with half a character in it ends the stream with an error, behind what was said', async () => {
  const piece = (text: string) => `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text }] } }] })}\n\n`
  for (const [model, one, half] of [
    ['once-passes', delta('one '), halved(delta('a 😀'))] as const,
    ['once-translated', piece('one '), halved(piece('a 😀'))] as const,
  ]) {
    const { openai } = await newClient((await openUpstream(streams(one, 30, half, END))).base_url)
    const { said, error } = await read(await openai.chat.completions.create({ model, messages: hello, stream: true }))
    assert.equal(said, 'one ', model)
    assert.ok(error instanceof OpenAI.APIError, model)
  }
})

test('a refusal of 10 MB is a refusal, and only its beginning is read', async () => {
  const page = 'x'.repeat(10 * 1024 * 1024)
  const upstream = await openUpstream((response) => response.writeHead(500, { 'content-type': 'text/html' }).end(page))
  const { openai } = await newClient(upstream.base_url)
  for (const model of routes) {
    await assert.rejects(openai.chat.completions.create({ model, messages: hello }), (error) => {
      assert.ok(error instanceof OpenAI.InternalServerError)
      assert.ok(error.message.length < 10_000)
      return true
    })
  }
})

test('an answer that does not end is cut off, and an event as well', async () => {
  const endless: Answer = (response, { body }) => {
    const isStream = body.stream === true
    response.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' })
    const write = () => {
      while (!response.destroyed && response.write('x'.repeat(1024 * 1024)));
    }
    response.on('drain', write)
    response.write(isStream ? 'data: "' : '"')
    write()
  }
  const upstream = await openUpstream(endless)
  const { openai } = await newClient(upstream.base_url)
  for (const stream of [false, true]) {
    const asked = openai.chat.completions.create({ model: 'once-passes', messages: hello, stream })
    await assert.rejects(asked, { status: 502, code: 'upstream_malformed' })
    await upstream.got.at(-1)?.closed
  }
})

test('a provider that closes kept connections is asked over a new one', async () => {
  const upstream = await openUpstream((response, got) => {
    says('Hello.')(response, got)
    setTimeout(() => response.socket?.destroy(), 5)
  })
  const { openai } = await newClient(upstream.base_url)
  for (let i = 0; i < 5; i += 1) {
    const { choices } = await openai.chat.completions.create({ model: 'passes/m', messages: hello })
    assert.equal(choices[0]?.message.content, 'Hello.')
    await pause(20)
  }
})

test('Retry-After may be a date, and nonsense in it is passed over', async () => {
  const soon = new Date(Date.now() + 90_000).toUTCString()
  const upstream = await openUpstream(refuses(429, { 'retry-after': soon }))
  const { openai } = await newClient(upstream.base_url)
  await assert.rejects(openai.chat.completions.create({ model: 'once-passes', messages: hello }), (error) => {
    assert.ok(error instanceof OpenAI.RateLimitError)
    const seconds = Number(error.headers.get('retry-after'))
    assert.ok(seconds > 60 && seconds <= 91, `${seconds}`)
    return true
  })
  upstream.answer(refuses(429, { 'retry-after': 'tomorrow' }))
  await assert.rejects(openai.chat.completions.create({ model: 'translated/other', messages: hello }), { status: 429 })
})

test('a conversation of 100,000 messages reaches the provider, as it is or translated', async () => {
  const gemini = { candidates: [{ content: { role: 'model', parts: [{ text: 'Hello.' }] }, finishReason: 'STOP' }] }
  const upstream = await openUpstream((response, got) => {
    if (got.url.endsWith('/chat/completions')) return says('Hello.')(response, got)
    return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(gemini))
  })
  const { openai } = await newClient(upstream.base_url)
  const messages = Array.from({ length: 100_000 }, (_, i) => ({
    role: i % 2 ? ('assistant' as const) : ('user' as const),
    content: `${i}`,
  }))
  for (const model of routes) {
    const { choices } = await openai.chat.completions.create({ model, messages })
    assert.equal(choices[0]?.message.content, 'Hello.')
    const { messages: passed, contents } = upstream.got.at(-1)?.body ?? {}
    assert.equal(((passed ?? contents) as unknown[]).length, 100_000)
  }
})

test('a body that is nested too deep reaches nobody', async () => {
  const upstream = await openUpstream(says('never'))
  const { openai } = await newClient(upstream.base_url)
  const nested = (levels: number) => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`) as unknown
  for (const model of routes) {
    for (const levels of [100, 1_000]) {
      const asked = { model, messages: hello, metadata: { a: nested(levels) as string } }
      const tools = [{ type: 'function' as const, function: { name: 'f', parameters: { a: nested(levels) } } }]
      await assert.rejects(openai.chat.completions.create({ model, messages: hello, tools }), { status: 400 })
      await assert.rejects(openai.chat.completions.create(asked), { status: 400 })
    }
  }
  assert.equal(upstream.got.length, 0)
})

test('an answer that is nested ever so deep does no harm', async () => {
  const deep = `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`
  const call = `{"functionCall":{"name":"f","args":${deep}}}`
  const gemini = `{"candidates":[{"content":{"role":"model","parts":[${call}]},"finishReason":"STOP"}]}`
  const upstream = await openUpstream((response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(gemini),
  )
  const { openai } = await newClient(upstream.base_url)
  const asked = openai.chat.completions.create({ model: 'once-translated', messages: hello })
  await asked.then(
    ({ choices }) => assert.equal(choices[0]?.finish_reason, 'tool_calls'),
    (error) => assert.equal(error.status, 502),
  )
})

test('a role that nobody knows is refused by us where we translate, and by the provider where it passes', async () => {
  const error = {
    message: "Invalid value: 'wizard'.",
    type: 'invalid_request_error',
    param: 'messages[0].role',
    code: null,
  }
  const upstream = await openUpstream((response) =>
    response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error })),
  )
  const { openai } = await newClient(upstream.base_url)
  const messages = [{ role: 'wizard' as 'user', content: 'x' }]
  for (const model of routes) {
    const asked = openai.chat.completions.create({ model, messages })
    await assert.rejects(asked, { status: 400, param: 'messages[0].role' })
  }
  assert.equal(upstream.got.length, 1)
})

test('a key that is revoked in the middle of a stream ends the call at the provider', async () => {
  const words = Array.from({ length: 200 }, (_, i) => [delta(`${i} `), 20]).flat()
  const upstream = await openUpstream(streams(...words, END))
  const { openai, alice } = await newClient(upstream.base_url)
  const { key, id } = await alice.organizations.createApiKey({ name: 'short' })
  const asked = { model: 'once-passes', messages: hello, stream: true as const }
  const stream = await openai.withOptions({ apiKey: key }).chat.completions.create(asked)
  const ends = read(stream)
  await alice.organizations.revokeApiKey({ key_id: id })
  const { said, error } = await ends
  assert.match(String(error?.message), /not valid/)
  assert.ok(said.length < words.length)
  await upstream.got[0]?.closed
})
