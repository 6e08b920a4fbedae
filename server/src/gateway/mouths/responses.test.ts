import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createOpenAI } from '@ai-sdk/openai'
import { generateText, jsonSchema, streamText, tool } from 'ai'
import OpenAI from 'openai'
import type { ChatAnswer, Fault, Json, JsonObject } from '../hub.ts'
import { about, chunkOf, faultOf, fetchOf, said, streamOf, tellAtRandom, usage } from './mouths-testing.ts'
import { assertReference, eventsOf } from './reference-testing.ts'
import { responses } from './responses.ts'

const read = (over: JsonObject = {}) => responses.read({ model: 'acme/large', input: 'Hi', ...over })
const asked = read({ stream: true })
const messagesFor = (input: Json) => read({ input }).messages

type Event = { type: string; sequence_number: number; [key: string]: unknown }

/** The events of a stream, each checked against the reference, numbered without a gap. */
function told(text: string): Event[] {
  return eventsOf(text).map(({ event, data }, i) => {
    const content: Event = JSON.parse(data)
    assertReference('responses.event', content)
    assert.equal(content.type, event)
    assert.equal(content.sequence_number, i)
    return content
  })
}
const typesOf = (events: Event[]) => events.map(({ type }) => type.replace(/^response\./, ''))
const answerOf = (message: Partial<ChatAnswer['choices'][number]['message']>, more: object = {}): ChatAnswer => ({
  id: 'up-1',
  created: 1,
  model: 'large-1',
  choices: [{ index: 0, message: { content: null, refusal: null, ...message }, finish_reason: 'stop', ...more }],
  usage,
})

// Answers.

