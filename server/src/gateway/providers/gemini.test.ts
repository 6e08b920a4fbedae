import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createGoogle } from '@ai-sdk/google'
import { createParser } from 'eventsource-parser'
import type { ChatRequest, JsonObject } from '../hub.ts'
import { about, answerOf, testExchanges } from './adapter-testing.ts'
import { adapters } from './adapters.ts'
import { chunksOf, type Exchange, exchangesOf, named, splitBy, understoodOf } from './exchanges-testing.ts'
import { gemini } from './gemini.ts'
import { callOptionsOf, type Dialect, opinionOf, opinionOfStream, recording } from './oracle-testing.ts'
import { type Account, ProviderFault, type StreamPiece } from './provider.ts'

const account: Account = {
  kind: 'gemini',
  base_url: 'https://generativelanguage.googleapis.com/v1beta',
  key: 'AIza-test',
  headers: { 'x-team': 'red' },
  options: {},
}
const exchanges = exchangesOf('gemini')
const request = (messages: ChatRequest['messages'], model = 'gemini-3-flash-preview'): ChatRequest => ({
  model,
  messages,
})
const bodyOf = (asked: ChatRequest): JsonObject =>
  JSON.parse(gemini.chat?.request(account, asked.model, asked).body ?? '')

testExchanges(gemini, account, exchanges)

test('the table knows the adapter', () => assert.equal(adapters.gemini, gemini))

test('the key goes into its header and nowhere else', () => {
  const outgoing = gemini.chat?.request(account, 'gemini-2.5-flash', request([{ role: 'user', content: 'Hi' }]))
  assert.deepEqual(outgoing?.headers, {
    'content-type': 'application/json',
    'x-goog-api-key': 'AIza-test',
    'x-team': 'red',
  })
  assert.ok(!outgoing?.url.includes('AIza'))
})

test('the name of a model stays a name, whatever is in it', () => {
  const urlOf = (model: string) =>
    gemini.chat
      ?.request(account, model, request([{ role: 'user', content: 'Hi' }], model))
      .url.slice(account.base_url.length)
  assert.equal(urlOf('tunedModels/mine'), '/tunedModels/mine:generateContent')
  assert.equal(urlOf('models/gemini-3-pro'), '/models/models%2Fgemini-3-pro:generateContent')
  assert.equal(urlOf('../files/x:delete?a=b#'), '/models/..%2Ffiles%2Fx%3Adelete%3Fa%3Db%23:generateContent')
  assert.equal(urlOf('tunedModels/../x'), '/tunedModels/..%2Fx:generateContent')
})

// The oracle.

const dialect: Dialect = {
  optionsOf: ({ signature }) => {
    const own = /^gemini:thought:(.*)$/s.exec(signature ?? '')?.[1]
    return own === undefined ? null : { thoughtSignature: own }
  },
}
const sse = (pieces: StreamPiece[]) => pieces.map(({ data }) => `data: ${data}\r\n\r\n`).join('')

function oracleFor(exchange: Exchange) {
  const { recorder, calls } = recording(() =>
    exchange.pieces
      ? new Response(sse(exchange.pieces), { headers: { 'content-type': 'text/event-stream' } })
      : Response.json(exchange.body),
  )
  const provider = createGoogle({ apiKey: 'AIza-test', fetch: recorder, generateId: () => 'made' })
  return { model: provider.chat(exchange.request?.model ?? 'gemini-2.5-flash'), calls }
}

/** What differs by choice: we ask for the thoughts to be told, know Google's own table of budgets, and tell results in
 *  the words of Google's reference. */
function comparable(body: JsonObject): unknown {
  const text = JSON.stringify(body, (key, value) => {
    if (['thinkingConfig', 'mimeType'].includes(key)) return undefined
    if (key === 'response') return value.output ?? value.error ?? value.content
    if (key === 'generationConfig' && Object.keys(value).every((name) => name === 'thinkingConfig')) return undefined
    return value
  })
  return JSON.parse(text)
}

