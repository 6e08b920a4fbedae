import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createOpenAI } from '@ai-sdk/openai'
import { generateText, jsonSchema, streamText, tool } from 'ai'
import OpenAI from 'openai'
import type { ChatRequest, Json, JsonObject } from '../hub.ts'
import { chat } from './chat.ts'
import { about, chunkOf, faultOf, fetchOf, said, streamOf, tellAtRandom, usage } from './mouths-testing.ts'
import { assertReference, eventsOf } from './reference-testing.ts'

const asked: ChatRequest = { model: 'acme/large', messages: [{ role: 'user', content: 'Hi' }], stream: true }
const withUsage: ChatRequest = { ...asked, stream_options: { include_usage: true } }
const read = (over: JsonObject) => chat.read({ model: 'm', messages: [{ role: 'user', content: 'Hi' }], ...over })

/** The chunks of a stream, each checked against the reference, without the mark of its end. */
function chunksOf(text: string) {
  const events = eventsOf(text)
  assert.equal(events.at(-1)?.data, '[DONE]')

  return events.slice(0, -1).map(({ event, data }) => {
    assert.equal(event, null)
    const chunk = JSON.parse(data)
    assertReference('chat.chunk', chunk)
    return chunk
  })
}

test('a stream says the role once, the text in pieces, why it ended, and that it is done', () => {
  const chunks = [said({ content: 'Grüße' }), said({ content: '!' }), said({}, 'stop'), { ...chunkOf([]), usage }]
  const head =
    'data: {"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1760000000,' +
    '"model":"acme/large","choices":['
  const choice = (delta: string, finish = 'null') =>
    `${head}{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${finish}}]}\n\n`

  assert.equal(
    streamOf(chat, asked, chunks),
    choice('{"role":"assistant","content":"","refusal":null}') +
      choice('{"content":"Grüße"}') +
      choice('{"content":"!"}') +
      choice('{}', '"stop"') +
      'data: [DONE]\n\n',
  )
})

