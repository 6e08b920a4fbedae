/** What passes through, and what is seen of it without reading it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Stop } from '../call/route.ts'
import { outlineOf } from '../mouths/outline.ts'
import { assertReference, eventsOf } from '../mouths/reference-testing.ts'
import { flow } from '../providers/flow.ts'
import { openai } from '../providers/openai.ts'
import type { Native } from '../providers/provider.ts'
import { textIn, writtenIn } from './look.ts'
import { nativeWay } from './native-way.ts'
import type { Wish } from './ways.ts'

const stop: Stop = {
  provider: {
    id: 'p',
    name: 'p',
    kind: 'openai',
    base_url: 'http://p.test',
    key: null,
    headers: {},
    options: {},
    models: [],
  },
  model: 'm',
}
const wish: Wish = {
  mouth: 'chat',
  body: { model: 'p/m', messages: [], stream: true },
  outline: { model: 'p/m', stream: true, n: 1, output_tokens_max: null, input_tokens_max: 1, text_bytes: 0 },
  headers: {},
  id: 'id',
  created: 1,
}
const passage = (native: Native = flow.native.chat as Native) => nativeWay(native, stop, wish, null).stream()
const chunk = (delta: object, space = '') =>
  `data: {"id":"1","choices":[{"index":0,"delta":${space}${JSON.stringify(delta).replaceAll(':', `:${space}`)},"finish_reason":null}]}\n\n`

/** What an OpenAI-like server is sent where so much is paid for. */
const sentFor = (mouth: 'chat' | 'completions', fields: object, paid: number | null) => {
  const body = { model: 'p/m', ...fields }
  const native = openai.native[mouth] as Native
  const { body: sent, dropped } = nativeWay(
    native,
    stop,
    { ...wish, mouth, body, outline: outlineOf(mouth, body) },
    paid,
  ).outgoing
  return { ...JSON.parse(sent), dropped }
}

test('no field asks for a longer answer than is paid for, or for another model', () => {
  for (const asked of [
    { max_tokens: 5, max_completion_tokens: 1_000_000 },
    { max_tokens: 1_000_000, max_completion_tokens: 5 },
  ]) {
    const sent = sentFor('chat', asked, 100)
    assert.ok(sent.max_tokens <= 100, JSON.stringify(sent))
    assert.equal(sent.max_completion_tokens, undefined)
  }
  assert.equal(sentFor('chat', {}, 100).max_tokens, 100)
  assert.equal(sentFor('chat', { n: 4 }, 100).max_tokens, 25)
  assert.equal(sentFor('completions', { prompt: 'x' }, null).max_tokens, 16)
  assert.equal(sentFor('completions', { prompt: [], max_tokens: 1_000 }, 100).max_tokens, 100)
  const others = sentFor('chat', { models: ['dearest'], n_predict: 1_000_000 }, null)
  assert.deepEqual([others.models, others.n_predict, others.dropped], [undefined, undefined, ['models', 'n_predict']])
})

test('what was written is counted as it passes, whatever the spaces', () => {
  for (const space of ['', ' ']) {
    const stream = passage()
    const text = [
      chunk({ role: 'assistant', content: '' }, space),
      chunk({ content: 'x'.repeat(40) }, space),
      chunk({ content: `"}{\\ ${'x'.repeat(15)}` }, space),
      chunk({ reasoning_content: 'x'.repeat(20) }, space),
      chunk({ tool_calls: [{ index: 0, function: { arguments: 'x'.repeat(16) } }] }, space),
    ].join('')
    assert.equal(stream.push(Buffer.from(text)).toString(), text)
    // 40 + 22 (with two backslashes) + 20 + 16 bytes.
    assert.equal(stream.output_tokens, 25)
  }
})

