import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAnthropic } from '@ai-sdk/anthropic'
import type { ChatRequest, Json, JsonObject } from '../hub.ts'
import { EventReader } from '../ways/sse.ts'
import { about, answerOf, testExchanges } from './adapter-testing.ts'
import { adapters } from './adapters.ts'
import { anthropic } from './anthropic.ts'
import { closedSchema, isClosable } from './anthropic-schema.ts'
import { chunksOf, type Exchange, exchangesOf, named, understoodOf } from './exchanges-testing.ts'
import { callOptionsOf, type Dialect, opinionOf, opinionOfStream, recording } from './oracle-testing.ts'
import { type Account, ProviderFault, type StreamPiece } from './provider.ts'

const account: Account = {
  kind: 'anthropic',
  base_url: 'https://api.anthropic.com/v1',
  key: 'sk-ant-test',
  headers: { 'x-team': 'red' },
  options: {},
}
const exchanges = exchangesOf('anthropic')
const MODEL = 'claude-sonnet-4-5'
const request = (messages: ChatRequest['messages'], more: Partial<ChatRequest> = {}): ChatRequest => ({
  model: MODEL,
  messages,
  max_completion_tokens: 4_096,
  ...more,
})
const hi = request([{ role: 'user', content: 'Hi' }])
const sentFor = (asked: ChatRequest) => {
  const outgoing = anthropic.chat?.request(account, asked.model, asked)
  assert.ok(outgoing)
  return { ...outgoing, body: JSON.parse(outgoing.body) as JsonObject }
}

testExchanges(anthropic, account, exchanges)

test('the table knows the adapter', () => assert.equal(adapters.anthropic, anthropic))

test('the key and the version go into their headers', () => {
  assert.deepEqual(sentFor(hi).headers, {
    'content-type': 'application/json',
    'anthropic-version': '2023-06-01',
    'x-api-key': 'sk-ant-test',
    'x-team': 'red',
  })
})

// The oracle.

const dialect: Dialect = {
  optionsOf({ signature, data }): JsonObject {
    return data === undefined ? { signature: signature ?? '' } : { redactedData: data }
  },
}
const sse = (pieces: StreamPiece[]) => pieces.map(({ event, data }) => `event: ${event}\ndata: ${data}\n\n`).join('')

function oracleFor(exchange: Exchange) {
  const { recorder, calls } = recording(() =>
    exchange.pieces
      ? new Response(sse(exchange.pieces).replaceAll('flow_answer_in_json', 'json'), {
          headers: { 'content-type': 'text/event-stream' },
        })
      : Response.json(JSON.parse(JSON.stringify(exchange.body ?? plain).replaceAll('flow_answer_in_json', 'json'))),
  )
  const provider = createAnthropic({ apiKey: 'sk-ant-test', fetch: recorder })
  return { model: provider(exchange.request?.model ?? MODEL), calls }
}
const plain = named(exchanges, 'an answer that is cut at its length').body as JsonObject

/** What differs by choice: the tool that takes JSON has another name and no words, tools' inputs are asked for as they
 *  come, and what a schema demands besides is told in other words. */
function comparable(body: Json): unknown {
  const text = JSON.stringify(body, (key, value) => {
    if (key === 'eager_input_streaming') return undefined
    if (key === 'description' && /^(Give the answer|Respond with|maxLength|minimum|max length)/.test(value))
      return undefined
    if (value === 'flow_answer_in_json') return 'json'
    return value
  })
  return JSON.parse(text)
}

for (const exchange of exchanges.filter(({ sent, alone }) => sent && !alone))
  test(`the AI SDK sends the same: ${exchange.name}`, async () => {
    const { model, calls } = oracleFor(exchange)
    const asked = exchange.request
    assert.ok(asked)
    const options = callOptionsOf(asked, 'anthropic', dialect)
    if (asked.parallel_tool_calls === false) options.providerOptions = { anthropic: { disableParallelToolUse: true } }
    await (exchange.pieces || asked.stream ? opinionOfStream(model, options) : opinionOf(model, options))
    const ours = sentFor(asked)
    assert.equal(ours.url, calls[0]?.url)
    assert.equal(calls[0]?.headers['x-api-key'], ours.headers['x-api-key'])
    assert.equal(calls[0]?.headers['anthropic-version'], ours.headers['anthropic-version'])
    assert.deepEqual(comparable(ours.body), comparable(calls[0]?.body ?? {}))
  })