test('usage comes only when it was asked for, last, and without choices', () => {
  const { chunks } = tellAtRandom(1)

  for (const chunk of chunksOf(streamOf(chat, asked, chunks))) assert.equal('usage' in chunk, false)
  const told = chunksOf(streamOf(chat, withUsage, chunks))
  const last = told.pop()
  assert.deepEqual(last.choices, [])
  assert.deepEqual(last.usage, {
    prompt_tokens: 120,
    completion_tokens: 30,
    total_tokens: 150,
    prompt_tokens_details: { cached_tokens: 40, audio_tokens: 0, cache_write_tokens: 10 },
    completion_tokens_details: {
      reasoning_tokens: 8,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  })
  for (const chunk of told) assert.equal(chunk.usage, null)
})

test('in any stream the role is first, each call has its index, and each choice ends once, at its end', () => {
  for (let seed = 0; seed < 200; seed++) {
    const { chunks } = tellAtRandom(seed, {
      choices: 1 + (seed % 3),
      reasons: seed % 2 === 0,
      interleaves: seed % 5 === 0,
    })
    const ended = new Set<number>()
    const begun = new Set<number>()
    for (const chunk of chunksOf(streamOf(chat, asked, chunks))) {
      for (const { index, delta, finish_reason } of chunk.choices) {
        assert.equal(ended.has(index), false, 'Nothing comes after the end of a choice.')
        assert.equal('role' in delta, !begun.has(index))
        begun.add(index)
        for (const call of delta.tool_calls ?? []) assert.equal(typeof call.index, 'number')
        if (finish_reason) ended.add(index)
      }
    }
    assert.deepEqual(ended, begun)
  }
})

test("any stream amounts to the unstreamed answer, in the openai client's own hands", async () => {
  for (let seed = 0; seed < 120; seed++) {
    const { chunks, answer } = tellAtRandom(seed, { choices: 1 + (seed % 3), interleaves: seed % 4 === 0 })
    const whole = chat.answer(answer, withUsage, about)
    assertReference('chat.answer', whole)
    const of = (body: string | JsonObject) => new OpenAI({ apiKey: 'k', fetch: fetchOf(body), maxRetries: 0 })
    const messages = [{ role: 'user' as const, content: 'Hi' }]
    const plain = await of(whole).chat.completions.create({ model: 'm', messages })
    const streamed = await of(streamOf(chat, withUsage, chunks))
      .chat.completions.stream({ model: 'm', messages })
      .finalChatCompletion()

    assert.deepEqual(streamed.usage, plain.usage)
    const told = (completion: typeof plain) =>
      completion.choices.map(({ index, message, finish_reason }) => ({
        index,
        finish_reason,
        content: message.content || null,
        calls: (message.tool_calls ?? []).map((call) => [call.id, call.type === 'function' && call.function.name]),
        written: (message.tool_calls ?? []).map((call) => call.type === 'function' && call.function.arguments),
      }))
    assert.deepEqual(told(streamed), told(plain), `seed ${seed}`)
  }
})

test('the AI SDK reads the same texts, calls and usage from a stream and from an answer', async () => {
  const tools = Object.fromEntries(
    [0, 1, 2].map((i) => [`tool_${i}`, tool({ inputSchema: jsonSchema<JsonObject>({ type: 'object' }) })]),
  )
  for (let seed = 0; seed < 25; seed++) {
    const { chunks, answer } = tellAtRandom(seed)
    const of = (body: string | JsonObject) => createOpenAI({ apiKey: 'k', fetch: fetchOf(body) }).chat('m')
    const plain = await generateText({ model: of(chat.answer(answer, asked, about)), prompt: 'Hi', tools })
    const streamed = streamText({ model: of(streamOf(chat, withUsage, chunks)), prompt: 'Hi', tools })

    assert.equal(await streamed.text, answer.choices[0]?.message.content ?? '')
    assert.equal(plain.text, await streamed.text)
    const calls = (answer.choices[0]?.message.tool_calls ?? []).map((call) => [
      call.id,
      call.function.name,
      JSON.parse(call.function.arguments),
    ])
    assert.deepEqual(
      (await streamed.toolCalls).map((call) => [call.toolCallId, call.toolName, call.input]),
      calls,
    )
    assert.deepEqual(
      plain.toolCalls.map((call) => [call.toolCallId, call.toolName, call.input]),
      calls,
    )
    assert.equal((await streamed.usage).totalTokens, 150)
    assert.equal(plain.usage.totalTokens, 150)
  }
})

test('reasoning is told with its signatures, and read again as it was', () => {
  const reasoning = [
    { text: 'First…', signature: 'c2ln' },
    { text: '', data: 'c2VhbGVk', id: 'r2' },
  ]
  const message = { content: 'So.', refusal: null, reasoning }
  const answer = chat.answer(
    { id: 'u', created: 1, model: 'm', choices: [{ index: 0, message, finish_reason: 'stop' }], usage },
    asked,
    about,
  )
  assertReference('chat.answer', answer)
  const [choice] = answer.choices as { message: JsonObject }[]
  assert.equal(choice?.message.reasoning_content, 'First…')

  const [, back] = read({ messages: [{ role: 'user', content: 'Hi' }, choice?.message ?? {}] }).messages
  assert.deepEqual(back?.role === 'assistant' && back.reasoning, reasoning)
})

test('a stream that fails ends with an error that the openai client throws', async () => {
  const fault = { status: 502, type: 'api_error', code: 'UPSTREAM_FAILED', message: 'The provider broke off.' }
  const writer = chat.stream(asked, about)
  const text = writer.begin() + writer.chunk(said({ content: 'Half' })) + writer.fail(fault)
  assertReference('error', JSON.parse(eventsOf(text).at(-1)?.data ?? ''))
  const client = new OpenAI({ apiKey: 'k', fetch: fetchOf(text), maxRetries: 0 })
  const stream = await client.chat.completions.create({
    model: 'm',
    messages: [{ role: 'user', content: 'Hi' }],
    stream: true,
  })

  let seen = ''
  await assert.rejects(async () => {
    for await (const chunk of stream) seen += chunk.choices[0]?.delta.content ?? ''
  }, /The provider broke off/)
  assert.equal(seen, 'Half')
})

test('a request is read into the hub, and what is unknown is kept by its name', () => {
  const request = read({
    messages: [
      { role: 'developer', content: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }] },
      {
        role: 'user',
        name: 'ann',
        content: [
          { type: 'text', text: 'What is it?' },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==', detail: 'original' } },
          { type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } },
          { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA==' } },
        ],
      },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c1', type: 'function', function: { name: 'look', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'c1', content: 'A cat' },
    ],
    max_tokens: 50,
    stop: '\n',
    tools: [{ type: 'function', function: { name: 'look', parameters: { type: 'object' }, strict: true } }],
    tool_choice: { type: 'function', function: { name: 'look' } },
    temperature: null,
    service_tier: 'flex',
    verbosity: 'low',
  })

  assert.equal(request.max_completion_tokens, 50)
  assert.deepEqual(request.stop, ['\n'])
  assert.equal('temperature' in request, false)
  assert.deepEqual(request.others, { service_tier: 'flex', verbosity: 'low' })
  assert.deepEqual(request.messages[0], {
    role: 'developer',
    content: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
  })
  assert.deepEqual(request.messages[3], { role: 'tool', tool_call_id: 'c1', content: 'A cat' })
})

test('only allowed tools remain', () => {
  const named = (name: string) => ({ type: 'function', function: { name } })
  const request = read({
    tools: [named('a'), named('b')],
    tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [named('b')] } },
  })

  assert.deepEqual(request.tools, [named('b')])
  assert.equal(request.tool_choice, 'required')
})

