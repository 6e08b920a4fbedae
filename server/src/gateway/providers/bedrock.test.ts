import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAmazonBedrock } from '@ai-sdk/amazon-bedrock'
import { EventStreamCodec } from '@smithy/eventstream-codec'
import type { ChatRequest, JsonObject } from '../hub.ts'
import { FrameReader } from '../ways/aws-frames.ts'
import { about, answerOf, testExchanges } from './adapter-testing.ts'
import { adapters } from './adapters.ts'
import { bedrock } from './bedrock.ts'
import { sign } from './bedrock-sign.ts'
import { chunksOf, type Exchange, exchangesOf, named, understoodOf } from './exchanges-testing.ts'
import { callOptionsOf, type Dialect, opinionOf, opinionOfStream, recording } from './oracle-testing.ts'
import { type Account, type Outgoing, ProviderFault, type StreamPiece } from './provider.ts'

const account: Account = {
  kind: 'bedrock',
  base_url: 'https://bedrock-runtime.us-east-1.amazonaws.com',
  key: 'AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  headers: {},
  options: { region: 'us-east-1' },
}
const CLAUDE = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0'
const NOVA = 'amazon.nova-pro-v1:0'
const exchanges = exchangesOf('bedrock')
const hi: ChatRequest['messages'] = [{ role: 'user', content: 'Hi' }]
const sentFor = (model: string, more: Partial<ChatRequest>) => {
  const outgoing = bedrock.chat?.request(account, model, { model, messages: hi, ...more })
  assert.ok(outgoing)
  return { body: JSON.parse(outgoing.body) as Record<string, unknown>, dropped: outgoing.dropped }
}
const refusalOf = (messages: ChatRequest['messages'], model = NOVA) => {
  try {
    sentFor(model, { messages })
  } catch (error) {
    if (error instanceof ProviderFault) return error.fault
    throw error
  }
  assert.fail('It was not refused.')
}

testExchanges(bedrock, account, exchanges)

test('the table knows the adapter', () => assert.equal(adapters.bedrock, bedrock))

// The oracle.

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString(),
  (text) => Buffer.from(text),
)
const text = (value: string) => ({ type: 'string' as const, value })

/** The frames as Amazon's own library writes them. */
const framed = (pieces: StreamPiece[]): Buffer =>
  Buffer.concat(
    pieces.map(({ event, data }) => {
      const isException = /Exception$/.test(event ?? '')
      const headers = {
        [isException ? ':exception-type' : ':event-type']: text(event ?? ''),
        ':content-type': text('application/json'),
        ':message-type': text(isException ? 'exception' : 'event'),
      }
      return codec.encode({ headers, body: Buffer.from(data) })
    }),
  )

const dialect: Dialect = {
  optionsOf: ({ signature, data }): JsonObject | null => {
    if (data?.startsWith('bedrock:')) return { redactedContent: data.slice(8) }
    return signature && !signature.includes(':') ? { signature } : null
  },
}
const nothing = {
  output: { message: { role: 'assistant', content: [] } },
  stopReason: 'end_turn',
  usage: { inputTokens: 0, outputTokens: 0, totalTokens: 0 },
}
function oracleFor(exchange: Exchange) {
  const { recorder, calls } = recording(() =>
    exchange.pieces
      ? new Response(new Uint8Array(framed(exchange.pieces)), {
          headers: { 'content-type': 'application/vnd.amazon.eventstream' },
        })
      : Response.json(exchange.body ?? nothing),
  )
  const [accessKeyId = '', secretAccessKey = ''] = account.key?.split(':') ?? []
  const provider = createAmazonBedrock({ region: 'us-east-1', accessKeyId, secretAccessKey, fetch: recorder })
  return { model: provider(exchange.request?.model ?? NOVA), calls }
}

/** What differs by choice: we ask for the sequence that ended an answer only where there are some, in both places where
 *  it may stand; put `top_k` where the models read it; mark results that are errors; and write what is asked for logs. */