for (const exchange of exchanges.filter(({ sent, alone }) => sent && !alone))
  test(`the AI SDK sends the same: ${exchange.name}`, async () => {
    const { model, calls } = oracleFor(exchange)
    const asked = exchange.request
    assert.ok(asked)
    const options = callOptionsOf(asked, 'google', dialect)
    await (exchange.pieces ? opinionOfStream(model, options) : opinionOf(model, options))
    const ours = gemini.chat?.request(account, asked.model, asked)
    assert.equal(ours?.url, calls[0]?.url)
    assert.equal(calls[0]?.headers['x-goog-api-key'], 'AIza-test')
    assert.deepEqual(comparable(JSON.parse(ours?.body ?? '')), comparable(calls[0]?.body ?? {}))
  })

for (const exchange of exchanges.filter(({ means, alone }) => means && !alone))
  test(`the AI SDK understands the same: ${exchange.name}`, async () => {
    const { model } = oracleFor(exchange)
    const options = callOptionsOf(request([{ role: 'user', content: 'Hi' }]), 'google')
    const theirs = await (exchange.pieces ? opinionOfStream(model, options) : opinionOf(model, options))
    const answer = answerOf(gemini, exchange)
    const [ours] = understoodOf(answer)
    assert.equal(ours?.text, theirs.text)
    assert.equal(ours?.reasoning, theirs.reasoning)
    // A call without a name of Gemini's is named by each as it likes.
    const unnamed = (id: string) => (id === 'made' || id.startsWith('call_') ? 'made' : id)
    assert.deepEqual(
      ours?.calls.map((call) => ({ ...call, id: unnamed(call.id) })),
      theirs.calls.map((call) => ({ ...call, id: unnamed(call.id) })),
    )
    assert.equal(ours?.finish, theirs.finish)
    assert.deepEqual(answer.usage, { ...theirs.usage, reasoning: theirs.usage.reasoning ?? 0 })
  })

for (const exchange of exchanges.filter(({ pieces, fault }) => pieces?.length && fault))
  test(`the AI SDK takes it for broken, too: ${exchange.name}`, async () => {
    const { model } = oracleFor(exchange)
    const theirs = await opinionOfStream(model, callOptionsOf(request([{ role: 'user', content: 'Hi' }]), 'google'))
    assert.equal(theirs.finish, null)
  })

// Streams.

const framed = (texts: string[]): StreamPiece[] => {
  const pieces: StreamPiece[] = []
  const parser = createParser({ onEvent: ({ event, data }) => pieces.push({ event: event ?? null, data }) })
  for (const text of texts) parser.feed(text)
  return pieces
}

test('the same chunks come out however the bytes of a stream were cut', () => {
  for (const exchange of exchanges.filter(({ pieces, means }) => pieces && means)) {
    const read = (pieces: StreamPiece[]) =>
      gemini.chat && chunksOf(gemini.chat.stream(exchange.request ?? request([]), about), pieces)
    const bytes = Buffer.from(sse(exchange.pieces ?? []))
    const whole = read(exchange.pieces ?? [])
    for (let seed = 1; seed <= 40; seed++) {
      const decoder = new TextDecoder()
      const texts = splitBy<Uint8Array>(bytes, seed).map((part) => decoder.decode(part, { stream: true }))
      assert.deepEqual(read(framed(texts)), whole, exchange.name)
    }
  }
})

test('the end of a choice is told once, behind all pieces, and the usage behind that', () => {
  const exchange = named(exchanges, 'two candidates come interleaved')
  const reader = gemini.chat?.stream(request([]), about)
  const pushed = exchange.pieces?.flatMap((piece) => reader?.push(piece) ?? []) ?? []
  assert.ok(pushed.every((chunk) => chunk.choices.every((choice) => choice.finish_reason === null)))
  const ends = reader?.end() ?? []
  assert.deepEqual(
    ends.map((chunk) => [chunk.choices.map((choice) => [choice.index, choice.finish_reason]), chunk.usage?.input]),
    [
      [[[0, 'stop']], undefined],
      [[[1, 'stop']], undefined],
      [[], 4],
    ],
  )
})

// Thoughts.