for (const exchange of exchanges.filter(({ means }) => means))
  test(`the AI SDK understands the same: ${exchange.name}`, async () => {
    const { model } = oracleFor(exchange)
    const asked = { ...hi, response_format: exchange.request?.response_format, model: exchange.request?.model ?? MODEL }
    const options = callOptionsOf(asked, 'anthropic')
    const theirs = await (exchange.pieces ? opinionOfStream(model, options) : opinionOf(model, options))
    const answer = answerOf(anthropic, exchange)
    const [ours] = understoodOf(answer)
    const { usage, text, reasoning, calls, finish } = theirs
    assert.deepEqual(ours, { text, reasoning, calls, finish })
    assert.deepEqual(answer.usage, { ...usage, reasoning: usage.reasoning ?? 0 })
  })

for (const exchange of exchanges.filter(({ pieces, fault }) => pieces?.length && fault))
  test(`the AI SDK takes it for broken, too: ${exchange.name}`, async () => {
    const { model } = oracleFor(exchange)
    const theirs = await opinionOfStream(model, callOptionsOf(hi, 'anthropic')).catch(() => ({ finish: null }))
    // It takes the reason for the end, where the end itself is still owed.
    if (exchange.name !== 'a stream that ends before its end is told') assert.equal(theirs.finish, null)
  })

// Streams.

test('the same chunks come out wherever the bytes of a stream are cut', () => {
  for (const exchange of exchanges.filter(({ pieces, means }) => pieces && means)) {
    const bytes = Buffer.from(sse(exchange.pieces ?? []))
    const read = (pieces: StreamPiece[]) =>
      anthropic.chat && chunksOf(anthropic.chat.stream(exchange.request ?? hi, about), pieces)
    const whole = read(exchange.pieces ?? [])
    for (let at = 1; at < bytes.length; at++) {
      const reader = new EventReader()
      const pieces = [...reader.push(bytes.subarray(0, at)), ...reader.push(bytes.subarray(at))]
      assert.deepEqual(read(pieces), whole, `${exchange.name}, cut at ${at}`)
    }
  }
})

test('a stream that ends anywhere before its end is interrupted', () => {
  for (const { pieces, request: asked } of exchanges.filter((one) => one.pieces && one.means)) {
    const all = pieces ?? []
    for (let length = 0; length < all.length; length++) {
      const reader = anthropic.chat?.stream(asked ?? hi, about)
      assert.throws(
        () => reader && chunksOf(reader, all.slice(0, length)),
        (thrown) => thrown instanceof ProviderFault && thrown.fault.code === 'stream_interrupted',
      )
    }
  }
})

test('an answer that a tool takes is that alone, and without the tool what is said is the answer', () => {
  const asked: ChatRequest = { ...hi, response_format: { type: 'json_object' } }
  const name = Object(sentFor(asked).body.tools)[0].name
  const said = { type: 'text', text: 'Here it is:' }
  const called = { type: 'tool_use', id: 't', name, input: { a: 1 } }
  for (const [content, answer] of [
    [[said, called, said], '{"a":1}'],
    [[said], 'Here it is:'],
  ] as const) {
    const whole = anthropic.chat?.answer({ content: [...content], usage: {} }, about)
    assert.equal(whole?.choices[0]?.message.content, answer)
    const events = [
      { type: 'message_start', message: { model: MODEL, usage: {} } },
      ...content.map((content_block, index) => ({ type: 'content_block_start', index, content_block })),
      { type: 'message_stop' },
    ]
    const reader = anthropic.chat?.stream(asked, about)
    const told = events.flatMap((event) => reader?.push({ event: null, data: JSON.stringify(event) }) ?? [])
    assert.equal(told.map(({ choices }) => choices[0]?.delta.content ?? '').join(''), answer)
  }
})

// Their own format.

test('a request in their own format goes as it is, with the model’s own name', () => {
  const body = { model: 'one/claude-x', max_tokens: 5, messages: [], thread: { type: 'create' } }
  const outgoing = anthropic.native.messages?.request(account, 'claude-x', body)
  assert.equal(outgoing?.url, 'https://api.anthropic.com/v1/messages')
  assert.deepEqual(JSON.parse(outgoing?.body ?? ''), { ...body, model: 'claude-x' })
})

