import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCohere } from '@ai-sdk/cohere'
import type { ChatRequest, JsonObject } from '../hub.ts'
import { EventReader } from '../ways/sse.ts'
import { about, answerOf, plainRequest, testExchanges } from './adapter-testing.ts'
import { adapters } from './adapters.ts'
import { cohere } from './cohere.ts'
import { chunksOf, type Exchange, exchangesOf, named, understoodOf } from './exchanges-testing.ts'
import { callOptionsOf, opinionOf, opinionOfStream, recording } from './oracle-testing.ts'
import { type Account, ProviderFault, type StreamPiece } from './provider.ts'

const account: Account = {
  kind: 'cohere',
  base_url: 'https://api.cohere.com',
  key: 'co-test',
  headers: { 'x-client-name': 'flow' },
  options: {},
}
const exchanges = exchangesOf('cohere')
const bodyOf = (asked: Partial<ChatRequest>): JsonObject => {
  const request = { ...plainRequest, ...asked }
  return JSON.parse(cohere.chat?.request(account, request.model, request).body ?? '')
}
const refuses = (param: string) => (error: unknown) => error instanceof ProviderFault && error.fault.param === param

testExchanges(cohere, account, exchanges)

test('the table knows the adapter', () => assert.equal(adapters.cohere, cohere))

test('the key goes into its header, and the address may have the version', () => {
  for (const base_url of ['https://api.cohere.com', 'https://api.cohere.com/v2', 'https://api.cohere.com/v1']) {
    const outgoing = cohere.chat?.request({ ...account, base_url }, 'command-a-03-2025', plainRequest)
    assert.equal(outgoing?.url, 'https://api.cohere.com/v2/chat')
    assert.equal(outgoing?.headers.authorization, 'Bearer co-test')
    assert.equal(outgoing?.headers['x-client-name'], 'flow')
  }
})

// The oracle.

const sse = (pieces: StreamPiece[]) => pieces.map(({ event, data }) => `event: ${event}\ndata: ${data}\n\n`).join('')

function providerFor(answer: () => Response) {
  const { recorder, calls } = recording(answer)
  return { provider: createCohere({ apiKey: 'co-test', fetch: recorder, generateId: () => 'made' }), calls }
}
function oracleFor(exchange: Exchange) {
  const { provider, calls } = providerFor(() =>
    exchange.pieces
      ? new Response(sse(exchange.pieces), { headers: { 'content-type': 'text/event-stream' } })
      : Response.json(exchange.body),
  )
  return { model: provider(exchange.request?.model ?? 'command-a-03-2025'), calls }
}

for (const exchange of exchanges.filter(({ sent, alone }) => sent && !alone))
  test(`the AI SDK sends the same: ${exchange.name}`, async () => {
    const { model, calls } = oracleFor(exchange)
    const asked = exchange.request
    assert.ok(asked)
    const options = callOptionsOf(asked, 'cohere')
    await (exchange.pieces ? opinionOfStream(model, options) : opinionOf(model, options))
    const ours = cohere.chat?.request(account, asked.model, asked)
    assert.equal(ours?.url, calls[0]?.url)
    assert.equal(calls[0]?.headers.authorization, 'Bearer co-test')
    assert.deepEqual(JSON.parse(ours?.body ?? ''), calls[0]?.body)
  })

for (const exchange of exchanges.filter(({ means, alone }) => means && !alone))
  test(`the AI SDK understands the same: ${exchange.name}`, async () => {
    const { model } = oracleFor(exchange)
    const options = callOptionsOf(plainRequest, 'cohere')
    const theirs = await (exchange.pieces ? opinionOfStream(model, options) : opinionOf(model, options))
    const answer = answerOf(cohere, exchange)
    const [ours] = understoodOf(answer)
    assert.deepEqual([ours?.text, ours?.calls, ours?.finish], [theirs.text, theirs.calls, theirs.finish])
    // The AI SDK does not tell the plan before a call.
    if (ours?.calls.length === 0) assert.equal(ours.reasoning, theirs.reasoning)
    assert.deepEqual(answer.usage, { ...theirs.usage, reasoning: theirs.usage.reasoning ?? 0 })
  })