test('a response tells its items, its usage, what was asked for, and that it is not kept', () => {
  const request = read({
    instructions: 'Be brief.',
    metadata: { team: 'red' },
    temperature: 0.5,
    max_output_tokens: 90,
  })
  const given = responses.answer(answerOf({ content: 'Hello' }), request, about)
  assertReference('responses.answer', given)
  assert.deepEqual(given, {
    id: 'resp_0123456789abcdef',
    object: 'response',
    created_at: 1_760_000_000,
    status: 'completed',
    access_programs: null,
    error: null,
    incomplete_details: null,
    model: 'acme/large',
    output: [
      {
        id: 'msg_0123456789abcdef_0',
        type: 'message',
        role: 'assistant',
        status: 'completed',
        content: [{ type: 'output_text', text: 'Hello', annotations: [], logprobs: [] }],
      },
    ],
    usage: {
      input_tokens: 120,
      input_tokens_details: { cached_tokens: 40, cache_write_tokens: 10 },
      output_tokens: 30,
      output_tokens_details: { reasoning_tokens: 8 },
      total_tokens: 150,
    },
    background: false,
    instructions: 'Be brief.',
    max_output_tokens: 90,
    max_tool_calls: null,
    metadata: { team: 'red' },
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: false,
    temperature: 0.5,
    text: { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: [],
    top_logprobs: 0,
    top_p: null,
    truncation: 'disabled',
  })
})

test('what was thought, said and called stands in this order', () => {
  const call = { id: 'call_1', type: 'function' as const, function: { name: 'weather', arguments: '{}' } }
  const message = { content: 'Wait.', tool_calls: [call], reasoning: [{ text: 'Hm.' }, { text: '', data: 'sealed' }] }
  const given = responses.answer(answerOf(message, { finish_reason: 'tool_calls' }), asked, about)
  assertReference('responses.answer', given)
  const output = given.output as JsonObject[]
  assert.deepEqual(
    output.map(({ type }) => type),
    ['reasoning', 'reasoning', 'message', 'function_call'],
  )
  assert.equal(new Set(output.map(({ id }) => id)).size, 4)
  assert.deepEqual(output[3], {
    id: 'fc_0123456789abcdef_3',
    type: 'function_call',
    call_id: 'call_1',
    name: 'weather',
    arguments: '{}',
    status: 'completed',
  })
})

test('an answer that was cut short says why, and which item it is', () => {
  for (const [finish_reason, reason] of [
    ['length', 'max_output_tokens'],
    ['content_filter', 'content_filter'],
  ]) {
    const given = responses.answer(answerOf({ content: 'Hel' }, { finish_reason }), asked, about)
    assertReference('responses.answer', given)
    assert.equal(given.status, 'incomplete')
    assert.deepEqual(given.incomplete_details, { reason })
    assert.equal((given.output as JsonObject[])[0]?.status, 'incomplete')
  }
})

// Streams.

test('a text is added, told in pieces and done, with numbers that have no gap', () => {
  const chunks = [said({ content: 'Grü' }), said({ content: 'ße' }), said({}, 'stop'), { ...chunkOf([]), usage }]
  const events = told(streamOf(responses, asked, chunks))
  assert.deepEqual(typesOf(events), [
    'created',
    'in_progress',
    'output_item.added',
    'content_part.added',
    'output_text.delta',
    'output_text.delta',
    'output_text.done',
    'content_part.done',
    'output_item.done',
    'completed',
  ])
  assert.deepEqual(events[6]?.text, 'Grüße')
})

test('reasoning is told as a summary, and its signature comes with the whole item', () => {
  const chunks = [
    said({ reasoning: { index: 0, text: 'Let me ' } }),
    said({ reasoning: { index: 0, text: 'see.' } }),
    said({ reasoning: { index: 0, signature: 'c2ln' } }),
    said({ reasoning: { index: 1, data: 'c2VhbGVk' } }),
    said({ content: 'Yes.' }),
    said({}, 'stop'),
  ]
  const events = told(streamOf(responses, asked, chunks))
  assert.deepEqual(typesOf(events).slice(2, 11), [
    'output_item.added',
    'reasoning_summary_part.added',
    'reasoning_summary_text.delta',
    'reasoning_summary_text.delta',
    'reasoning_summary_text.done',
    'reasoning_summary_part.done',
    'output_item.done',
    'output_item.added',
    'output_item.done',
  ])
  const last = events.at(-1)?.response as JsonObject
  const [first, second] = last.output as JsonObject[]
  assert.deepEqual(first?.summary, [{ type: 'summary_text', text: 'Let me see.' }])
  assert.deepEqual(second?.summary, [])
  assert.deepEqual(messagesFor(last.output as Json), [
    {
      role: 'assistant',
      reasoning: [
        { text: 'Let me see.', signature: 'c2ln' },
        { text: '', data: 'c2VhbGVk' },
      ],
      content: [{ type: 'text', text: 'Yes.' }],
    },
  ])
})

test('pieces of parallel calls may come mixed', () => {
  const piece = (index: number, written: string, name?: string) =>
    said({ tool_calls: [{ index, ...(name && { id: `c${index}` }), function: { name, arguments: written } }] })
  const chunks = [piece(0, '', 'a'), piece(1, '{"x', 'b'), piece(0, '{}'), piece(1, '":1}'), said({}, 'tool_calls')]
  const events = told(streamOf(responses, asked, chunks))
  const done = events.filter(({ type }) => type === 'response.function_call_arguments.done')
  assert.deepEqual(
    done.map((event) => [event.output_index, event.arguments]),
    [
      [0, '{}'],
      [1, '{"x":1}'],
    ],
  )
})

test('a refusal is a part of its own, behind what was said', () => {
  const chunks = [said({ content: 'Well. ' }), said({ refusal: 'I ' }), said({ refusal: 'cannot.' }), said({}, 'stop')]
  const events = told(streamOf(responses, asked, chunks))
  const { output } = (events.at(-1)?.response ?? {}) as { output: JsonObject[] }
  assert.deepEqual(output[0]?.content, [
    { type: 'output_text', text: 'Well. ', annotations: [], logprobs: [] },
    { type: 'refusal', refusal: 'I cannot.' },
  ])
})

test('log probabilities are told where they were asked for', () => {
  const request = read({ stream: true, include: ['message.output_text.logprobs'], top_logprobs: 1 })
  assert.deepEqual([request.logprobs, request.top_logprobs], [true, 1])
  const token = { token: 'Hi', logprob: -0.5, bytes: [72, 105] }
  const logprobs = { content: [{ ...token, top_logprobs: [{ ...token, bytes: null }] }], refusal: null }
  const chunks = [
    chunkOf([{ index: 0, delta: { content: 'Hi' }, finish_reason: null, logprobs }]),
    chunkOf([{ index: 0, delta: {}, finish_reason: 'stop', logprobs: null }]),
  ]
  const expected = [{ ...token, top_logprobs: [{ token: 'Hi', logprob: -0.5 }] }]
  const events = told(streamOf(responses, request, chunks))
  assert.deepEqual(events.find(({ type }) => type === 'response.output_text.delta')?.logprobs, expected)
  assert.deepEqual(events.find(({ type }) => type === 'response.output_text.done')?.logprobs, expected)
  const whole = responses.answer(answerOf({ content: 'Hi' }, { logprobs }), request, about)
  assertReference('responses.answer', whole)
  const plain = told(streamOf(responses, asked, chunks))
  assert.deepEqual(plain.find(({ type }) => type === 'response.output_text.delta')?.logprobs, [])
})

test('a stream that breaks says that the response failed, tells nothing again, and ends with an error', () => {
  const faults: [Partial<Fault>, string][] = [
    [{ status: 502, type: 'api_error', code: 'upstream_failed' }, 'server_error'],
    [{ status: 429, type: 'rate_limit_error', code: null }, 'rate_limit_exceeded'],
    [{ status: 400, type: 'invalid_request_error', code: null }, 'invalid_prompt'],
  ]
  for (const [fault, code] of faults) {
    const writer = responses.stream(asked, about)
    const call = { index: 0, id: 'c', function: { name: 'look', arguments: '{"a' } }
    const text =
      writer.begin() +
      writer.chunk(said({ content: 'Half' })) +
      writer.chunk(said({ tool_calls: [call] })) +
      writer.fail({ status: 500, type: 'api_error', code: null, message: 'It broke.', ...fault })
    const events = told(text)
    assert.deepEqual(typesOf(events).slice(-2), ['failed', 'error'])
    const failed = events.at(-2)?.response as JsonObject
    assert.equal(failed.status, 'failed')
    assert.deepEqual(failed.error, { code, message: 'It broke.' })
    assert.deepEqual(failed.output, [])
    assert.equal(events.at(-1)?.message, 'It broke.')
  }
})

test('an answer without a word has no items', () => {
  const events = told(streamOf(responses, asked, [said({}, 'stop'), { ...chunkOf([]), usage }]))
  assert.deepEqual(typesOf(events), ['created', 'in_progress', 'completed'])
  assert.deepEqual(responses.answer(answerOf({ content: '' }), asked, about).output, [])
})

test("any stream amounts to the unstreamed answer, in the openai client's own hands", async () => {
  for (let seed = 0; seed < 150; seed++) {
    const { chunks, answer } = tellAtRandom(seed, { reasons: true, interleaves: seed % 3 === 0 })
    const whole = responses.answer(answer, asked, about)
    assertReference('responses.answer', whole)
    const text = streamOf(responses, asked, chunks)
    told(text)
    const of = (body: string | JsonObject) => new OpenAI({ apiKey: 'k', fetch: fetchOf(body), maxRetries: 0 })
    const plain = await of(whole).responses.create({ model: 'm', input: 'Hi' })
    const streamed = await of(text).responses.stream({ model: 'm', input: 'Hi' }).finalResponse()
    assert.equal(streamed.output_text, plain.output_text, `seed ${seed}`)
    assert.deepEqual(
      streamed.output.map((item) =>
        JSON.parse(JSON.stringify(item, (key, value) => (/^parsed/.test(key) ? undefined : value))),
      ),
      plain.output,
      `seed ${seed}`,
    )
    assert.deepEqual([streamed.usage, streamed.status], [plain.usage, plain.status])
  }
})

test('the AI SDK reads the same texts, thoughts, calls and usage from a stream and from an answer', async () => {
  const tools = Object.fromEntries(
    [0, 1, 2].map((i) => [`tool_${i}`, tool({ inputSchema: jsonSchema<JsonObject>({ type: 'object' }) })]),
  )
  for (let seed = 0; seed < 25; seed++) {
    const { chunks, answer } = tellAtRandom(seed, { reasons: true })
    const modelOf = (body: string | JsonObject) =>
      createOpenAI({ apiKey: 'k', fetch: fetchOf(body) }).responses('acme/large')
    const whole = await generateText({ model: modelOf(responses.answer(answer, asked, about)), prompt: 'Hi', tools })
    const stream = streamText({ model: modelOf(streamOf(responses, asked, chunks)), prompt: 'Hi', tools })
    const calls = (made: { toolName: string; toolCallId: string; input: unknown }[]) =>
      made.map(({ toolName, toolCallId, input }) => [toolName, toolCallId, input])
    const [message] = answer.choices.map((choice) => choice.message)

    assert.equal(await stream.text, whole.text)
    assert.equal(whole.text, message?.content ?? '')
    assert.equal(await stream.reasoningText, whole.reasoningText)
    assert.deepEqual(calls(await stream.toolCalls), calls(whole.toolCalls))
    assert.equal(whole.toolCalls.length, message?.tool_calls?.length ?? 0)
    assert.equal(await stream.finishReason, whole.finishReason)
    assert.deepEqual((await stream.usage).outputTokens, whole.usage.outputTokens)
  }
})

// Requests.

test('an input of text is a message of the user, behind the instructions', () => {
  assert.deepEqual(read({ instructions: 'Be brief.' }).messages, [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Hi' },
  ])
})

test('every part of a message is understood', () => {
  const content: Json[] = [
    { type: 'input_text', text: 'Look:' },
    { type: 'input_image', image_url: 'https://example.com/a.png', detail: 'low' },
    { type: 'input_file', filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA==' },
    { type: 'input_file', file_url: 'https://example.com/b.pdf' },
    { type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } },
  ]
  assert.deepEqual(
    messagesFor([
      { role: 'developer', content: 'Be kind.' },
      { role: 'user', content },
    ]),
    [
      { role: 'developer', content: 'Be kind.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Look:' },
          { type: 'image_url', image_url: { url: 'https://example.com/a.png', detail: 'low' } },
          { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA==' } },
          { type: 'file', file: { file_data: 'https://example.com/b.pdf' } },
          { type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } },
        ],
      },
    ],
  )
})