const OWN = new Set(['additionalModelResponseFieldPaths', 'requestMetadata', 'status', 'top_k', 'topK'])

function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value !== 'object' || value === null) return value
  const kept = Object.entries(value)
    .filter(([name]) => !OWN.has(name))
    .map(([name, inner]) => [name, comparable(inner)] as const)
  return Object.fromEntries(kept.filter(([, inner]) => !isEmpty(inner)))
}
const isEmpty = (value: unknown) => typeof value === 'object' && value !== null && Object.keys(value).length === 0

for (const exchange of exchanges.filter(({ sent, alone }) => sent && !alone))
  test(`the AI SDK sends the same: ${exchange.name}`, async () => {
    const { model, calls } = oracleFor(exchange)
    const asked = exchange.request
    assert.ok(asked)
    const options = callOptionsOf(asked, 'amazonBedrock', dialect)
    await (asked.stream ? opinionOfStream(model, options) : opinionOf(model, options))
    const ours = bedrock.chat?.request(account, asked.model, asked)
    assert.equal(ours?.url, calls[0]?.url)
    assert.deepEqual(comparable(JSON.parse(ours?.body ?? '')), comparable(calls[0]?.body ?? {}))
  })

for (const exchange of exchanges.filter(({ means, alone }) => means && !alone))
  test(`the AI SDK understands the same: ${exchange.name}`, async () => {
    const { model } = oracleFor(exchange)
    const options = callOptionsOf({ model: NOVA, messages: hi }, 'amazonBedrock')
    const theirs = await (exchange.pieces ? opinionOfStream(model, options) : opinionOf(model, options))
    const answer = answerOf(bedrock, exchange)
    const [ours] = understoodOf(answer)
    assert.deepEqual(
      { ...ours, usage: answer.usage },
      {
        text: theirs.text,
        reasoning: theirs.reasoning,
        calls: theirs.calls,
        finish: theirs.finish,
        usage: { ...theirs.usage, reasoning: 0 },
      },
    )
  })

for (const exchange of exchanges.filter(({ pieces, fault, alone }) => pieces?.length && fault && !alone))
  test(`the AI SDK takes it for broken, too: ${exchange.name}`, async () => {
    const { model } = oracleFor(exchange)
    const theirs = await opinionOfStream(model, callOptionsOf({ model: NOVA, messages: hi }, 'amazonBedrock'))
    assert.ok(theirs.error)
  })

// Streams.

test('the same chunks come out wherever the frames of a stream are cut', () => {
  for (const exchange of exchanges.filter(({ pieces, means }) => pieces && means)) {
    const bytes = framed(exchange.pieces ?? [])
    const read = (parts: Buffer[]) => {
      const frames = new FrameReader()
      const reader = bedrock.chat?.stream(exchange.request ?? { model: NOVA, messages: hi }, about)
      assert.ok(reader)
      const chunks = chunksOf(
        reader,
        parts.flatMap((part) => frames.push(part)),
      )
      assert.ok(frames.isWhole)
      return chunks
    }
    const whole = read([bytes])
    for (let cut = 1; cut < bytes.length; cut++) {
      assert.deepEqual(read([bytes.subarray(0, cut), bytes.subarray(cut)]), whole, `${exchange.name}, cut at ${cut}`)
    }
    assert.deepEqual(read(Array.from(bytes, (_, i) => bytes.subarray(i, i + 1))), whole)
  }
})

test('a stream tells its end once, behind all that was said, and its usage behind that', () => {
  const { pieces = [] } = named(exchanges, 'thoughts are streamed before the text, with a signature')
  const reader = bedrock.chat?.stream({ model: CLAUDE, messages: hi }, about)
  const chunks = pieces.flatMap((piece) => reader?.push(piece) ?? [])
  assert.deepEqual(
    chunks.map(
      ({ choices: [choice], usage }) =>
        choice?.finish_reason ?? (usage ? 'usage' : Object.keys(choice?.delta ?? {})[0]),
    ),
    ['reasoning', 'reasoning', 'reasoning', 'content', 'stop', 'usage'],
  )
  assert.deepEqual(reader?.end(), [])
})