test('what was thought goes back to the part that it came with, streamed or not', () => {
  const exchange = named(exchanges, 'thoughts, then a function call, then a signature in an empty text')
  const message = answerOf(gemini, exchange).choices[0]?.message
  assert.deepEqual(message?.reasoning?.map(({ signature }) => signature).filter(Boolean), [
    'gemini:call0:EqgC',
    'gemini:text:CiQB',
  ])
  const { contents } = bodyOf(
    request([
      { role: 'user', content: 'Weather?' },
      { role: 'assistant', ...message },
    ]),
  )
  assert.deepEqual(contents, [
    { role: 'user', parts: [{ text: 'Weather?' }] },
    {
      role: 'model',
      parts: [
        { text: 'One moment. ', thoughtSignature: 'CiQB' },
        { functionCall: { id: 'q1', name: 'get_weather', args: { city: 'Paris' } }, thoughtSignature: 'EqgC' },
        { functionCall: { id: 'q2', name: 'get_weather', args: { city: 'Rome' } } },
      ],
    },
  ])
})

test("another provider's signatures are not handed to Gemini, and its own check is told to stand aside", () => {
  const calls = [{ id: 't1', type: 'function' as const, function: { name: 'look', arguments: '{}' } }]
  const assistant = {
    role: 'assistant' as const,
    reasoning: [
      { text: 'Let me look.', signature: 'EosnCkYICxIMMb3LzNrMu' },
      { text: '', data: 'openai:abc' },
    ],
    tool_calls: calls,
  }
  const modelsTurn = (model: string) => bodyOf(request([assistant], model)).contents
  const called = { functionCall: { id: 't1', name: 'look', args: {} } }
  assert.deepEqual(modelsTurn('gemini-3-flash-preview'), [
    { role: 'model', parts: [{ ...called, thoughtSignature: 'skip_thought_signature_validator' }] },
  ])
  assert.deepEqual(modelsTurn('gemini-2.5-flash'), [{ role: 'model', parts: [called] }])
})

test('how much is thought is said in the words of each generation', () => {
  const thinking = (model: string, more: Partial<ChatRequest>) => {
    const asked = { ...request([{ role: 'user', content: 'Hi' }], model), ...more }
    const outgoing = gemini.chat?.request(account, model, asked)
    return [JSON.parse(outgoing?.body ?? '').generationConfig?.thinkingConfig, outgoing?.dropped]
  }
  const told = { includeThoughts: true }
  assert.deepEqual(thinking('gemini-2.5-flash', { reasoning_effort: 'none' }), [{ thinkingBudget: 0 }, []])
  assert.deepEqual(thinking('gemini-2.5-pro', { reasoning_effort: 'none' }), [{ thinkingBudget: 128 }, []])
  assert.deepEqual(thinking('gemini-2.5-flash', { reasoning_tokens: 512 }), [{ thinkingBudget: 512, ...told }, []])
  assert.deepEqual(thinking('gemini-3-flash-preview', { reasoning_effort: 'none' }), [{ thinkingLevel: 'minimal' }, []])
  assert.deepEqual(thinking('gemini-3-pro-preview', { reasoning_effort: 'minimal' }), [
    { thinkingLevel: 'low', ...told },
    [],
  ])
  assert.deepEqual(thinking('gemini-flash-latest', { reasoning_effort: 'max' }), [
    { thinkingLevel: 'high', ...told },
    [],
  ])
  assert.deepEqual(thinking('gemini-2.0-flash', { reasoning_effort: 'low' }), [undefined, ['reasoning_effort']])
  assert.deepEqual(thinking('gemini-2.0-flash', { reasoning_effort: 'none' }), [undefined, []])
})

// Refusals.

test('a result that belongs to no call is refused with its place', () => {
  const orphan = request([{ role: 'tool', tool_call_id: 'gone', content: '1' }])
  assert.throws(
    () => bodyOf(orphan),
    (error) => error instanceof ProviderFault && error.fault.param === 'messages[0].tool_call_id',
  )
})

test('a file that can only be found at another provider is refused', () => {
  const asked = request([{ role: 'user', content: [{ type: 'file', file: { file_id: 'file-abc' } }] }])
  assert.throws(
    () => bodyOf(asked),
    (error) => error instanceof ProviderFault && error.fault.status === 400,
  )
})

