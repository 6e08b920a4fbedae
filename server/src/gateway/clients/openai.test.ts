/** OpenAI's client for Node, unchanged, over a socket: everything that its users do besides a plain call. What goes over
 *  the wire is held against OpenAI's reference. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import OpenAI from 'openai'
import { ContentFilterFinishReasonError, LengthFinishReasonError } from 'openai/core/error'
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod'
import { ChatCompletionStream } from 'openai/lib/ChatCompletionStream'
import type { RunnableToolFunction } from 'openai/lib/RunnableFunction'
import type { ParsedChatCompletion } from 'openai/resources/chat/completions'
import { z } from 'zod'
import { listen } from '../../http/listen.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import {
  type Answer,
  delta,
  END,
  event,
  openUpstream,
  pause,
  refuses,
  says,
  streams,
} from '../call/upstream-testing.ts'
import { PREFIX } from '../front/front.ts'
import { listeningFetch } from './wire-testing.ts'

const { app } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })
const listening = await listen(app, '127.0.0.1', 0)
after(() => listening.close(0))
const { alice, admin, member } = await newOrganization()
const upstream = await openUpstream(says('Hello.'))
const { base_url } = upstream
await alice.gateway.providers.create({ name: 'local', kind: 'openai', base_url, key: 'sk', skip_test: true })
const { fetch, wrong, heard } = listeningFetch()
const baseURL = `http://127.0.0.1:${listening.port}${PREFIX}`
const openai = new OpenAI({ apiKey: admin.api_key, baseURL, maxRetries: 0, fetch })

const user = (content: string) => [{ role: 'user' as const, content }]
const scripted = (...steps: unknown[]) => ({
  model: 'flow/scripted',
  messages: user(JSON.stringify(steps.length === 1 ? steps[0] : steps)),
})
/** A model of its own for each test, so that nothing remembers the faults of another. */
let count = 0
async function replayed(...answers: Answer[]) {
  count += 1
  upstream.answer(...answers)
  const name = `route-${count}`
  const targets = [{ provider: 'local', model: name }]
  await alice.gateway.routes.create({ name, targets, attempts_max: 1 })
  return { model: name, messages: user('Hello') }
}
const choices = (...more: object[]) => ({
  choices: more.map((one, index) => ({
    index,
    message: { role: 'assistant', content: `${index}`, refusal: null },
    logprobs: null,
    finish_reason: 'stop',
    ...one,
  })),
})
const whole = (content: string) => says('', choices({ message: { role: 'assistant', content, refusal: null } }))
const said = (chunks: OpenAI.ChatCompletionChunk[]) =>
  chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')
const weather: RunnableToolFunction<{ city: string }> = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' } } },
    parse: (text: string) => JSON.parse(text) as { city: string },
    function: ({ city }: { city: string }) => `sunny in ${city}`,
  },
}

function argumentsIn({ choices }: ParsedChatCompletion<unknown>): unknown {
  const [call] = choices[0]?.message.tool_calls ?? []
  return call && 'function' in call && 'parsed_arguments' in call.function ? call.function.parsed_arguments : undefined
}

test('several answers to one question come apart, from a built-in model and from a provider', async () => {
  const own = await openai.chat.completions.create({ model: 'flow/echo', messages: user('x'), n: 3 })
  assert.deepEqual(
    own.choices.map(({ index, message }) => [index, message.content]),
    [
      [0, 'x'],
      [1, 'x'],
      [2, 'x'],
    ],
  )
  const passed = await openai.chat.completions.create({ ...(await replayed(says('', choices({}, {})))), n: 2 })
  assert.deepEqual(
    passed.choices.map(({ message }) => message.content),
    ['0', '1'],
  )
  assert.equal(upstream.got.at(-1)?.body.n, 2)
})

test('several answers stream side by side', async () => {
  const stream = openai.chat.completions.stream({ ...scripted({ say: 'one two three' }), n: 2 })
  const { choices } = await stream.finalChatCompletion()
  assert.deepEqual(
    choices.map(({ message }) => message.content),
    ['one two three', 'one two three'],
  )
})

test('likelihoods pass, whole and in a stream', async () => {
  const logprobs = { content: [{ token: 'Hi', logprob: -0.1, bytes: [72, 105], top_logprobs: [] }], refusal: null }
  const asked = { logprobs: true, top_logprobs: 2 }
  const answer = await openai.chat.completions.create({
    ...(await replayed(says('', choices({ logprobs })))),
    ...asked,
  })
  assert.deepEqual(answer.choices[0]?.logprobs, logprobs)
  const piece = event({ choices: [{ index: 0, delta: { content: 'Hi' }, logprobs, finish_reason: null }] })
  const streamed = { ...(await replayed(streams(piece, END))), ...asked, stream: true as const }
  const chunks = await Array.fromAsync(await openai.chat.completions.create(streamed))
  assert.deepEqual(chunks[0]?.choices[0]?.logprobs, logprobs)
})