test('what passes is seen: usage, faults and the end, the same as what is translated', () => {
  const native = anthropic.native.messages
  assert.ok(native)
  for (const exchange of exchanges.filter(({ means }) => means)) {
    if (exchange.body) assert.deepEqual(native.usageOf(exchange.body), exchange.means?.usage, exchange.name)
    if (!exchange.pieces) continue
    const told = {}
    for (const piece of exchange.pieces) Object.assign(told, native.usageOfPiece(piece))
    assert.deepEqual(told, exchange.means?.usage, exchange.name)
    assert.deepEqual(exchange.pieces.map(native.ends).indexOf(true), exchange.pieces.length - 1)
    assert.ok(exchange.pieces.every((piece) => native.faultOfPiece(piece) === undefined))
  }
  const overloaded = named(exchanges, 'it is overloaded in the middle of a stream').pieces ?? []
  assert.equal(overloaded.map(native.faultOfPiece).at(-1)?.status, 529)
  const said =
    '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\"error\\" \\"message_stop\\""}}'
  assert.equal(native.faultOfPiece({ event: null, data: said }), undefined)
  assert.equal(native.ends({ event: null, data: said }), false)
})

// Wishes that exclude each other.

test('a forced tool, and calls without their thoughts, come before thinking with a budget', () => {
  const tools: ChatRequest['tools'] = [{ type: 'function', function: { name: 'look' } }]
  const called: ChatRequest['messages'] = [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', tool_calls: [{ id: 't1', type: 'function', function: { name: 'look', arguments: '{}' } }] },
    { role: 'tool', tool_call_id: 't1', content: '1' },
  ]
  const asked: ChatRequest[] = [
    { ...hi, tools, tool_choice: 'required', reasoning_effort: 'high' },
    { ...request(called), tools, reasoning_effort: 'high' },
    { ...hi, max_completion_tokens: 1_000, reasoning_effort: 'high' },
    { ...hi, model: 'claude-3-haiku-20240307', reasoning_effort: 'high' },
  ]
  for (const one of asked) {
    const { body, dropped } = sentFor(one)
    assert.deepEqual([body.thinking, dropped], [undefined, ['reasoning_effort']])
  }
  const adaptive = sentFor({ ...request(called), model: 'claude-opus-4-7', tools, reasoning_effort: 'high' })
  assert.deepEqual(adaptive.body.thinking, { type: 'adaptive', display: 'summarized' })
  const forced = { ...hi, model: 'claude-opus-4-7', tools, tool_choice: 'required' as const }
  const must = sentFor({ ...forced, reasoning_effort: 'high' })
  assert.notEqual((must.body.thinking as JsonObject | undefined)?.type, 'adaptive')
  assert.deepEqual([must.body.tool_choice, must.dropped], [{ type: 'any' }, ['reasoning_effort']])
})

test('a budget is a part of what may be written, and never all of it', () => {
  const budget = (tokens: number) => sentFor({ ...hi, reasoning_tokens: tokens }).body.thinking
  assert.deepEqual(budget(2_000), { type: 'enabled', budget_tokens: 2_000 })
  assert.deepEqual(budget(100), { type: 'enabled', budget_tokens: 1_024 })
  assert.deepEqual(budget(50_000), { type: 'enabled', budget_tokens: 4_095 })
  assert.deepEqual(budget(0), { type: 'disabled' })
  const newest = sentFor({ ...hi, model: 'claude-opus-5-5', reasoning_tokens: 2_000 }).body
  assert.deepEqual(newest.thinking, { type: 'adaptive', display: 'summarized' })
})

test("another provider's thoughts, and unsigned ones, are not handed to Anthropic", () => {
  const { body } = sentFor(
    request([
      { role: 'user', content: 'Hi' },
      {
        role: 'assistant',
        content: 'Hello.',
        reasoning: [{ text: 'a', signature: 'gemini:text:CiQB' }, { text: 'b' }, { text: '', data: 'openai:abc' }],
      },
      { role: 'user', content: 'And?' },
    ]),
  )
  assert.deepEqual((body.messages as JsonObject[])[1]?.content, [{ type: 'text', text: 'Hello.' }])
})

test('ids that others made are told in the characters that Anthropic takes, for call and result alike', () => {
  const id = 'functions.look:0'
  const { body } = sentFor(
    request([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', tool_calls: [{ id, type: 'function', function: { name: 'look', arguments: '' } }] },
      {
        role: 'tool',
        tool_call_id: id,
        content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } }],
      },
    ]),
  )
  const [, called, result] = body.messages as JsonObject[]
  assert.deepEqual(called?.content, [{ type: 'tool_use', id: 'functions_look_0', name: 'look', input: {} }])
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA==' } }
  assert.deepEqual(result?.content, [{ type: 'tool_result', tool_use_id: 'functions_look_0', content: [image] }])
})

test('an answer that is begun by the client does not end in white space', () => {
  const { body } = sentFor(
    request([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Well, ' },
    ]),
  )
  assert.deepEqual((body.messages as JsonObject[])[1]?.content, [{ type: 'text', text: 'Well,' }])
})