const call = (call_id: string) => ({ type: 'function_call', call_id, name: 'look', arguments: '{}' })
const output = (call_id: string, given: Json = 'seen') => ({ type: 'function_call_output', call_id, output: given })
const called = (id: string) => ({ id, type: 'function', function: { name: 'look', arguments: '{}' } })
const toolSaid = (tool_call_id: string, content: Json = 'seen') => ({ role: 'tool', tool_call_id, content })

test('items of one turn are one message, and each output stands behind the turn that called', () => {
  const thought = { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'Hm.' }] }
  const wait = { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Wait.' }] }
  const parts = [{ type: 'text', text: 'Wait.' }]
  const reasoning = [{ text: 'Hm.' }]
  const user = { role: 'user', content: 'Go.' }
  assert.deepEqual(messagesFor([user, thought, wait, call('a'), call('b'), output('b'), output('a'), user]), [
    user,
    { role: 'assistant', reasoning, content: parts, tool_calls: [called('a'), called('b')] },
    toolSaid('a'),
    toolSaid('b'),
    user,
  ])
  // A loop that answers each call at once, and one that is late.
  assert.deepEqual(messagesFor([call('a'), output('a'), call('b'), user, output('b')]), [
    { role: 'assistant', tool_calls: [called('a')] },
    toolSaid('a'),
    { role: 'assistant', tool_calls: [called('b')] },
    toolSaid('b'),
    user,
  ])
  // The same name may be used again once it is answered.
  assert.equal(messagesFor([call('a'), output('a'), call('a'), output('a')]).length, 4)
  // Two texts are two turns, unless one of them calls.
  assert.deepEqual(messagesFor([wait, wait]), [
    { role: 'assistant', content: parts },
    { role: 'assistant', content: parts },
  ])
  assert.deepEqual(messagesFor([wait, call('a'), wait, output('a')]), [
    { role: 'assistant', content: [...parts, ...parts], tool_calls: [called('a')] },
    toolSaid('a'),
  ])
})