test('what the reference forbids is refused by the name of the field', () => {
  const user = { role: 'user', content: 'Hi' }
  const called = { id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } }
  const calls = { role: 'assistant', tool_calls: [called] }
  const part = (given: Json) => ({ messages: [{ role: 'user', content: [given] }] })
  const cases: [JsonObject, string, string?][] = [
    [{ model: null }, 'model', 'missing_required_parameter'],
    [{ messages: null }, 'messages', 'missing_required_parameter'],
    [{ messages: [] }, 'messages', 'empty_array'],
    [{ messages: 'Hi' }, 'messages', 'invalid_type'],
    [{ messages: [7] }, 'messages[0]', 'invalid_type'],
    [{ messages: [{ content: 'Hi' }] }, 'messages[0].role', 'missing_required_parameter'],
    [{ messages: [{ role: 'robot', content: 'Hi' }] }, 'messages[0].role', 'invalid_value'],
    [{ messages: [{ role: 'function', name: 'f', content: 'x' }] }, 'messages[0].role', 'unsupported_parameter'],
    [{ messages: [{ role: 'user' }] }, 'messages[0].content', 'missing_required_parameter'],
    [{ messages: [{ role: 'user', content: 7 }] }, 'messages[0].content', 'invalid_type'],
    [{ messages: [{ role: 'user', content: [] }] }, 'messages[0].content', 'empty_array'],
    [{ messages: [{ role: 'assistant' }] }, 'messages[0].content'],
    [{ messages: [{ role: 'assistant', tool_calls: [] }] }, 'messages[0].tool_calls', 'empty_array'],
    [part({ type: 'video' }), 'messages[0].content[0].type', 'invalid_value'],
    [part({ type: 'text' }), 'messages[0].content[0].text'],
    [part({ type: 'image_url', image_url: { url: 'cat.png' } }), 'messages[0].content[0].image_url.url', 'invalid_url'],
    [part({ type: 'file', file: {} }), 'messages[0].content[0].file.file_data'],
    [{ messages: [{ role: 'tool', tool_call_id: 'c1', content: 'x' }] }, 'messages[0].role'],
    [{ messages: [calls, { role: 'tool', tool_call_id: 'c2', content: 'x' }] }, 'messages[1].tool_call_id'],
    [{ messages: [calls, user] }, 'messages'],
    [{ messages: [calls] }, 'messages'],
    [{ n: 129 }, 'n', 'integer_above_max_value'],
    [{ n: 0 }, 'n', 'integer_below_min_value'],
    [{ temperature: 2.1 }, 'temperature', 'decimal_above_max_value'],
    [{ top_p: -0.1 }, 'top_p', 'decimal_below_min_value'],
    [{ presence_penalty: 3 }, 'presence_penalty', 'decimal_above_max_value'],
    [{ max_tokens: 0 }, 'max_tokens', 'integer_below_min_value'],
    [{ max_completion_tokens: 1.5 }, 'max_completion_tokens', 'invalid_type'],
    [{ stop: ['1', '2', '3', '4', '5'] }, 'stop', 'array_above_max_length'],
    [{ logit_bias: { 50256: 101 } }, 'logit_bias.50256', 'decimal_above_max_value'],
    [{ top_logprobs: 2 }, 'top_logprobs'],
    [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs', 'integer_above_max_value'],
    [{ stream_options: { include_usage: true } }, 'stream_options'],
    [{ response_format: { type: 'xml' } }, 'response_format.type', 'invalid_value'],
    [{ response_format: { type: 'json_schema' } }, 'response_format.json_schema'],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'a b' } } }, 'response_format.json_schema.name'],
    [{ tools: [{ type: 'function', function: { name: 'a b' } }] }, 'tools[0].function.name', 'invalid_value'],
    [{ tools: [{ type: 'custom', custom: { name: 'x' } }] }, 'tools[0].type', 'unsupported_parameter'],
    [{ tools: [{ function: { name: 'x' } }] }, 'tools[0].type'],
    [{ tool_choice: 'required' }, 'tool_choice'],
    [{ reasoning_effort: 'huge' }, 'reasoning_effort', 'invalid_value'],
    [{ metadata: { a: 1 } }, 'metadata.a', 'invalid_type'],
    [{ functions: [] }, 'functions', 'unsupported_parameter'],
    [{ modalities: ['text', 'audio'] }, 'modalities', 'unsupported_parameter'],
  ]
  for (const [over, param, code] of cases) {
    const fault = faultOf(() => read(over))
    assert.equal(fault.param, param, JSON.stringify(over))
    assert.equal(fault.status, 400)
    if (code !== undefined) assert.equal(fault.code, code, JSON.stringify(over))
    assertReference('error', chat.fault(fault))
  }
})

test('a hundred thousand messages are read', () => {
  const messages = Array.from({ length: 100_000 }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: `${i}` }))

  assert.equal(read({ messages }).messages.length, 100_000)
})