test('what is handed back is what was thought, streamed or not', () => {
  for (const name of [
    'Claude thinks with a budget, and its signature is kept',
    'thoughts are streamed before the text, with a signature',
    'sealed thoughts come in pieces, and are whole in the hub',
  ]) {
    const message = answerOf(bedrock, named(exchanges, name)).choices[0]?.message
    const { body } = sentFor(CLAUDE, { messages: [...hi, { role: 'assistant', ...message }, ...hi] })
    const [, turn] = body.messages as { content: JsonObject[] }[]
    const thought = name.startsWith('sealed')
      ? { redactedContent: 'c2VhbGVk' }
      : { reasoningText: { text: 'France: Paris.', signature: 'EqsBCkgI' } }
    assert.deepEqual(turn?.content[0], { reasoningContent: thought }, name)
  }
})

test('the sequence that ended an answer is told', () => {
  const output = { message: { content: [{ text: 'a' }] } }
  const told = { stopReason: 'stop_sequence', additionalModelResponseFields: { stop_sequence: 'END' } }
  const answer = bedrock.chat?.answer({ output, ...told, usage: {} }, about)
  assert.equal(answer?.choices[0]?.stop_sequence, 'END')
})

// Requests.

test('tools are left out where none may be called, unless the conversation has calls', () => {
  const tools: ChatRequest['tools'] = [{ type: 'function', function: { name: 'look' } }]
  const calls: ChatRequest['messages'] = [
    ...hi,
    { role: 'assistant', tool_calls: [{ id: 't1', type: 'function', function: { name: 'look', arguments: '{}' } }] },
    { role: 'tool', tool_call_id: 't1', content: '1' },
  ]
  const spec = { toolSpec: { name: 'look', inputSchema: { json: { type: 'object', properties: {} } } } }
  assert.equal(sentFor(NOVA, { tools, tool_choice: 'none' }).body.toolConfig, undefined)
  const kept = sentFor(NOVA, { tools, tool_choice: 'none', messages: calls })
  assert.deepEqual([kept.body.toolConfig, kept.dropped], [{ tools: [spec] }, ['tool_choice']])
  assert.deepEqual(sentFor(NOVA, { messages: calls }).body.toolConfig, { tools: [spec] })
  const claude = sentFor(CLAUDE, { tools, tool_choice: 'none', messages: calls })
  assert.deepEqual(claude.body.additionalModelRequestFields, { tool_choice: { type: 'none' } })
  assert.deepEqual(claude.dropped, [])
})

test('calls in parallel are forbidden in Anthropic’s words, and to others cannot be', () => {
  const tools: ChatRequest['tools'] = [{ type: 'function', function: { name: 'look' } }]
  const claude = sentFor(CLAUDE, { tools, tool_choice: 'required', parallel_tool_calls: false })
  assert.deepEqual(claude.body.additionalModelRequestFields, {
    tool_choice: { type: 'any', disable_parallel_tool_use: true },
  })
  assert.deepEqual(sentFor(NOVA, { tools, parallel_tool_calls: false }).dropped, ['parallel_tool_calls'])
})

test('ids of calls are brought into the form that the model takes, the same each time', () => {
  const long = 'x'.repeat(65)
  const called = (id: string): ChatRequest['messages'] => [
    { role: 'assistant', tool_calls: [{ id, type: 'function', function: { name: 'look', arguments: '' } }] },
    { role: 'tool', tool_call_id: id, content: '1' },
  ]
  const idsFor = (model: string, id: string) => {
    const text = JSON.stringify(sentFor(model, { messages: called(id) }).body)
    return [...text.matchAll(/"toolUseId":"([^"]*)"/g)].map(([, one]) => one)
  }
  assert.deepEqual(idsFor(NOVA, 'call_1'), ['call_1', 'call_1'])
  const [first, second] = idsFor(NOVA, long)
  assert.equal(first, second)
  assert.match(first ?? '', /^call_[0-9a-f]{32}$/)
  assert.match(idsFor('mistral.mistral-large-2402-v1:0', 'call_1')[0] ?? '', /^[a-zA-Z0-9]{9}$/)
  assert.equal(idsFor('mistral.mistral-large-2402-v1:0', 'abcDEF123')[0], 'abcDEF123')
})

