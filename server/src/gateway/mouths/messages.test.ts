import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAnthropic } from '@ai-sdk/anthropic'
import Anthropic from '@anthropic-ai/sdk'
import { generateText, jsonSchema, streamText, tool } from 'ai'
import type { ChatRequest, Json, JsonObject } from '../hub.ts'
import { anthropic } from '../providers/anthropic.ts'
import { exchangesOf } from '../providers/exchanges-testing.ts'
import { ProviderFault } from '../providers/provider.ts'
import { messages } from './messages.ts'
import { about, chunkOf, faultOf, fetchOf, said, streamOf, tellAtRandom, usage } from './mouths-testing.ts'
import { assertReference, eventsOf } from './reference-testing.ts'

const hi = { model: 'm', max_tokens: 4_096, messages: [{ role: 'user', content: 'Hi' }] }
const read = (over: JsonObject) => messages.read({ ...hi, ...over })
const asked: ChatRequest = { ...read({}), stream: true }
const turns = (...given: JsonObject[]) => read({ messages: given }).messages
const user = (...content: JsonObject[]) => ({ role: 'user', content })
const clientOf = (body: string | JsonObject) => new Anthropic({ apiKey: 'k', maxRetries: 0, fetch: fetchOf(body) })

/** The events of a stream, each checked against the reference, and all of them against the order of blocks. */
function eventsIn(text: string): JsonObject[] {
  const events = eventsOf(text).map(({ event, data }) => {
    const told = JSON.parse(data)
    assert.equal(event, told.type)
    assertReference('messages.event', told)
    return told
  })
  let open: number | null = null
  let count = 0
  for (const { type, index } of events) {
    if (type === 'content_block_start') {
      assert.deepEqual([open, index], [null, count], 'Blocks come one after the other.')
      open = index
      count += 1
    }
    if (type === 'content_block_delta' || type === 'content_block_stop') assert.equal(index, open)
    if (type === 'content_block_stop') open = null
  }
  assert.equal(open, null)
  const names = events.map(({ type }) => type).filter((type) => !type.startsWith('content_block'))
  assert.deepEqual(names, ['message_start', 'ping', 'message_delta', 'message_stop'])
  return events
}