for (const exchange of exchanges.filter(({ pieces, fault, alone }) => pieces && fault && !alone))
  test(`the AI SDK takes it for broken, too: ${exchange.name}`, async () => {
    const { model } = oracleFor(exchange)
    const theirs = await opinionOfStream(model, callOptionsOf(plainRequest, 'cohere'))
    assert.equal(theirs.finish, null)
  })

// Streams and turns.

test('the same chunks come out wherever the bytes of a stream are cut', () => {
  for (const exchange of exchanges.filter(({ pieces, means }) => pieces && means)) {
    const read = (pieces: StreamPiece[]) =>
      cohere.chat && chunksOf(cohere.chat.stream(exchange.request ?? plainRequest, about), pieces)
    const bytes = Buffer.from(sse(exchange.pieces ?? []))
    const whole = read(exchange.pieces ?? [])
    for (let cut = 1; cut < bytes.length; cut += 1) {
      const reader = new EventReader()
      const pieces = [...reader.push(bytes.subarray(0, cut)), ...reader.push(bytes.subarray(cut))]
      assert.deepEqual(read(pieces), whole, `${exchange.name}, cut at ${cut}`)
    }
  }
})

test('a plan and thoughts that were streamed go back as those that were not', () => {
  const planned = answerOf(cohere, named(exchanges, 'a plan and calls are streamed')).choices[0]?.message
  assert.deepEqual(planned?.reasoning, [{ text: 'I will look.', signature: 'cohere:plan' }])
  const thought = answerOf(cohere, named(exchanges, 'thoughts are streamed before the answer')).choices[0]?.message
  const { messages } = bodyOf({
    messages: [
      { role: 'assistant', ...planned },
      { role: 'tool', tool_call_id: 'w1', content: '18' },
      { role: 'tool', tool_call_id: 'w2', content: '12:00' },
      { role: 'assistant', ...thought },
    ],
  })
  const [first, , , last] = messages as JsonObject[]
  assert.equal(first?.tool_plan, 'I will look.')
  assert.deepEqual(last?.content, [
    { type: 'thinking', thinking: 'Hm.' },
    { type: 'text', text: 'So.' },
  ])
})

test('likelihoods come with the text that they are of', () => {
  const reader = cohere.chat?.stream(plainRequest, about)
  const delta = { message: { content: { text: ' you' } } }
  const event = {
    type: 'content-delta',
    index: 0,
    delta,
    logprobs: { text: ' you', token_ids: [2, 3], logprobs: [-0.25, -0.5] },
  }
  const [chunk] = reader?.push({ event: 'content-delta', data: JSON.stringify(event) }) ?? []
  assert.deepEqual(
    chunk?.choices[0]?.logprobs?.content?.map(({ token, logprob }) => [token, logprob]),
    [[' you', -0.75]],
  )
})

test('what cannot be left out is refused with its place', () => {
  const withPart = (part: object) => () => bodyOf({ messages: [{ role: 'user', content: [part as never] }] })
  assert.throws(() => bodyOf({ n: 2 }), refuses('n'))
  assert.throws(
    withPart({ type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } }),
    refuses('messages[0].content[0]'),
  )
  const pdf = { type: 'file', file: { file_data: 'data:application/pdf;base64,JVBERi0=' } }
  assert.throws(withPart(pdf), refuses('messages[0].content[0].file'))
  assert.throws(withPart({ type: 'file', file: { file_id: 'file-1' } }), refuses('messages[0].content[0].file'))
})

test('images in a tool’s result are shown by the user behind it', () => {
  const image = { type: 'image_url' as const, image_url: { url: 'data:image/png;base64,AA==' } }
  const call = { id: 'a', type: 'function' as const, function: { name: 'shot', arguments: '{}' } }
  const { messages } = bodyOf({
    messages: [
      { role: 'assistant', tool_calls: [call] },
      { role: 'tool', tool_call_id: 'a', content: [{ type: 'text', text: 'done' }, image] },
    ],
  })
  assert.deepEqual((messages as JsonObject[]).slice(1), [
    { role: 'tool', tool_call_id: 'a', content: 'done' },
    { role: 'user', content: [{ type: 'text', text: 'Images in the result of a:' }, image] },
  ])
})