test('what a model has no word for is named', () => {
  const wished: Partial<ChatRequest> = {
    temperature: 0.5,
    top_p: 0.5,
    top_k: 5,
    stop: ['END'],
    user: 'u',
    logprobs: true,
    reasoning_effort: 'high',
    response_format: { type: 'json_object' },
    metadata: { a: 'ä' },
    others: { store: true },
  }
  assert.deepEqual(sentFor('meta.llama3-3-70b-instruct-v1:0', wished).dropped.sort(), [
    'logprobs',
    'metadata',
    'reasoning_effort',
    'response_format',
    'store',
    'top_k',
    'user',
  ])
  assert.deepEqual(sentFor('us.openai.gpt-5', { temperature: 0.5, stop: ['END'] }).dropped, ['temperature', 'stop'])
  const newest = sentFor('us.anthropic.claude-opus-5-20260101-v1:0', { temperature: 0.5, user: 'u' })
  assert.deepEqual(newest.dropped.sort(), ['temperature', 'user'])
})

test('a newer model of Anthropic thinks by effort, and not before the tool that takes its answer in JSON', () => {
  const model = 'us.anthropic.claude-sonnet-4-6-v1:0'
  const thinking = sentFor(model, { reasoning_effort: 'high' })
  assert.deepEqual(thinking.body.additionalModelRequestFields, {
    thinking: { type: 'adaptive', display: 'summarized' },
    output_config: { effort: 'high' },
  })
  const schema = { type: 'object', properties: {}, additionalProperties: false }
  const { body, dropped } = sentFor(model, {
    reasoning_effort: 'high',
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
  })
  assert.deepEqual(body.additionalModelRequestFields, {
    thinking: { type: 'disabled' },
    tool_choice: { type: 'any', disable_parallel_tool_use: true },
  })
  assert.deepEqual(dropped, ['reasoning_effort'])
})

test('what Bedrock would have to fetch, or cannot read, is refused with its place', () => {
  const image = (url: string): ChatRequest['messages'] => [
    { role: 'user', content: [{ type: 'image_url', image_url: { url } }] },
  ]
  const file = (file: { file_id?: string; file_data?: string }): ChatRequest['messages'] => [
    { role: 'user', content: [{ type: 'file', file }] },
  ]
  assert.equal(refusalOf(image('https://example.com/a.png')).param, 'messages[0].content[0].image_url.url')
  assert.match(refusalOf(image('data:image/tiff;base64,AA==')).message, /does not read image\/tiff/)
  assert.equal(refusalOf(file({ file_id: 'file-1' })).param, 'messages[0].content[0].file')
  assert.equal(
    refusalOf(file({ file_data: 'https://example.com/a.pdf' })).param,
    'messages[0].content[0].file.file_data',
  )
  assert.throws(() => sentFor(NOVA, { n: 2 }), ProviderFault)
})