test('a stream begins, tells its blocks, why it ended and what it cost', () => {
  const chunks = [said({ content: 'Grüße' }), said({ content: '!' }), said({}, 'stop'), { ...chunkOf([]), usage }]
  const event = (type: string, more: JsonObject) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`
  const text = streamOf(messages, asked, chunks)
  const start = JSON.parse(eventsOf(text)[0]?.data ?? '')
  assert.deepEqual([start.message.id, start.message.model], ['msg_0123456789abcdef', 'acme/large'])
  assert.equal(
    text.slice(text.indexOf('event: ping')),
    event('ping', {}) +
      event('content_block_start', { index: 0, content_block: { type: 'text', text: '', citations: null } }) +
      event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'Grüße' } }) +
      event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: '!' } }) +
      event('content_block_stop', { index: 0 }) +
      event('message_delta', {
        delta: { stop_reason: 'end_turn', stop_sequence: null, stop_details: null, container: null },
        usage: {
          input_tokens: 70,
          cache_creation_input_tokens: 10,
          cache_read_input_tokens: 40,
          output_tokens: 30,
          output_tokens_details: { thinking_tokens: 8 },
          server_tool_use: null,
        },
      }) +
      event('message_stop', {}),
  )
})

test('Anthropic’s client puts any stream together as the whole answer, however calls are mixed', async () => {
  for (let seed = 0; seed < 120; seed++) {
    const { chunks, answer } = tellAtRandom(seed, { reasons: seed % 2 === 0, interleaves: seed % 3 === 0 })
    const whole = messages.answer(answer, asked, about)
    assertReference('messages.answer', whole)
    const text = streamOf(messages, asked, chunks)
    eventsIn(text)
    const final = await clientOf(text)
      .messages.stream({ model: 'm', max_tokens: 9, messages: [{ role: 'user', content: 'Hi' }] })
      .finalMessage()
    assert.deepEqual(sorted(final.content), sorted(whole.content), `seed ${seed}`)
    assert.equal(final.stop_reason, whole.stop_reason)
    const { input_tokens, output_tokens, cache_read_input_tokens } = final.usage
    assert.deepEqual([input_tokens, output_tokens, cache_read_input_tokens], [70, 30, 40])
  }
})

/** Mixed streams may tell a block later than it began. */
const sorted = (content: unknown) => Object.groupBy(content as JsonObject[], ({ type, id }) => `${type} ${id}`)

test('a stream reads the same wherever its bytes are cut', async () => {
  const { chunks } = tellAtRandom(4, { reasons: true })
  const bytes = Buffer.from(streamOf(messages, asked, chunks))
  const finals = new Set<string>()
  for (let at = 1; at < bytes.length; at++) {
    const client = new Anthropic({
      apiKey: 'k',
      fetch: async () =>
        new Response(ReadableStream.from([bytes.subarray(0, at), bytes.subarray(at)]), {
          headers: { 'content-type': 'text/event-stream' },
        }),
    })
    const stream = client.messages.stream({ model: 'm', max_tokens: 9, messages: [{ role: 'user', content: 'Hi' }] })
    finals.add(JSON.stringify((await stream.finalMessage()).content))
  }
  assert.equal(finals.size, 1)
})

test('the AI SDK reads answers and streams', async () => {
  const calls = [{ id: 't1', type: 'function' as const, function: { name: 'weather', arguments: '{"city":"Köln"}' } }]
  const message = {
    content: 'Let me look.',
    refusal: null,
    reasoning: [{ text: 'Hm.', signature: 'c2ln' }],
    tool_calls: calls,
  }
  const answer = {
    id: 'x',
    created: 1,
    model: 'x',
    choices: [{ index: 0, message, finish_reason: 'tool_calls' as const }],
    usage,
  }
  const chunks = [
    said({ reasoning: { index: 0, text: 'Hm.' } }),
    said({ reasoning: { index: 0, signature: 'c2ln' } }),
    said({ content: 'Let me look.' }),
    said({ tool_calls: [{ index: 0, id: 't1', function: { name: 'weather', arguments: '{"city":' } }] }),
    said({ tool_calls: [{ index: 0, function: { arguments: '"Köln"}' } }] }),
    said({}, 'tool_calls'),
    { ...chunkOf([]), usage },
  ]
  const tools = {
    weather: tool({ inputSchema: jsonSchema({ type: 'object', properties: { city: { type: 'string' } } }) }),
  }
  const model = (body: string | JsonObject) =>
    createAnthropic({ apiKey: 'k', fetch: fetchOf(body) })('claude-sonnet-4-5')
  const whole = await generateText({ model: model(messages.answer(answer, asked, about)), prompt: 'Hi', tools })
  const stream = streamText({ model: model(streamOf(messages, asked, chunks)), prompt: 'Hi', tools })
  for (const result of [whole, stream]) {
    assert.equal(await result.text, 'Let me look.')
    assert.equal(await result.reasoningText, 'Hm.')
    assert.deepEqual((await result.toolCalls)[0]?.input, { city: 'Köln' })
    assert.equal((await result.usage).inputTokens, 120)
    assert.equal(await result.finishReason, 'tool-calls')
  }
})

// There and back, through the hub.

test('what is read of Anthropic’s own requests is sent to Anthropic as it was', () => {
  for (const { name, sent } of exchangesOf('anthropic')) {
    if (!sent) continue
    const body = JSON.parse(JSON.stringify(sent.body), (key, value) =>
      // A model that takes no number says so by itself.
      key === 'budget_tokens' ? 2_000 : value,
    )
    const wish = messages.read(body)
    const again = JSON.parse(anthropic.chat?.request(account, body.model, wish).body ?? '')
    // An effort alone says less than that thinking is wished for, which the hub knows only.
    if (body.thinking?.type === 'between_tools' || (body.output_config?.effort && !body.thinking)) continue
    assert.deepEqual(again, withoutTexts(body), name)
  }
})
const account = { kind: 'anthropic' as const, base_url: 'http://x', key: null, headers: {}, options: {} }
/** Documents that are texts become texts, which every provider reads. */
const withoutTexts = (body: JsonObject) =>
  JSON.parse(JSON.stringify(body), (_key, value) =>
    value?.type === 'document' && value.source.type === 'text'
      ? { type: 'text', text: `${value.title}\n\n${value.source.data}` }
      : value,
  )

test('Anthropic’s answers and streams come out as they came in', () => {
  for (const { name, body, pieces, means } of exchangesOf('anthropic')) {
    if (!means || JSON.stringify(body ?? pieces).includes('flow_answer_in_json')) continue
    const naming = { id: about.id, now: about.created }
    if (body) {
      const again = messages.answer(anthropic.chat?.answer(body, naming) ?? assert.fail(), asked, about)
      assertReference('messages.answer', again)
      const refusal = (body.stop_details as JsonObject | null)?.explanation
      const content = refusal ? [{ type: 'text', text: refusal }] : body.content
      assert.deepEqual(plainBlocks(again.content), plainBlocks(content ?? null), name)
      const expected = body.stop_reason === 'model_context_window_exceeded' ? 'max_tokens' : body.stop_reason
      assert.deepEqual([again.stop_reason, again.stop_sequence], [expected, body.stop_sequence])
      continue
    }
    const reader = anthropic.chat?.stream(asked, naming)
    const chunks = [...(pieces ?? []).flatMap((piece) => reader?.push(piece) ?? []), ...(reader?.end() ?? [])]
    const told = eventsIn(streamOf(messages, asked, chunks))
    const given = (pieces ?? []).map(({ data }) => JSON.parse(data) as JsonObject)
    assert.deepEqual(told.flatMap(plainEvent), given.flatMap(plainEvent), name)
  }
})

/** Without what Anthropic adds to its blocks. */
const plainBlocks = (content: Json | undefined) =>
  JSON.parse(JSON.stringify(content), (key, value) => (['citations', 'caller'].includes(key) ? undefined : value))

function plainEvent(event: JsonObject): Json[] {
  const { type, delta, usage: told } = event as { type: string; delta?: JsonObject; usage?: JsonObject }
  if (type === 'ping' || type === 'message_start') return []
  // A call without input has an empty one, told or not.
  if (['', '{}'].includes(String(delta?.partial_json))) return []
  if (type === 'message_delta') return [delta?.stop_reason ?? null, told?.output_tokens ?? null]
  return [plainBlocks(event)]
}

// What is read.

test('the results of tools become messages of their own, before what is said beside them', () => {
  const call = { type: 'tool_use', id: 't1', name: 'look', input: { a: 1 } }
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA==' } }
  assert.deepEqual(
    turns(
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: [{ type: 'text', text: 'Well.' }, call] },
      user(
        { type: 'text', text: 'And now?' },
        { type: 'tool_result', tool_use_id: 't1', is_error: true, content: [{ type: 'text', text: 'no' }, image] },
      ),
    ).slice(1),
    [
      {
        role: 'assistant',
        content: [{ type: 'text', text: 'Well.' }],
        tool_calls: [{ id: 't1', type: 'function', function: { name: 'look', arguments: '{"a":1}' } }],
      },
      {
        role: 'tool',
        tool_call_id: 't1',
        content: [
          { type: 'text', text: 'no' },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } },
        ],
        is_error: true,
      },
      { role: 'user', content: [{ type: 'text', text: 'And now?' }] },
    ],
  )
})

test('images, documents and findings are read as what other providers understand', () => {
  const [message] = turns(
    user(
      {
        type: 'image',
        source: { type: 'url', url: 'https://example.com/a.png' },
        cache_control: { type: 'ephemeral' },
      },
      { type: 'document', title: 'A', source: { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0=' } },
      { type: 'document', source: { type: 'url', url: 'https://example.com/a.pdf' } },
      { type: 'document', source: { type: 'content', content: [{ type: 'text', text: 'One.' }] } },
      { type: 'search_result', title: 'T', source: 'https://s', content: [{ type: 'text', text: 'Found.' }] },
    ),
  )
  assert.deepEqual(message?.content, [
    { type: 'image_url', image_url: { url: 'https://example.com/a.png' }, cache_control: { type: 'ephemeral' } },
    { type: 'file', file: { filename: 'A', file_data: 'data:application/pdf;base64,JVBERi0=' } },
    { type: 'file', file: { file_data: 'https://example.com/a.pdf' } },
    { type: 'text', text: 'One.' },
    { type: 'text', text: 'T\nhttps://s\n\nFound.' },
  ])
})

test('the context of a file is told beside it, and marks of blocks stand at the end of what they have in them', () => {
  const mark = { cache_control: { type: 'ephemeral' } }
  const pdf = { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0=' }
  const text = (text: string) => ({ type: 'text', text })
  const [, called, first, second, last] = turns(
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: ['t1', 't2'].map((id) => ({ type: 'tool_use', id, name: 'look', input: {} })) },
    user(
      { type: 'tool_result', tool_use_id: 't1', content: 'rain', ...mark },
      { type: 'tool_result', tool_use_id: 't2', content: [text('a'), text('b')], ...mark },
      { type: 'document', context: 'Of 2024.', source: pdf },
      { type: 'document', source: { type: 'content', content: [text('One.'), text('Two.')] }, ...mark },
    ),
  )
  assert.equal(called?.role, 'assistant')
  assert.deepEqual(first?.content, [{ ...text('rain'), ...mark }])
  assert.deepEqual(second?.content, [text('a'), { ...text('b'), ...mark }])
  assert.deepEqual(last?.content, [
    text('Of 2024.'),
    { type: 'file', file: { file_data: 'data:application/pdf;base64,JVBERi0=' } },
    text('One.'),
    { ...text('Two.'), ...mark },
  ])
})

test('thinking is an effort or a number of tokens', () => {
  const wish = (over: JsonObject) => {
    const { reasoning_effort, reasoning_tokens } = read(over)
    return reasoning_effort ?? reasoning_tokens
  }
  assert.equal(wish({}), undefined)
  assert.equal(wish({ thinking: { type: 'disabled' } }), 'none')
  assert.equal(wish({ thinking: { type: 'adaptive' } }), 'high')
  assert.equal(wish({ thinking: { type: 'adaptive' }, output_config: { effort: 'max' } }), 'max')
  assert.equal(wish({ thinking: { type: 'enabled', budget_tokens: 2_048 } }), 2_048)
  assert.equal(wish({ output_config: { effort: 'low' } }), 'low')
})

test('a schema is strict where it says all that OpenAI’s strictness asks for', () => {
  const strict = (schema: JsonObject) => {
    const format = read({ output_config: { format: { type: 'json_schema', schema } } }).response_format
    return format?.type === 'json_schema' && format.json_schema.strict
  }
  const closed = { type: 'object', properties: { a: { type: 'string' } }, required: ['a'], additionalProperties: false }
  assert.equal(strict(closed), true)
  assert.equal(strict({ ...closed, required: [] }), false)
  assert.equal(strict({ ...closed, properties: { a: { type: 'object' } } }), false)
  assert.equal(strict({ type: 'array', items: closed }), true)
})

test('what was thought is handed back as it came, of every provider', () => {
  const reasoning = [
    { text: 'a', signature: 'EosnC' },
    { text: '', signature: 'gemini:call0:EqgC' },
    { text: 'b', data: 'openai:abc', id: 'rs_1' },
    { text: '', data: 'EmwK' },
    { text: 'c' },
  ]
  const answer = {
    ...{ id: 'x', created: 1, model: 'x', usage },
    choices: [{ index: 0, message: { content: 'Yes.', refusal: null, reasoning }, finish_reason: 'stop' as const }],
  }
  const { content } = messages.answer(answer, asked, about)
  const again = turns({ role: 'user', content: 'Hi' }, { role: 'assistant', content: content ?? null })[1]
  assert.deepEqual(again && 'reasoning' in again && again.reasoning, [
    { text: 'a', signature: 'EosnC' },
    { text: '', signature: 'gemini:call0:EqgC' },
    { text: 'b' },
    { text: '', data: 'openai:abc', id: 'rs_1' },
    { text: '', data: 'EmwK' },
    { text: 'c' },
  ])
})

test('what is not translated is kept by its name, for providers of the same format', () => {
  assert.deepEqual(read({ service_tier: 'auto', speed: null }).others, { service_tier: 'auto' })
})

// Refusals.

test('a wrong field is refused by its name', () => {
  const call = { type: 'tool_use', id: 't1', name: 'look', input: {} }
  const result = { type: 'tool_result', tool_use_id: 't1', content: 'x' }
  const tools = [{ name: 'look', input_schema: { type: 'object' } }]
  const bodies: [JsonObject, string][] = [
    [{ max_tokens: null }, 'max_tokens'],
    [{ max_tokens: 0 }, 'max_tokens'],
    [{ messages: [] }, 'messages'],
    [{ messages: null }, 'messages'],
    [{ messages: ['Hi'] }, 'messages[0]'],
    [{ messages: [{ role: 'wizard', content: 'x' }] }, 'messages[0].role'],
    [{ messages: [{ role: 'user' }] }, 'messages[0].content'],
    [{ messages: [{ role: 'user', content: 7 }] }, 'messages[0].content'],
    [{ messages: [user({ text: 'x' })] }, 'messages[0].content[0].type'],
    [{ messages: [user({ type: 'text' })] }, 'messages[0].content[0].text'],
    [{ messages: [user({ type: 'server_tool_use' })] }, 'messages[0].content[0].type'],
    [{ messages: [user({ type: 'image' })] }, 'messages[0].content[0].source'],
    [
      { messages: [user({ type: 'image', source: { type: 'url', url: 'ftp://x' } })] },
      'messages[0].content[0].source.url',
    ],
    [
      { messages: [user({ type: 'image', source: { type: 'base64', data: 'AA==' } })] },
      'messages[0].content[0].source.media_type',
    ],
    [{ messages: [user(result)] }, 'messages[0].content'],
    [{ messages: [...hi.messages, { role: 'assistant', content: [call] }] }, 'messages[1]'],
    [{ messages: [...hi.messages, { role: 'assistant', content: [call] }, ...hi.messages] }, 'messages[1]'],
    [
      { messages: [...hi.messages, { role: 'assistant', content: [{ ...call, input: 'x' }] }] },
      'messages[1].content[0].input',
    ],
    [{ system: 7 }, 'system'],
    [{ system: [{ type: 'image' }] }, 'system[0].type'],
    [{ system: [{ type: 'text', text: 'x', cache_control: { type: 'for ever' } }] }, 'system[0].cache_control.type'],
    [{ temperature: 1.1 }, 'temperature'],
    [{ top_k: -1 }, 'top_k'],
    [{ stop_sequences: [7] }, 'stop_sequences[0]'],
    [{ tools: [{ name: 'look' }] }, 'tools[0].input_schema'],
    [{ tools: [{ name: 'two words', input_schema: {} }] }, 'tools[0].name'],
    [{ tools: [...tools, ...tools] }, 'tools[1].name'],
    [{ tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'tools[0].type'],
    [{ tools, tool_choice: {} }, 'tool_choice.type'],
    [{ tools, tool_choice: { type: 'tool', name: 'other' } }, 'tool_choice.name'],
    [{ tool_choice: { type: 'any' } }, 'tool_choice'],
    [{ thinking: {} }, 'thinking.type'],
    [{ thinking: { type: 'enabled' } }, 'thinking.budget_tokens'],
    [{ thinking: { type: 'enabled', budget_tokens: 5_000 } }, 'thinking.budget_tokens'],
    [{ output_config: { effort: 'none' } }, 'output_config.effort'],
    [{ output_config: { format: { type: 'json_schema' } } }, 'output_config.format.schema'],
    [{ mcp_servers: [] }, 'mcp_servers'],
    [{ thread: { type: 'create' } }, 'thread'],
  ]
  for (const [over, param] of bodies) {
    const fault = faultOf(() => read(over))
    assert.equal(fault.param, param, JSON.stringify(over))
    assertReference('messages.error', messages.fault(fault))
  }
})

test('faults have the types of Anthropic', () => {
  const types = [400, 401, 402, 403, 404, 408, 413, 429, 500, 502, 503, 504, 529].map((status) => {
    const told = messages.fault({ status, type: 'x', code: null, message: 'No.' })
    assertReference('messages.error', told)
    return (told.error as JsonObject).type
  })
  assert.deepEqual(types, [
    ...['invalid_request_error', 'authentication_error', 'billing_error', 'permission_error', 'not_found_error'],
    ...['invalid_request_error', 'request_too_large', 'rate_limit_error', 'api_error', 'api_error', 'api_error'],
    ...['timeout_error', 'overloaded_error'],
  ])
})

test('a stream that breaks ends with an error, for which the client throws', async () => {
  const writer = messages.stream(asked, about)
  const fault = { status: 529, type: 'server_error', code: null, message: 'Overloaded.' }
  const text = writer.begin() + writer.chunk(said({ content: 'Well' })) + writer.fail(fault)
  assertReference('messages.event', JSON.parse(eventsOf(text).at(-1)?.data ?? ''))
  const stream = clientOf(text).messages.stream({
    model: 'm',
    max_tokens: 9,
    messages: [{ role: 'user', content: 'Hi' }],
  })
  await assert.rejects(
    stream.finalMessage(),
    (error) => error instanceof Anthropic.APIError && error.type === 'overloaded_error',
  )
})

// Answers.

test('a refusal is said, and is the reason', () => {
  const choice = { index: 0, message: { content: null, refusal: 'I will not.' }, finish_reason: 'stop' as const }
  const told = messages.answer({ id: 'x', created: 1, model: 'x', choices: [choice], usage }, asked, about)
  assertReference('messages.answer', told)
  assert.deepEqual(told.content, [{ type: 'text', text: 'I will not.', citations: null }])
  assert.equal(told.stop_reason, 'refusal')
  const chunks = [said({ refusal: 'I will ' }), said({ refusal: 'not.' }), said({}, 'stop')]
  const delta = eventsIn(streamOf(messages, asked, chunks)).find(({ type }) => type === 'message_delta')?.delta
  assert.equal((delta as JsonObject).stop_reason, 'refusal')
})

test('a call that is no JSON is a fault of the provider; one that was cut at its length is left out', () => {
  const called = { id: 't1', type: 'function' as const, function: { name: 'look', arguments: '{"a": ' } }
  const told = (finish_reason: 'tool_calls' | 'length') =>
    messages.answer(
      {
        ...{ id: 'x', created: 1, model: 'x', usage },
        choices: [{ index: 0, message: { content: null, refusal: null, tool_calls: [called] }, finish_reason }],
      },
      asked,
      about,
    )
  assert.throws(() => told('tool_calls'), ProviderFault)
  const cut = told('length')
  assert.deepEqual([cut.content, cut.stop_reason], [[], 'max_tokens'])
})