test('files of Anthropic’s own store are named with the beta that they need', () => {
  const asked = request([{ role: 'user', content: [{ type: 'file', file: { file_id: 'file_011CN' } }] }])
  const { headers, body } = sentFor(asked)
  assert.equal(headers['anthropic-beta'], 'files-api-2025-04-14')
  assert.deepEqual((body.messages as JsonObject[])[0]?.content, [
    { type: 'document', source: { type: 'file', file_id: 'file_011CN' } },
  ])
})

test('what cannot be told is refused with its place', () => {
  const audio = { type: 'input_audio' as const, input_audio: { data: 'AA==', format: 'wav' } }
  const image = { type: 'image_url' as const, image_url: { url: 'data:image/svg+xml,<svg/>' } }
  const asked: [ChatRequest, string][] = [
    [request([{ role: 'user', content: [audio] }]), 'messages[0].content[0]'],
    [request([{ role: 'user', content: [image] }]), 'messages[0].content[0].image_url.url'],
    [
      request([{ role: 'user', content: [{ type: 'file', file: { file_id: 'file-abc' } }] }]),
      'messages[0].content[0].file',
    ],
    [{ ...hi, n: 2 }, 'n'],
  ]
  for (const [one, param] of asked)
    assert.throws(
      () => sentFor(one),
      (thrown) => thrown instanceof ProviderFault && thrown.fault.param === param && thrown.fault.status === 400,
    )
})

// Schemas.

test('strict tools are told so where the model holds to them', () => {
  const parameters = { type: 'object', properties: { a: { type: 'string', pattern: 'x' } }, required: ['a'] }
  const tools: ChatRequest['tools'] = [{ type: 'function', function: { name: 'look', parameters, strict: true } }]
  const tool = (model: string) => (sentFor({ ...hi, model, tools }).body.tools as JsonObject[])[0]
  const closed = { ...parameters, properties: { a: { type: 'string', description: 'pattern: "x".' } } }
  assert.deepEqual(tool(MODEL), {
    name: 'look',
    input_schema: { ...closed, additionalProperties: false },
    strict: true,
  })
  assert.deepEqual(tool('claude-sonnet-4-0'), { name: 'look', input_schema: parameters })
})

test('schemas that would lose by being closed are asked for by a tool', () => {
  const open = { type: 'object', additionalProperties: { type: 'string' } }
  const circle: JsonObject = {
    $ref: '#/$defs/node',
    $defs: { node: { type: 'object', properties: { next: { $ref: '#/$defs/node' } }, required: ['next'] } },
  }
  const many = { type: 'object', properties: Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`p${i}`, {}])) }
  const bomb: JsonObject = {
    $ref: '#/$defs/d0',
    $defs: Object.fromEntries(
      Array.from({ length: 60 }, (_, i) => [
        `d${i}`,
        { anyOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] },
      ]),
    ),
  }
  assert.deepEqual([open, circle, many].map(isClosable), [false, false, false])
  assert.equal(isClosable(bomb), true)
  assert.deepEqual(
    closedSchema({
      oneOf: [
        { type: 'string', format: 'email' },
        { type: 'string', format: 'x' },
      ],
    }),
    {
      anyOf: [
        { type: 'string', format: 'email' },
        { type: 'string', description: 'format: "x".' },
      ],
    },
  )
  const asked: ChatRequest = {
    ...hi,
    response_format: { type: 'json_schema', json_schema: { name: 'a', schema: open } },
  }
  assert.deepEqual(sentFor(asked).body.tool_choice, { type: 'any', disable_parallel_tool_use: true })
})

// Models and counting.

test('models are listed by the names that are called', () => {
  const listed = { data: [{ type: 'model', id: MODEL, display_name: 'x', created_at: '2025-09-29T00:00:00Z' }] }
  assert.equal(anthropic.models.request(account).url, `${account.base_url}/models?limit=1000`)
  assert.deepEqual(anthropic.models.answer(listed), [{ id: MODEL, created: 1_759_104_000 }])
})

test('tokens are counted by Anthropic itself', () => {
  const outgoing = anthropic.counting?.request(account, MODEL, { model: 'one/x', messages: [] })
  assert.equal(outgoing?.url, `${account.base_url}/messages/count_tokens`)
  assert.deepEqual(JSON.parse(outgoing?.body ?? ''), { model: MODEL, messages: [] })
  assert.equal(anthropic.counting?.answer({ input_tokens: 14 }), 14)
})