test('an answer that a tool takes is that alone, and without the tool what is said is the answer', () => {
  const response_format = { type: 'json_object' as const }
  const event = (event: string, body: object) => ({ event, data: JSON.stringify(body) })
  const said = { text: 'Here it is:' }
  const called = { toolUse: { toolUseId: 't', name: 'flow_answer_in_json', input: { a: 1 } } }
  for (const model of [NOVA, 'us.anthropic.claude-opus-4-6-v1']) {
    assert.match(JSON.stringify(sentFor(model, { response_format }).body.toolConfig), /flow_answer_in_json/)
    for (const [content, answer] of [
      [[said, called, said], '{"a":1}'],
      [[called, called], '{"a":1}'],
      [[said], 'Here it is:'],
    ] as const) {
      const whole = bedrock.chat?.answer({ output: { message: { content: [...content] } } }, about)
      assert.equal(whole?.choices[0]?.message.content, answer)
      const pieces = content.flatMap((block, contentBlockIndex) => [
        ...('text' in block
          ? [event('contentBlockDelta', { contentBlockIndex, delta: block })]
          : [
              event('contentBlockStart', { contentBlockIndex, start: block }),
              event('contentBlockDelta', { contentBlockIndex, delta: { toolUse: { input: '{"a":1}' } } }),
            ]),
        event('contentBlockStop', { contentBlockIndex }),
      ])
      const reader = bedrock.chat?.stream({ model, messages: hi, response_format }, about)
      assert.ok(reader)
      const chunks = chunksOf(reader, [...pieces, event('messageStop', { stopReason: 'tool_use' })])
      const told = chunks.flatMap(({ choices }) => choices)
      assert.equal(told.map(({ delta }) => delta.content ?? '').join(''), answer)
      assert.deepEqual([told.at(-1)?.finish_reason, whole?.choices[0]?.finish_reason], ['stop', 'stop'])
    }
  }
})

test('beside the tool that takes the answer only those may be called that the client allows', () => {
  const tools = ['a', 'b'].map((name) => ({ type: 'function' as const, function: { name } }))
  const schema = { type: 'object' }
  const response_format = { type: 'json_schema' as const, json_schema: { name: 'x', schema } }
  const namesFor = (tool_choice: ChatRequest['tool_choice']) => {
    const { body, dropped } = sentFor(NOVA, { tools, response_format, tool_choice })
    assert.deepEqual(dropped, [])
    return Object(body.toolConfig).tools.map(({ toolSpec }: { toolSpec: { name: string } }) => toolSpec.name)
  }
  assert.deepEqual(namesFor('auto'), ['a', 'b', 'flow_answer_in_json'])
  assert.deepEqual(namesFor({ type: 'function', function: { name: 'b' } }), ['b', 'flow_answer_in_json'])
  assert.deepEqual(namesFor('none'), ['flow_answer_in_json'])
})

// Signing.

const plain = (url: string, method: Outgoing['method'] = 'GET', body = ''): Outgoing => ({
  ...{ method, url, body },
  headers: {},
  dropped: [],
})
const signedWith = async (outgoing: Outgoing, given: Account, now: Date, service?: string) =>
  (await sign(outgoing, given, now, service)).headers

test('a signature is that of AWS’s own test vector', async () => {
  const now = new Date('2015-08-30T12:36:00Z')
  const headers = await signedWith(plain('https://example.amazonaws.com/'), account, now, 'service')
  assert.deepEqual(headers, {
    'x-amz-date': '20150830T123600Z',
    authorization:
      'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, ' +
      'SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
  })
})

test('a call is signed as the AI SDK signs it, with names that must be encoded, and with a session', async () => {
  const models = [
    CLAUDE,
    'arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0',
  ]
  for (const name of models) {
    for (const sessionToken of [undefined, 'IQoJb3JpZ2lu//////////wEaCXVz']) {
      const { recorder, calls } = recording(() => Response.json(nothing))
      const [accessKeyId = '', secretAccessKey = ''] = account.key?.split(':') ?? []
      const provider = createAmazonBedrock({
        region: 'us-east-1',
        accessKeyId,
        secretAccessKey,
        sessionToken,
        fetch: recorder,
      })
      await opinionOf(provider(name), callOptionsOf({ model: name, messages: hi }, 'amazonBedrock'))
      const [theirs] = calls
      assert.ok(theirs)
      const [, y, m, d, h, min, s] = /^(....)(..)(..)T(..)(..)(..)Z$/.exec(theirs.headers['x-amz-date'] ?? '') ?? []
      const now = new Date(`${y}-${m}-${d}T${h}:${min}:${s}Z`)
      const key = [accessKeyId, secretAccessKey, ...(sessionToken ? [sessionToken] : [])].join(':')
      const ours = bedrock.chat?.request(account, name, { model: name, messages: hi })
      const outgoing = plain(ours?.url ?? '', 'POST', JSON.stringify(theirs.body))
      const headers = await signedWith(outgoing, { ...account, key }, now)
      assert.equal(headers.authorization, theirs.headers.authorization)
      assert.equal(headers['x-amz-security-token'], theirs.headers['x-amz-security-token'])
    }
  }
})