test('the helper for streams tells pieces, snapshots and the whole', async () => {
  const stream = openai.chat.completions.stream(scripted({ say: 'It is sunny.' }))
  const snapshots: string[] = []
  stream.on('content', (_delta, snapshot) => snapshots.push(snapshot))
  const ends: string[] = []
  stream.on('content.done', ({ content }) => ends.push(content))
  assert.equal(await stream.finalContent(), 'It is sunny.')
  assert.deepEqual([snapshots.at(-1), ends], ['It is sunny.', ['It is sunny.']])
  assert.ok(snapshots.length > 1)
  assert.equal((await stream.totalUsage()).total_tokens, 0)
})

test('a stream is told twice over, and handed on', async () => {
  const stream = await openai.chat.completions.create({ ...scripted({ say: 'one two' }), stream: true })
  const [left, right] = stream.tee()
  assert.equal(said(await Array.fromAsync(left)), 'one two')
  const handed = ChatCompletionStream.fromReadableStream(right.toReadableStream())
  assert.equal(await handed.finalContent(), 'one two')
})

for (const stream of [false, true]) {
  test(`tools run over several turns until there is an answer (${stream ? 'streamed' : 'whole'})`, async () => {
    const turns = [
      { calls: [{ name: 'weather', arguments: { city: 'Rome' } }] },
      { calls: [{ name: 'weather', arguments: { city: 'Bern' } }] },
      { say: 'Sunny everywhere.' },
    ]
    const asked = { ...scripted(...turns), tools: [weather] }
    const { chat } = openai
    const runner = stream
      ? chat.completions.runTools({ ...asked, stream: true })
      : chat.completions.runTools({ ...asked, stream: false })
    assert.equal(await runner.finalContent(), 'Sunny everywhere.')
    const results = runner.messages.flatMap((message) => (message.role === 'tool' ? [message.content] : []))
    assert.deepEqual(results, ['sunny in Rome', 'sunny in Bern'])
  })
}

test('arguments of tools are parsed by their schema, whole and in a stream', async () => {
  const tools = [zodFunction({ name: 'weather', parameters: z.object({ city: z.string() }) })]
  const script = scripted({ calls: [{ name: 'weather', arguments: { city: 'Rome' } }] })
  const whole = await openai.chat.completions.parse({ ...script, tools })
  assert.deepEqual(argumentsIn(whole), { city: 'Rome' })
  const streamed = await openai.chat.completions.stream({ ...script, tools }).finalChatCompletion()
  assert.deepEqual(argumentsIn(streamed), { city: 'Rome' })
})

test('structured outputs are parsed, whole and in a stream, and one that was cut throws', async () => {
  const response_format = zodResponseFormat(z.object({ degrees: z.number() }), 'weather')
  const script = scripted({ say: '{"degrees": 21}' })
  const whole = await openai.chat.completions.parse({ ...script, response_format })
  assert.deepEqual(whole.choices[0]?.message.parsed, { degrees: 21 })
  const streamed = await openai.chat.completions.stream({ ...script, response_format }).finalChatCompletion()
  assert.deepEqual(streamed.choices[0]?.message.parsed, { degrees: 21 })
  const cut = scripted({ say: '{"degrees":', finish: 'length' })
  await assert.rejects(openai.chat.completions.parse({ ...cut, response_format }), LengthFinishReasonError)
  const filtered = scripted({ say: 'I', finish: 'content_filter' })
  await assert.rejects(openai.chat.completions.parse({ ...filtered, response_format }), ContentFilterFinishReasonError)
})

test('parts with texts and images pass as they are', async () => {
  const content = [
    { type: 'text' as const, text: 'What is this?' },
    { type: 'image_url' as const, image_url: { url: 'data:image/png;base64,iVBORw0KGgo=', detail: 'low' as const } },
  ]
  const { model } = await replayed(whole('A dot.'))
  const answer = await openai.chat.completions.create({ model, messages: [{ role: 'user', content }] })
  assert.equal(answer.choices[0]?.message.content, 'A dot.')
  assert.deepEqual(upstream.got.at(-1)?.body.messages, [{ role: 'user', content }])
})