test('text is counted in every format, whatever the spaces', () => {
  const x = 'x'.repeat(40)
  const told = {
    completions: { choices: [{ text: x }] },
    messages: { type: 'content_block_delta', delta: { type: 'text_delta', text: x } },
    responses: { type: 'response.output_text.delta', delta: x },
  }
  for (const mouth of ['completions', 'messages', 'responses'] as const) {
    for (const space of [undefined, 2]) {
      const text = JSON.stringify(told[mouth], null, space).replaceAll(':', ': ')
      assert.deepEqual(writtenIn(mouth, `data: ${text}\n\n`), { bytes: 40, deltas: 1 }, `${mouth} ${space}`)
    }
  }
  const whole = JSON.stringify({ choices: [{ message: { content: x, reasoning: x, reasoning_content: x } }] }, null, 1)
  assert.equal(textIn('chat', whole).bytes, 80)
})

test('thoughts that are told under several names count once, and ids and encoded bytes count nothing', () => {
  const x = 'x'.repeat(40)
  for (const delta of [
    { reasoning: x, reasoning_content: x },
    { reasoning: x, reasoning_details: [{ type: 'reasoning.text', id: x, format: 'f', text: x }] },
    { content: [{ type: 'text', text: x }] },
    { tool_calls: [{ index: 0, id: x, type: 'function', function: { name: x, arguments: x } }] },
    { audio: { id: x, data: x.repeat(100), transcript: x } },
  ])
    assert.deepEqual(writtenIn('chat', chunk(delta)), { bytes: 40, deltas: 1 }, JSON.stringify(delta))
})

test('a stream that said why it ended is whole without a last empty line or a mark, and the client gets the mark', () => {
  const finish = `data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason": "stop"}]}\n\n`
  for (const end of ['', 'data: [DONE]', 'data: [DONE]\n']) {
    const stream = passage()
    const text = stream.push(Buffer.from(chunk({ content: 'Hi' }) + finish + end)).toString() + stream.end().toString()
    assert.equal(text.trimEnd(), `${chunk({ content: 'Hi' })}${finish}data: [DONE]`)
  }
  const two = nativeWay(
    flow.native.chat as Native,
    stop,
    { ...wish, outline: { ...wish.outline, n: 2 } },
    null,
  ).stream()
  two.push(Buffer.from(chunk({ content: 'Hi' }) + finish))
  assert.throws(() => two.end(), /ended/)
  const late = passage()
  late.push(Buffer.from(finish + chunk({ content: 'x'.repeat(40) }).trimEnd()))
  late.end()
  assert.equal(late.output_tokens, 10)
  for (const end of ['', 'data: {"id":"1","cho']) {
    const stream = passage()
    stream.push(Buffer.from(chunk({ content: 'Hi' }) + end))
    assert.throws(() => stream.end(), /ended/)
  }
})

test('lines may end in several ways in one stream', () => {
  const stream = passage()
  const text = `${chunk({ content: 'Hi' }).trimEnd()}\n\r\ndata: [DONE]\n\r\n`
  assert.equal(stream.push(Buffer.from(text)).toString(), text)
  assert.equal(stream.end().length, 0)
})

test('a call that its host gives no number gets one, and what has one passes as the very bytes', () => {
  const calls = (...tool_calls: object[]) => chunk({ tool_calls })
  const piece = (text: string) => ({ function: { arguments: text } })
  const began = (id: string) => ({ id, type: 'function', function: { name: 'look', arguments: '' } })
  const stream = passage()
  const told = stream.push(
    Buffer.from(calls(began('a')) + calls(piece('{')) + calls(began('b'), began('c')) + calls(piece('['))),
  )
  const indexes = eventsOf(told.toString()).map(({ data }) =>
    JSON.parse(data).choices[0].delta.tool_calls.map(({ index }: { index: number }) => index),
  )
  assert.deepEqual(indexes, [[0], [0], [1, 2], [2]])
  const numbered = calls({ index: 0, ...began('a') }) + calls({ index: 0, ...piece('{') })
  assert.equal(passage().push(Buffer.from(numbered)).toString(), numbered)
})