test('an output may have texts and images', () => {
  const url = 'data:image/png;base64,AA=='
  const given: Json[] = [
    { type: 'input_text', text: 'done' },
    { type: 'input_image', image_url: url },
  ]
  const [, answer] = messagesFor([call('a'), output('a', given)])
  assert.deepEqual(
    answer,
    toolSaid('a', [
      { type: 'text', text: 'done' },
      { type: 'image_url', image_url: { url } },
    ]),
  )
})

test('what OpenAI sealed is kept for OpenAI, and what nobody can read is not believed', () => {
  const thought = (encrypted_content: string | null, text = '') => ({
    type: 'reasoning',
    id: 'rs_1',
    summary: text ? [{ type: 'summary_text', text }] : [],
    encrypted_content,
  })
  const reasoningOf = (item: JsonObject) => {
    const [message] = messagesFor([item, { role: 'assistant', content: 'Yes.' }])
    return message?.role === 'assistant' ? message.reasoning : undefined
  }
  assert.deepEqual(reasoningOf(thought('gAAAAA')), [{ text: '', data: 'openai:gAAAAA' }])
  assert.deepEqual(reasoningOf(thought('flow:%%%', 'Hm.')), [{ text: 'Hm.' }])
  assert.equal(reasoningOf(thought('flow:NQ')), undefined)
  assert.equal(reasoningOf(thought(null)), undefined)
})