test('JSON is not asked for together with functions where the model refuses that', () => {
  const asked: ChatRequest = {
    ...request([{ role: 'user', content: 'Hi' }], 'gemini-2.5-flash'),
    response_format: { type: 'json_object' },
    tools: [{ type: 'function', function: { name: 'look' } }],
  }
  const outgoing = gemini.chat?.request(account, asked.model, asked)
  assert.deepEqual(outgoing?.dropped, ['response_format'])
  const newer = gemini.chat?.request(account, 'gemini-3-flash-preview', asked)
  assert.equal(JSON.parse(newer?.body ?? '').generationConfig.responseMimeType, 'application/json')
})

test('images in the result of a function stand in it or beside it', () => {
  const messages: ChatRequest['messages'] = [
    { role: 'assistant', tool_calls: [{ id: 't1', type: 'function', function: { name: 'shot', arguments: '' } }] },
    {
      role: 'tool',
      tool_call_id: 't1',
      content: [
        { type: 'text', text: 'done' },
        { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } },
      ],
    },
  ]
  const image = { inlineData: { mimeType: 'image/png', data: 'AA==' } }
  const answered = { id: 't1', name: 'shot', response: { output: 'done' } }
  const turns = (model: string) => bodyOf(request(messages, model)).contents as JsonObject[]
  assert.deepEqual(turns('gemini-3-flash-preview')[1]?.parts, [{ functionResponse: { ...answered, parts: [image] } }])
  assert.deepEqual(turns('gemini-2.5-flash')[1]?.parts, [{ functionResponse: answered }, image])
})

test('Gemma is told its instructions in the first message', () => {
  const asked = request(
    [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hi' },
    ],
    'gemma-3-27b-it',
  )
  assert.deepEqual(bodyOf(asked), { contents: [{ role: 'user', parts: [{ text: 'Be brief.\n\n' }, { text: 'Hi' }] }] })
})

// Embeddings and models.

test('one text and many are embedded as the AI SDK does it', async () => {
  const rounds: [string[], JsonObject][] = [
    [['a'], { embedding: { values: [0.5, -1] }, usageMetadata: { promptTokenCount: 2 } }],
    [['a', 'b'], { embeddings: [{ values: [0.5] }, { values: [2] }] }],
  ]
  for (const [input, answered] of rounds) {
    const { recorder, calls } = recording(() => Response.json(answered))
    const model = createGoogle({ apiKey: 'k', fetch: recorder }).embedding('gemini-embedding-001')
    const theirs = await model.doEmbed({
      values: input,
      providerOptions: { google: { outputDimensionality: 2, taskType: 'RETRIEVAL_QUERY' } },
    })
    const asked = { model: 'gemini/gemini-embedding-001', input, dimensions: 2, input_type: 'search_query' }
    const ours = gemini.embeddings?.request(account, 'gemini-embedding-001', asked)
    assert.equal(ours?.url, calls[0]?.url)
    const plain = (body: unknown) =>
      JSON.parse(JSON.stringify(body, (key, value) => (key === 'role' ? undefined : value)))
    assert.deepEqual(JSON.parse(ours?.body ?? ''), plain(calls[0]?.body))
    assert.deepEqual(gemini.embeddings?.answer(answered, asked).vectors, theirs.embeddings)
  }
})

test('vectors that are fewer than the texts are a fault', () => {
  assert.throws(
    () => gemini.embeddings?.answer({ embeddings: [{ values: [1] }] }, { model: 'm', input: ['a', 'b'] }),
    ProviderFault,
  )
})

test('models are listed by the names that are called', () => {
  const listed = {
    models: [{ name: 'models/gemini-2.5-flash' }, { name: 'tunedModels/mine' }],
  }
  assert.equal(gemini.models.request(account).url, `${account.base_url}/models?pageSize=1000`)
  assert.deepEqual(
    gemini.models.answer(listed).map(({ id }) => id),
    ['gemini-2.5-flash', 'tunedModels/mine'],
  )
})