test('vectors come in base64 by default, which the client reads, and as numbers', async () => {
  const input = ['the cat', 'the dog']
  const model = 'flow/hash-embedding-384'
  const encoded = await openai.embeddings.create({ model, input })
  const numbers = await openai.embeddings.create({ model, input, encoding_format: 'float' })
  assert.equal(encoded.data[1]?.embedding.length, 384)
  for (const [i, { embedding }] of numbers.data.entries()) {
    for (const [at, value] of embedding.entries()) {
      assert.ok(Math.abs(value - (encoded.data[i]?.embedding[at] ?? 9)) < 1e-6)
    }
  }
  const formats = heard.filter(({ path }) => path.endsWith('/embeddings')).map(({ text }) => /"embedding":"/.test(text))
  assert.deepEqual(formats, [true, false])
})

test('models are paged through, and one is retrieved by an id with a slash', async () => {
  const ids: string[] = []
  for await (const { id } of openai.models.list()) ids.push(id)
  assert.ok(ids.includes('flow/echo'))
  assert.equal((await openai.models.retrieve('flow/echo')).owned_by, 'flow')
})

test('the raw response has the headers of the call', async () => {
  const response = await openai.chat.completions.create({ model: 'flow/echo', messages: user('x') }).asResponse()
  assert.equal(response.headers.get('x-flow-provider'), 'flow')
  const { data, response: told, request_id } = await openai.models.list().withResponse()
  assert.equal(told.status, 200)
  assert.match(request_id ?? '', /^[0-9a-f-]{36}$/)
  assert.ok(data.data.length > 0)
})

test('an answer bears the id of its request', async () => {
  const answer = await openai.chat.completions.create({ model: 'flow/echo', messages: user('x') })
  assert.match(answer._request_id ?? '', /^[0-9a-f-]{36}$/)
})

const classes: [number, new (...given: never[]) => Error][] = [
  [400, OpenAI.BadRequestError],
  [404, OpenAI.NotFoundError],
  [409, OpenAI.ConflictError],
  [422, OpenAI.UnprocessableEntityError],
  [429, OpenAI.RateLimitError],
  [500, OpenAI.InternalServerError],
  [503, OpenAI.InternalServerError],
]
for (const [status, kind] of classes) {
  test(`a provider’s ${status} is thrown as ${kind.name}, also for a stream`, async () => {
    const asked = await replayed(refuses(status))
    await assert.rejects(openai.chat.completions.create(asked), kind)
    await assert.rejects(openai.chat.completions.create({ ...asked, stream: true }), kind)
  })
}

test('who is nobody, and who may only look, are told apart', async () => {
  await assert.rejects(openai.withOptions({ apiKey: 'nobody' }).models.list(), OpenAI.AuthenticationError)
  const { api_key } = await member('viewer')
  await assert.rejects(openai.withOptions({ apiKey: api_key }).models.list(), OpenAI.PermissionDeniedError)
})

test('a wrong field is named', async () => {
  const wrongRole = { model: 'flow/echo', messages: [{ role: 'wizard' as 'user', content: 'x' }] }
  await assert.rejects(openai.chat.completions.create(wrongRole), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError)
    assert.equal(error.param, 'messages[0].role')
    assert.match(error.requestID ?? '', /^[0-9a-f-]{36}$/)
    return true
  })
})

test('the client tries again after the time that Retry-After names', async () => {
  const asked = await replayed(refuses(429, { 'retry-after': '1' }), whole('Now.'))
  const before = upstream.got.length
  const began = performance.now()
  const answer = await openai.withOptions({ maxRetries: 1 }).chat.completions.create(asked)
  assert.equal(answer.choices[0]?.message.content, 'Now.')
  assert.ok(performance.now() - began >= 900)
  assert.equal(upstream.got.length - before, 2)
})

test('the client does not try again what is of no use', async () => {
  const asked = await replayed(refuses(401))
  const before = upstream.got.length
  await assert.rejects(openai.withOptions({ maxRetries: 3 }).chat.completions.create(asked), { status: 502 })
  assert.equal(upstream.got.length - before, 1)
})

test('a client that has no more patience goes away, and the provider’s call ends', async () => {
  const asked = await replayed(async () => {})
  await assert.rejects(openai.chat.completions.create(asked, { timeout: 200 }), OpenAI.APIConnectionTimeoutError)
  await upstream.got.at(-1)?.closed
})

test('a call and a stream are given up by a signal', async () => {
  const asked = await replayed(async () => {})
  const before = upstream.got.length
  const abort = new AbortController()
  const call = openai.chat.completions.create(asked, { signal: abort.signal })
  call.catch(() => {})
  while (upstream.got.length === before) await pause(5)
  abort.abort()
  await assert.rejects(call, OpenAI.APIUserAbortError)
  await upstream.got.at(-1)?.closed

  upstream.answer(streams(delta('one '), delta('two '), 2_000))
  const stream = await openai.chat.completions.create({ ...asked, stream: true })
  for await (const _chunk of stream) stream.controller.abort()
  await upstream.got.at(-1)?.closed
})

test('a stream that breaks is thrown by the helper, too', async () => {
  const stream = openai.chat.completions.stream(scripted({ say: 'a b c d', cut_after: 3 }))
  const pieces: string[] = []
  stream.on('content', (piece) => pieces.push(piece))
  await assert.rejects(stream.finalContent(), OpenAI.APIError)
  assert.equal(pieces.join(''), 'a b ')
})

test('completions of the old kind are answered, whole and in a stream', async () => {
  const asked = { model: 'flow/echo', prompt: 'one two', max_tokens: 50 }
  const whole = await openai.completions.create(asked)
  assert.equal(whole.choices[0]?.text, 'one two')
  const chunks = await Array.fromAsync(await openai.completions.create({ ...asked, stream: true }))
  assert.equal(chunks.map(({ choices }) => choices[0]?.text ?? '').join(''), 'one two')
})

test('every answer, every chunk and every error was as the reference has it', () => {
  assert.ok(heard.length > 40)
  assert.deepEqual(wrong, [])
})