test('parameters reach the hub, and what it does not know stands apart', () => {
  const schema = { type: 'object', properties: {} }
  const request = read({
    max_output_tokens: 50,
    temperature: 1,
    top_p: 0.5,
    parallel_tool_calls: false,
    text: { format: { type: 'json_schema', name: 'x', schema, strict: true }, verbosity: 'low' },
    reasoning: { effort: 'low', summary: 'auto', context: 'all_turns' },
    tools: [{ type: 'function', name: 'look', parameters: schema, strict: false }],
    tool_choice: { type: 'function', name: 'look' },
    include: ['reasoning.encrypted_content'],
    safety_identifier: 'u1',
    store: true,
    truncation: 'auto',
    service_tier: 'flex',
    prompt_cache_key: 'k',
  })
  const { echo, messages, ...rest } = request
  assert.equal(messages.length, 1)
  assert.deepEqual(rest, {
    model: 'acme/large',
    mouth: 'responses',
    max_completion_tokens: 50,
    temperature: 1,
    top_p: 0.5,
    parallel_tool_calls: false,
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema, strict: true } },
    reasoning_effort: 'low',
    tools: [{ type: 'function', function: { name: 'look', parameters: schema, strict: false } }],
    tool_choice: { type: 'function', function: { name: 'look' } },
    user: 'u1',
    others: { service_tier: 'flex', prompt_cache_key: 'k' },
  })
  assert.equal(echo?.store, false)
  assertReference('responses.answer', responses.answer(answerOf({ content: 'Hi' }), request, about))
})

test('of the tools only those remain that may be called', () => {
  const tools = ['a', 'b'].map((name) => ({ type: 'function', name, parameters: {}, strict: true }))
  const tool_choice = { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'b' }] }
  const request = read({ tools, tool_choice })
  assert.deepEqual(
    request.tools?.map((each) => each.function.name),
    ['b'],
  )
  assert.equal(request.tool_choice, 'required')
  const given = responses.answer(answerOf({ content: 'Hi' }), request, about)
  assertReference('responses.answer', given)
  assert.deepEqual(given.tools, tools)
})