test('an API key goes into its header, and without a key nothing is signed', async () => {
  const outgoing = plain('https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse', 'POST', '{}')
  const now = new Date(0)
  assert.deepEqual(await signedWith(outgoing, { ...account, key: 'ABSKexample=' }, now), {
    authorization: 'Bearer ABSKexample=',
  })
  assert.deepEqual(await signedWith(outgoing, { ...account, key: null }, now), {})
})

test('a key that is none of AWS’s is a fault before anything is sent', async () => {
  for (const key of ['AKIDEXAMPLE:', ':secret']) {
    await assert.rejects(
      sign(plain('https://example.com/'), { ...account, key }, new Date(0)),
      (error) => error instanceof ProviderFault && error.fault.status === 401,
    )
  }
})

test('the region is that of the options, or of the address', async () => {
  const scopeFor = async (base_url: string, options: Record<string, string>) => {
    const { authorization } = await signedWith(plain(`${base_url}/x`), { ...account, base_url, options }, new Date(0))
    return /Credential=AKIDEXAMPLE\/19700101\/([^/]+)/.exec(authorization ?? '')?.[1]
  }
  assert.equal(await scopeFor('https://bedrock-runtime.eu-west-1.amazonaws.com', {}), 'eu-west-1')
  assert.equal(await scopeFor('https://proxy.example.com', { region: 'eu-north-1' }), 'eu-north-1')
})

// Embeddings, rerank and models.

test('documents are ranked by the models of Amazon and of Cohere', () => {
  const asked = { model: 'm', query: 'q', documents: ['a', 'b'], top_n: 1, others: { rank_fields: [] } }
  const outgoing = bedrock.rerank?.request(account, 'cohere.rerank-v3-5:0', asked)
  assert.equal(outgoing?.url, `${account.base_url}/model/cohere.rerank-v3-5%3A0/invoke`)
  const body = { query: 'q', documents: ['a', 'b'], top_n: 1 }
  assert.deepEqual(JSON.parse(outgoing?.body ?? ''), { ...body, api_version: 2 })
  assert.deepEqual(outgoing?.dropped, ['rank_fields'])
  assert.deepEqual(JSON.parse(bedrock.rerank?.request(account, 'amazon.rerank-v1:0', asked).body ?? ''), body)
  const results = [{ index: 1, relevance_score: 0.9 }]
  assert.deepEqual(bedrock.rerank?.answer({ results }, asked).results, [{ index: 1, score: 0.9 }])
})

