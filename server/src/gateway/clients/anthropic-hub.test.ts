/** Anthropic's client and models of other providers, over sockets: Google's and OpenAI's, translated there and back. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { type Answer, END, event, openUpstream, refuses, says, streams } from '../call/upstream-testing.ts'
import { cut, openAnthropic, textIn } from './anthropic-testing.ts'

const { alice, client } = await openAnthropic()
const upstream = await openUpstream()
const { base_url } = upstream
const add = (name: string, kind: 'openai' | 'gemini', url: string) =>
  alice.gateway.providers.create({ name, kind, base_url: url, key: `${name}-secret`, skip_test: true })
await add('gpt', 'openai', `${base_url}/v1`)
await add('google', 'gemini', `${base_url}/v1beta`)

const ask = (model: string) => ({
  model,
  max_tokens: 500,
  messages: [{ role: 'user' as const, content: 'How is the weather in Köln?' }],
})
const tools = [
  {
    name: 'weather',
    description: 'The weather of a city.',
    input_schema: { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] },
  },
]
const sent = () => upstream.got.at(-1)?.body as Record<string, unknown>
const json =
  (body: unknown): Answer =>
  (response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))

// OpenAI's format.

test('a request is told in OpenAI’s words, and what it has no word for is named', async () => {
  upstream.answer(says('Sunny.'))
  const { data, response } = await client.messages
    .create({
      ...ask('gpt/gpt-4o'),
      system: 'Be brief.',
      stop_sequences: ['END'],
      tools,
      tool_choice: { type: 'any', disable_parallel_tool_use: true },
      metadata: { user_id: 'u-1' },
      service_tier: 'auto',
    })
    .withResponse()
  assert.equal(textIn(data), 'Sunny.')
  assert.deepEqual([data.model, data.usage.input_tokens, data.usage.output_tokens], ['gpt/gpt-4o', 7, 3])
  assert.match(response.headers.get('x-flow-dropped') ?? '', /service_tier/)
  const body = sent()
  assert.deepEqual(body.messages, [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'How is the weather in Köln?' },
  ])
  assert.deepEqual([body.stop, body.tool_choice, body.parallel_tool_calls], [['END'], 'required', false])
  assert.equal((body.tools as { function: { name: string } }[])[0]?.function.name, 'weather')
  assert.equal(upstream.got.at(-1)?.headers.authorization, 'Bearer gpt-secret')
})

test('what could not be told is named in Anthropic’s words, and once', async () => {
  upstream.answer(says('Fine.'))
  const cache_control = { type: 'ephemeral' as const }
  const document = {
    type: 'document' as const,
    source: { type: 'text' as const, media_type: 'text/plain' as const, data: 'It rains.' },
    citations: { enabled: true },
    cache_control,
  }
  const dropped = async (more: Partial<Anthropic.MessageCreateParamsNonStreaming>) => {
    const { response } = await client.messages
      .create({ ...ask('gpt/gpt-4o'), max_tokens: 2_000, ...more })
      .withResponse()
    return response.headers.get('x-flow-dropped')
  }
  assert.equal(await dropped({ thinking: { type: 'enabled', budget_tokens: 1_024 } }), 'thinking')
  assert.equal(await dropped({ output_config: { effort: 'low' } }), null)
  assert.equal(await dropped({ thinking: { type: 'disabled' } }), null)
  assert.equal(
    await dropped({
      system: [{ type: 'text', text: 'Be brief.', cache_control }],
      messages: [{ role: 'user', content: [document, { type: 'text', text: 'Is it wet?', cache_control }] }],
      service_tier: 'auto',
    }),
    'service_tier, system[].cache_control, messages[].content[].cache_control, messages[].content[].citations',
  )
})

test('images, calls and results reach OpenAI’s models', async () => {
  upstream.answer(says('Fine.'))
  const image = {
    type: 'image' as const,
    source: { type: 'base64' as const, media_type: 'image/png' as const, data: 'AA==' },
  }
  await client.messages.create({
    ...ask('gpt/gpt-4o'),
    tools,
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'Where is it?' }, image] },
      { role: 'assistant', content: [{ type: 'tool_use', id: 't1', name: 'weather', input: { city: 'Köln' } }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't1', content: 'rain' }] },
    ],
  })
  assert.deepEqual(sent().messages, [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'Where is it?' },
        { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } },
      ],
    },
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 't1', type: 'function', function: { name: 'weather', arguments: '{"city":"Köln"}' } }],
    },
    { role: 'tool', tool_call_id: 't1', content: 'rain' },
  ])
})

test('parallel calls that come mixed are told one after the other, wherever the stream is cut', async () => {
  const call = (index: number, more: object) =>
    event({ choices: [{ index: 0, delta: { tool_calls: [{ index, ...more }] }, finish_reason: null }] })
  const begin = (index: number) =>
    call(index, { id: `call_${index}`, type: 'function', function: { name: 'weather', arguments: '' } })
  const bytes = Buffer.from(
    begin(0) +
      call(0, { function: { arguments: '{"city":"K' } }) +
      begin(1) +
      call(1, { function: { arguments: '{"city":"Rome"}' } }) +
      call(0, { function: { arguments: 'öln"}' } }) +
      event({ choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] }) +
      event({
        choices: [],
        usage: {
          prompt_tokens: 50,
          completion_tokens: 20,
          total_tokens: 70,
          prompt_tokens_details: { cached_tokens: 40 },
        },
      }) +
      'data: [DONE]\n\n',
  )
  for (const size of [1, bytes.length]) {
    upstream.answer(streams(...cut(bytes, size)))
    const message = await client.messages.stream({ ...ask('gpt/gpt-4o'), tools }).finalMessage()
    assert.deepEqual(
      message.content.map((block) => block.type === 'tool_use' && [block.id, block.input]),
      [
        ['call_0', { city: 'Köln' }],
        ['call_1', { city: 'Rome' }],
      ],
    )
    const { input_tokens, cache_read_input_tokens, output_tokens } = message.usage
    assert.deepEqual(
      [message.stop_reason, input_tokens, cache_read_input_tokens, output_tokens],
      ['tool_use', 10, 40, 20],
    )
  }
})

test('what a model that speaks OpenAI’s format thinks is told as thinking', async () => {
  const delta = (fields: object) => event({ choices: [{ index: 0, delta: fields, finish_reason: null }] })
  upstream.answer(
    streams(
      delta({ reasoning_content: 'Let me ' }),
      delta({ reasoning_content: 'see.' }),
      delta({ content: 'Yes.' }),
      END,
    ),
  )
  const { content } = await client.messages.stream(ask('gpt/deepseek-reasoner')).finalMessage()
  assert.deepEqual(
    content.map((block) => (block.type === 'thinking' ? block.thinking : block.type === 'text' && block.text)),
    ['Let me see.', 'Yes.'],
  )
})

test('an answer by a schema is asked for as OpenAI’s structured output', async () => {
  upstream.answer(says('{"city":"Rome"}'))
  const schema = {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  }
  await client.messages.create({ ...ask('gpt/gpt-4o'), output_config: { format: { type: 'json_schema', schema } } })
  assert.deepEqual(sent().response_format, {
    type: 'json_schema',
    json_schema: { name: 'answer', schema, strict: true },
  })
})

test('a refusal of OpenAI’s is told in Anthropic’s words', async () => {
  upstream.answer(refuses(429, { 'retry-after': '12' }))
  await assert.rejects(client.messages.create(ask('gpt/limited')), (error) => {
    assert.ok(error instanceof Anthropic.RateLimitError)
    return error.type === 'rate_limit_error' && error.headers.get('retry-after') === '12'
  })
  upstream.answer(refuses(400))
  await assert.rejects(client.messages.create(ask('gpt/gpt-4o')), Anthropic.BadRequestError)
})

test('a stream that ends too early ends with an error behind what was said', async () => {
  upstream.answer(streams(event({ choices: [{ index: 0, delta: { content: 'Well' }, finish_reason: null }] })))
  let said = ''
  const stream = client.messages.stream(ask('gpt/gpt-4o')).on('text', (piece) => {
    said += piece
  })
  await assert.rejects(
    stream.finalMessage(),
    (error) => error instanceof Anthropic.APIError && error.type === 'api_error',
  )
  assert.equal(said, 'Well')
})

test('a client that goes away ends the call at the provider', async () => {
  upstream.answer(streams(event({ choices: [{ index: 0, delta: { content: 'Well' }, finish_reason: null }] }), 60_000))
  const stream = client.messages.stream(ask('gpt/gpt-4o'))
  await new Promise((resolve) => stream.once('text', resolve))
  stream.abort()
  await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError)
  await upstream.got.at(-1)?.closed
})

// Google's.

const candidate = (parts: object[], more: object = {}) => ({
  candidates: [{ index: 0, content: { role: 'model', parts }, ...more }],
  usageMetadata: { promptTokenCount: 5, candidatesTokenCount: 4, thoughtsTokenCount: 6, totalTokenCount: 15 },
  modelVersion: 'gemini-test',
  responseId: 'r',
})

test('a call of Gemini’s goes back with the signature that it came with', async () => {
  const called = { functionCall: { id: 'q1', name: 'weather', args: { city: 'Köln' } }, thoughtSignature: 'EqgC' }
  const thought = { text: 'I need the weather.', thought: true }
  const asked = { ...ask('google/gemini-3-flash-preview'), tools, thinking: { type: 'adaptive' as const } }
  for (const isStream of [false, true]) {
    const told = candidate([thought, called], { finishReason: 'STOP' })
    upstream.answer(isStream ? streams(`data: ${JSON.stringify(told)}\r\n\r\n`) : json(told))
    const first = isStream ? await client.messages.stream(asked).finalMessage() : await client.messages.create(asked)
    assert.equal(first.stop_reason, 'tool_use')
    assert.deepEqual(first.content[0], { type: 'thinking', thinking: 'I need the weather.', signature: '' })
    assert.equal(first.usage.output_tokens_details?.thinking_tokens, 6)
    assert.deepEqual(sent().generationConfig, {
      maxOutputTokens: 500,
      thinkingConfig: { thinkingLevel: 'high', includeThoughts: true },
    })
    const use = first.content.find((block) => block.type === 'tool_use')
    assert.ok(use)
    upstream.answer(json(candidate([{ text: 'Rain.' }], { finishReason: 'STOP' })))
    const second = await client.messages.create({
      ...asked,
      messages: [
        ...asked.messages,
        { role: 'assistant', content: first.content },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'rain' }] },
      ],
    })
    assert.equal(textIn(second), 'Rain.')
    const contents = sent().contents as { parts: object[] }[]
    assert.deepEqual(contents[1]?.parts, [called])
    assert.deepEqual(contents[2]?.parts, [
      { functionResponse: { id: 'q1', name: 'weather', response: { output: 'rain' } } },
    ])
  }
})

test('a blocked answer of Gemini’s is a refusal', async () => {
  upstream.answer(json(candidate([], { finishReason: 'SAFETY' })))
  const message = await client.messages.create(ask('google/gemini-2.5-flash'))
  assert.deepEqual([message.content, message.stop_reason], [[], 'refusal'])
})

test('a conversation goes on with another provider when the first fails', async () => {
  const targets = [
    { provider: 'google', model: 'gemini-2.5-flash' },
    { provider: 'gpt', model: 'gpt-4o' },
  ]
  await alice.gateway.routes.create({ name: 'either', targets, attempts_max: 1 })
  upstream.answer(refuses(503), says('From the second.'))
  const { data, response } = await client.messages.create(ask('either')).withResponse()
  assert.deepEqual([textIn(data), data.model], ['From the second.', 'either'])
  assert.equal(response.headers.get('x-flow-provider'), 'gpt')
})