test('what cannot be done is refused with its place', () => {
  const tool = (type: string) => ({ tools: [{ type, name: 'x' }] })
  const cases: [JsonObject, string, RegExp][] = [
    [{ input: null }, 'input', /Missing required/],
    [{ input: 5 }, 'input', /string or array/],
    [{ input: [] }, 'input', /empty array/],
    [{ input: ['Hi'] }, 'input[0]', /an object/],
    [{ input: [{ role: 'wizard', content: 'x' }] }, 'input[0].role', /'assistant'/],
    [{ input: [{ content: 'x' }] }, 'input[0].role', /Missing/],
    [{ input: [{ role: 'user', content: [{ type: 'text2' }] }] }, 'input[0].content[0].type', /input_text/],
    [
      { input: [{ role: 'assistant', content: [{ type: 'input_text', text: 'x' }] }] },
      'input[0].content[0].type',
      /output_text/,
    ],
    [
      { input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'f' }] }] },
      'input[0].content[0].file_id',
      /image_url/,
    ],
    [
      { input: [{ role: 'user', content: [{ type: 'input_file', file_url: 'ftp://a.b' }] }] },
      'input[0].content[0].file_url',
      /https/,
    ],
    [{ input: [{ role: 'user', content: [{ type: 'input_file' }] }] }, 'input[0].content[0].file_data', /Missing/],
    [{ input: [{ type: 'item_reference', id: 'rs_1' }] }, 'input[0].type', /store: false/],
    [{ input: [{ type: 'web_search_call', id: 'ws_1' }] }, 'input[0].type', /Only OpenAI/],
    [{ input: [{ type: 'constructor' }] }, 'input[0].type', /Only OpenAI/],
    [{ input: [output('a')] }, 'input[0].call_id', /No tool call found for function call output with call_id a\./],
    [{ input: [call('a'), { role: 'user', content: 'x' }] }, 'input', /No tool output found for function call a\./],
    [{ input: [call('a'), call('a')] }, 'input[1].call_id', /Duplicate/],
    [{ input: [{ type: 'function_call', call_id: 'a', name: 'x' }] }, 'input[0].arguments', /Missing/],
    [{ previous_response_id: 'resp_1' }, 'previous_response_id', /keeps no responses/],
    [{ conversation: 'conv_1' }, 'conversation', /keeps no responses/],
    [{ prompt: { id: 'p' } }, 'prompt', /instructions/],
    [tool('web_search'), 'tools[0].type', /The tool 'web_search' is OpenAI's own/],
    [tool('custom'), 'tools[0].type', /type 'function'/],
    [{ tools: [{ type: 'function', name: 'a b' }] }, 'tools[0].name', /letters/],
    [{ tool_choice: 'required' }, 'tool_choice', /'tools'/],
    [{ ...tool('function'), tool_choice: { type: 'function', name: 'y' } }, 'tool_choice.name', /'x'/],
    [{ ...tool('function'), tool_choice: { type: 'web_search' } }, 'tool_choice.type', /function/],
    [{ text: { format: { type: 'json_schema', name: 'x' } } }, 'text.format.schema', /Missing/],
    [{ text: { format: { type: 'xml' } } }, 'text.format.type', /json_schema/],
    [{ text: { verbosity: 'loud' } }, 'text.verbosity', /low/],
    [{ reasoning: { effort: 'huge' } }, 'reasoning.effort', /minimal/],
    [{ reasoning: { summary: 'long' } }, 'reasoning.summary', /concise/],
    [{ include: ['secrets'] }, 'include[0]', /encrypted_content/],
    [{ truncation: 'maybe' }, 'truncation', /auto/],
    [{ top_logprobs: 21 }, 'top_logprobs', /<= 20/],
    [{ max_output_tokens: 0 }, 'max_output_tokens', />= 1/],
    [{ max_tool_calls: 'x' }, 'max_tool_calls', /integer/],
    [{ stream_options: {} }, 'stream_options', /'stream'/],
    [{ metadata: { a: 1 } }, 'metadata.a', /string/],
  ]
  for (const [over, param, message] of cases) {
    const fault = faultOf(() => read(over))
    assert.deepEqual([fault.status, fault.param], [400, param], JSON.stringify(over))
    assert.match(fault.message, message)
  }
})

test('a hundred thousand items are read, and nothing of them is lost', () => {
  const input: JsonObject[] = []
  for (let i = 0; i < 25_000; i++)
    input.push({ role: 'user', content: 'x' }, call(`c${i}`), output(`c${i}`), { role: 'assistant', content: 'y' })
  assert.equal(messagesFor(input).length, 100_000)
  const parallel = Array.from({ length: 20_000 }, (_, i) => [call(`c${i}`), output(`c${i}`)])
  const mixed = [...parallel.map(([one]) => one), ...parallel.map(([, two]) => two)] as JsonObject[]
  assert.equal(messagesFor(mixed).length, 20_001)
})