test('texts are embedded as the AI SDK does it, by the models of Amazon and of Cohere', async () => {
  const vectors = [
    [0.5, -1],
    [1, 2],
  ]
  const rounds: [string, string[], JsonObject, JsonObject, Partial<JsonObject>][] = [
    [
      'amazon.titan-embed-text-v2:0',
      ['a'],
      { embedding: [0.5, -1], inputTextTokenCount: 3 },
      { dimensions: 256 },
      { dimensions: 256 },
    ],
    ['cohere.embed-english-v3', ['a', 'b'], { embeddings: vectors }, { inputType: 'search_document' }, {}],
    [
      'us.cohere.embed-v4:0',
      ['a', 'b'],
      { embeddings: { float: vectors } },
      { inputType: 'search_query', outputDimension: 256 },
      { dimensions: 256, input_type: 'query' },
    ],
  ]
  for (const [model, input, answered, options, more] of rounds) {
    const { recorder, calls } = recording(() => Response.json(answered))
    const provider = createAmazonBedrock({ region: 'us-east-1', apiKey: 'k', fetch: recorder })
    const theirs = await provider
      .embedding(model)
      .doEmbed({ values: input, providerOptions: { amazonBedrock: options } })
    const asked = { model, input, ...more }
    const ours = bedrock.embeddings?.request(account, model, asked)
    assert.equal(ours?.url, calls[0]?.url)
    assert.deepEqual(JSON.parse(ours?.body ?? ''), calls[0]?.body)
    const answer = bedrock.embeddings?.answer(answered, asked)
    assert.deepEqual(answer?.vectors, theirs.embeddings)
    assert.ok((answer?.usage.input ?? 0) > 0)
  }
  assert.equal(bedrock.embeddings?.inputsMax?.('amazon.titan-embed-text-v2:0'), 1)
  assert.equal(bedrock.embeddings?.inputsMax?.('us.cohere.embed-v4:0'), 96)
})

test('of vectors what a model does not know is named, and fewer than the texts are a fault', () => {
  const outgoing = bedrock.embeddings?.request(account, 'amazon.titan-embed-text-v1', {
    model: 'm',
    input: ['a'],
    dimensions: 8,
    input_type: 'query',
  })
  assert.deepEqual(outgoing?.dropped, ['input_type', 'dimensions'])
  assert.throws(
    () => bedrock.embeddings?.answer({ embeddings: [[1]] }, { model: 'm', input: ['a', 'b'] }),
    ProviderFault,
  )
  assert.throws(() => bedrock.embeddings?.request(account, 'm', { model: 'm', input: [[1, 2]] }), ProviderFault)
})

test('models are asked of the host that lists them, and those that can be called by name are listed', () => {
  const urlFor = (base_url: string) => bedrock.models.request({ ...account, base_url }).url
  assert.equal(urlFor(account.base_url), 'https://bedrock.us-east-1.amazonaws.com/foundation-models')
  assert.equal(
    urlFor('https://bedrock-runtime-fips.us-east-1.amazonaws.com'),
    'https://bedrock-fips.us-east-1.amazonaws.com/foundation-models',
  )
  assert.equal(urlFor('https://proxy.example.com/aws'), 'https://proxy.example.com/aws/foundation-models')
  assert.equal(urlFor('https://bedrock-runtime.evil.example'), 'https://bedrock-runtime.evil.example/foundation-models')
  const active = { modelLifecycle: { status: 'ACTIVE' } }
  const modelSummaries = [
    { modelId: 'amazon.nova-pro-v1:0', inferenceTypesSupported: ['ON_DEMAND', 'INFERENCE_PROFILE'], ...active },
    { modelId: 'anthropic.claude-opus-4-5-20251101-v1:0', inferenceTypesSupported: ['INFERENCE_PROFILE'], ...active },
    {
      modelId: 'amazon.titan-text-lite-v1',
      inferenceTypesSupported: ['ON_DEMAND'],
      modelLifecycle: { status: 'LEGACY' },
    },
  ]
  const listed = (body: JsonObject) => bedrock.models.answer(body).map(({ id }) => id)
  assert.deepEqual(listed({ modelSummaries }), ['amazon.nova-pro-v1:0'])
  const arn = 'arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3'
  const inferenceProfileSummaries: JsonObject[] = [
    { inferenceProfileId: CLAUDE, type: 'SYSTEM_DEFINED' },
    { inferenceProfileId: 'a1b2c3', inferenceProfileArn: arn, type: 'APPLICATION' },
  ]
  assert.deepEqual(listed({ inferenceProfileSummaries }), [CLAUDE, arn])
  assert.throws(() => listed({ data: [] }), TypeError)
  assert.deepEqual(
    bedrock.models.more?.(account).map(({ url }) => url),
    ['https://bedrock.us-east-1.amazonaws.com/inference-profiles?maxResults=1000'],
  )
})