test('an answer without what makes it one is the provider’s fault', () => {
  const fault = (mouth: Wish['mouth'], answer: object) => () =>
    nativeWay(openai.native[mouth] as Native, stop, { ...wish, mouth }, null).answer(
      Buffer.from(JSON.stringify(answer)),
    )
  for (const answer of [{}, { choices: [] }, { choices: null }]) {
    assert.throws(fault('chat', answer), /p answered without "choices"/)
    assert.throws(fault('completions', answer), /"choices"/)
  }
  assert.throws(fault('embeddings', { data: [] }), /"data"/)
})

test('each input gets its vector, also where the answer is too long to be read as a rule', () => {
  const ask = (input: Wish['body'][string], vectors: number, length: number) => () => {
    const embedding = Array.from({ length }, () => 0.123_456_789)
    const data = Array.from({ length: vectors }, (_, index) => ({ object: 'embedding', index, embedding }))
    const answer = { object: 'list', data, model: 'm', usage: { prompt_tokens: 3, total_tokens: 3 } }
    const way = nativeWay(
      openai.native.embeddings as Native,
      stop,
      { ...wish, mouth: 'embeddings', body: { input } },
      null,
    )
    return way.answer(Buffer.from(JSON.stringify(answer)))
  }
  for (const length of [2, 10_000]) {
    assert.throws(ask(['a', 'b'], 1, length), /p told another number of vectors \(1\) than of inputs \(2\)/)
    assert.throws(ask([1, 2], 2, length), /vectors \(2\) than of inputs \(1\)/)
    for (const input of ['a', ['a'], [1, 2], [[1, 2]], [{ text: 'a' }, { text: 'b' }]])
      assert.equal(ask(input, 1, length)().usage?.input, 3)
    assert.equal(ask(['a', 'b'], 2, length)().usage?.input, 3)
  }
})

test('each delta is a token at least', () => {
  const stream = passage()
  for (let i = 0; i < 10; i += 1) stream.push(Buffer.from(chunk({ content: 'x' })))
  assert.equal(stream.output_tokens, 10)
})

test('a chunk that needs no look passes as the very bytes', () => {
  const bytes = Buffer.from(chunk({ content: 'a' }) + chunk({ content: 'b' }))
  assert.equal(passage().push(bytes), bytes)
})

test('words like usage and error in what is said hide nothing and break nothing', () => {
  const text = chunk({ content: 'the "usage": {"error": 1} [DONE] "message_stop"' })
  const stream = passage()
  assert.equal(stream.push(Buffer.from(text)).toString(), text)
  assert.deepEqual([stream.usage, stream.fault], [undefined, undefined])
})

test('what a client asks for by headers reaches the provider, and nothing else of them does', () => {
  const headers = { 'openai-beta': 'assistants=v2', cookie: 'c', authorization: 'Bearer fl_x' }
  const { outgoing } = nativeWay(flow.native.chat as Native, stop, { ...wish, headers }, null)
  assert.deepEqual(outgoing.headers, { 'content-type': 'application/json', 'openai-beta': 'assistants=v2' })
})

test('a stream of responses that breaks ends with an error whose number is the next one', () => {
  const stream = nativeWay(openai.native.responses as Native, stop, { ...wish, mouth: 'responses' }, null).stream()
  const told = (number: number) => `event: x\ndata: {"type":"response.x","sequence_number":${number},"delta":"a"}\n\n`
  const broke = { status: 502, type: 'api_error', code: 'upstream_failed', message: 'It broke.' }
  const numberIn = () => {
    const [event] = eventsOf(stream.fail(broke))
    const error = JSON.parse(event?.data ?? '')
    assertReference('responses.event', error)
    return error.sequence_number
  }
  assert.equal(numberIn(), 0)
  stream.push(Buffer.from(told(6) + told(7)))
  assert.equal(numberIn(), 8)
})