// Embeddings, rerank, models.

test('texts are embedded as the AI SDK does it', async () => {
  const answered = {
    id: 'e',
    embeddings: {
      float: [
        [0.5, -1],
        [2, 3],
      ],
    },
    texts: ['a', 'b'],
    meta: { billed_units: { input_tokens: 2 } },
  }
  const { provider, calls } = providerFor(() => Response.json(answered))
  const options = { cohere: { inputType: 'search_query', outputDimension: 256, truncate: 'END' } }
  const theirs = await provider.embedding('embed-v4.0').doEmbed({ values: ['a', 'b'], providerOptions: options })
  const asked = {
    model: 'm',
    input: ['a', 'b'],
    input_type: 'RETRIEVAL_QUERY',
    dimensions: 256,
    user: 'u',
    others: { truncate: 'END', x: 1 },
  }
  const ours = cohere.embeddings?.request(account, 'embed-v4.0', asked)
  assert.equal(ours?.url, calls[0]?.url)
  assert.deepEqual(JSON.parse(ours?.body ?? ''), calls[0]?.body)
  assert.deepEqual(ours?.dropped, ['user', 'x'])
  const answer = cohere.embeddings?.answer(answered, asked)
  assert.deepEqual([answer?.vectors, answer?.usage.input], [theirs.embeddings, theirs.usage?.tokens])
  assert.equal(cohere.embeddings?.inputsMax?.('embed-v4.0'), 96)
})

test('vectors come as base64 where the client wants them so, and are the same', () => {
  const asked = { model: 'm', input: ['a'], encoding_format: 'base64' as const }
  const body = JSON.parse(cohere.embeddings?.request(account, 'embed-v4.0', asked).body ?? '')
  assert.deepEqual([body.embedding_types, body.input_type], [['base64'], 'search_document'])
  const bytes = Buffer.alloc(8)
  bytes.writeFloatLE(0.5, 0)
  bytes.writeFloatLE(-1, 4)
  const answer = cohere.embeddings?.answer({ embeddings: { base64: [bytes.toString('base64')] } }, asked)
  assert.deepEqual(answer?.vectors, [[0.5, -1]])
})

test('token ids are refused, and vectors that are fewer than the texts are a fault', () => {
  assert.throws(() => cohere.embeddings?.request(account, 'm', { model: 'm', input: [[1, 2]] }), refuses('input'))
  const asked = { model: 'm', input: ['a', 'b'] }
  assert.throws(() => cohere.embeddings?.answer({ embeddings: { float: [[1]] } }, asked), ProviderFault)
})

test('documents are sorted as the AI SDK does it', async () => {
  const results = [
    { index: 1, relevance_score: 0.9 },
    { index: 0, relevance_score: 0.1 },
  ]
  const answered = { id: 'r', results, meta: { billed_units: { search_units: 1 } } }
  const { provider, calls } = providerFor(() => Response.json(answered))
  const documents = ['a', 'b']
  const theirs = await provider.reranking('rerank-v3.5').doRerank({
    ...{ query: 'q', topN: 2, documents: { type: 'text', values: documents } },
    providerOptions: { cohere: { maxTokensPerDoc: 9 } },
  })
  const asked = { model: 'm', query: 'q', documents, top_n: 2, others: { max_tokens_per_doc: 9 } }
  const ours = cohere.rerank?.request(account, 'rerank-v3.5', asked)
  assert.equal(ours?.url, calls[0]?.url)
  assert.deepEqual(JSON.parse(ours?.body ?? ''), calls[0]?.body)
  assert.deepEqual(
    cohere.rerank?.answer(answered, asked).results,
    theirs.ranking.map(({ index, relevanceScore }) => ({ index, score: relevanceScore })),
  )
})

test('models are listed, but for those that are given up', () => {
  assert.equal(cohere.models.request(account).url, 'https://api.cohere.com/v1/models?page_size=1000')
  const models: JsonObject[] = [{ name: 'command-a-03-2025' }, { name: 'command', is_deprecated: true }, {}]
  assert.deepEqual(cohere.models.answer({ models }), [{ id: 'command-a-03-2025', created: null }])
  assert.throws(() => cohere.models.answer({ message: 'hello' }))
})
