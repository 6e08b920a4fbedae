/** OpenAI's client speaks responses with models whose providers do not: the built-in ones, and Google's over a socket.
 *  The client is unchanged, and the server listens. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createOpenAI } from '@ai-sdk/openai'
import { generateText, stepCountIs, tool } from 'ai'
import OpenAI from 'openai'
import { zodResponsesFunction, zodTextFormat } from 'openai/helpers/zod'
import type { ResponseInputItem, ResponseStreamEvent } from 'openai/resources/responses/responses'
import { z } from 'zod'
import { listen } from '../../http/listen.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import { openUpstream, streams } from '../call/upstream-testing.ts'
import { assertReference } from '../mouths/reference-testing.ts'

const { app } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })
const listening = await listen(app, '127.0.0.1', 0)
after(() => listening.close(0))
const { alice, admin } = await newOrganization()
const upstream = await openUpstream()
await alice.gateway.providers.create({
  name: 'google',
  kind: 'gemini',
  base_url: `${upstream.base_url}/v1beta`,
  key: 'goog-secret',
  skip_test: true,
})
const clientOf = (apiKey: string) =>
  new OpenAI({ apiKey, baseURL: `http://127.0.0.1:${listening.port}/api/v1/gateway/v1`, maxRetries: 0 })
const openai = clientOf(admin.api_key)

const scripted = (script: object) => ({ model: 'flow/scripted', input: JSON.stringify(script) })
const weather = {
  type: 'function' as const,
  name: 'weather',
  description: 'The weather of a city.',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  strict: false,
}
/** The events of a stream, each checked against the reference. */
async function eventsOf(script: object, more: object = {}): Promise<ResponseStreamEvent[]> {
  const events = await Array.fromAsync(await openai.responses.create({ ...scripted(script), ...more, stream: true }))
  for (const [i, event] of events.entries()) {
    assertReference('responses.event', event)
    assert.equal(event.sequence_number, i)
  }
  return events
}

test('a text is answered, with its usage', async () => {
  const { data, response } = await openai.responses.create({ model: 'flow/echo', input: 'Grüße 😀' }).withResponse()
  const { output_text, ...told } = data
  assertReference('responses.answer', told)
  assert.equal(output_text, 'Grüße 😀')
  assert.deepEqual([data.status, data.model, data.object], ['completed', 'flow/echo', 'response'])
  assert.match(data.id, /^resp_/)
  assert.equal(data.usage?.input_tokens, 3)
  assert.equal(response.headers.get('x-flow-provider'), 'flow')
  assert.equal(response.headers.get('x-flow-dropped'), null)
})

test('instructions, roles and parts reach the model', async () => {
  const answer = await openai.responses.create({
    model: 'flow/echo',
    instructions: 'Be brief.',
    input: [
      { role: 'developer', content: 'Be kind.' },
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Hi.' },
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'How are ' },
          { type: 'input_text', text: 'you?' },
        ],
      },
    ],
  })
  assert.equal(answer.output_text, 'How are you?')
  assert.equal(answer.instructions, 'Be brief.')
})

test('nothing is kept, and an answer says so', async () => {
  const { data, response } = await openai.responses
    .create({ model: 'flow/echo', input: 'Hi', store: true, metadata: { team: 'red' } })
    .withResponse()
  assert.equal((data as { store?: boolean }).store, false)
  assert.equal(response.headers.get('x-flow-dropped'), 'store')
  assert.deepEqual(data.metadata, { team: 'red' })
  await assert.rejects(openai.responses.retrieve(data.id), { status: 404, message: /Flow keeps no responses/ })
  await assert.rejects(openai.responses.create({ model: 'flow/echo', input: 'And?', previous_response_id: data.id }), {
    status: 400,
    param: 'previous_response_id',
    message: /Flow keeps no responses/,
  })
})

test('a conversation goes on with the items that are handed back', async () => {
  const script = [{ think: 'A greeting.', say: 'Hello.' }, { say: 'Good, thanks.' }]
  const input: ResponseInputItem[] = [{ role: 'user', content: JSON.stringify(script) }]
  const first = await openai.responses.create({ model: 'flow/scripted', input, store: false })
  assert.equal(first.output_text, 'Hello.')
  const second = await openai.responses.create({
    model: 'flow/scripted',
    input: [...input, ...(first.output as ResponseInputItem[])],
  })
  assert.equal(second.output_text, 'Good, thanks.')
})

test('a stream tells each item as it comes', async () => {
  const events = await eventsOf({ say: 'It is sunny.' })
  assert.deepEqual(
    events.map(({ type }) => type.replace('response.', '')),
    [
      'created',
      'in_progress',
      'output_item.added',
      'content_part.added',
      ...['output_text.delta', 'output_text.delta', 'output_text.delta'],
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'completed',
    ],
  )
  const last = events.at(-1)
  assert.ok(last?.type === 'response.completed')
  assert.equal(last.response.usage?.output_tokens, 3)
})

test('the helper puts a stream together, and it is what the same call answers unstreamed', async () => {
  const script = { think: 'Let me see.', say: 'One moment.', calls: [{ name: 'weather', arguments: { city: 'Rome' } }] }
  const pieces: string[] = []
  const stream = openai.responses
    .stream({ ...scripted(script), tools: [weather] })
    .on('response.output_text.delta', ({ delta }) => pieces.push(delta))
  const final = await stream.finalResponse()
  const whole = await openai.responses.create({ ...scripted(script), tools: [weather] })
  assert.equal(pieces.join(''), 'One moment.')
  assert.equal(final.output_text, whole.output_text)
  assert.deepEqual(final.usage, whole.usage)
  assert.deepEqual(
    final.output.map(({ type }) => type),
    ['reasoning', 'message', 'function_call'],
  )
  assert.deepEqual(
    whole.output.map(({ type }) => type),
    ['reasoning', 'message', 'function_call'],
  )
})

test('a stream that is cut in the middle of characters is whole for the client', async () => {
  const events = await eventsOf({ say: 'Grüß Gott 😀 日本', split: true })
  const text = events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join('')
  assert.equal(text, 'Grüß Gott 😀 日本')
})

test('a structured output is parsed by the client, whole and streamed', async () => {
  const Weather = z.object({ city: z.string(), degrees: z.number() })
  const value = { city: 'Rome', degrees: 21 }
  const asked = { ...scripted({ say: JSON.stringify(value) }), text: { format: zodTextFormat(Weather, 'weather') } }
  assert.deepEqual((await openai.responses.parse(asked)).output_parsed, value)
  assert.deepEqual((await openai.responses.stream(asked).finalResponse()).output_parsed, value)
})

test('arguments of a function are parsed by the client', async () => {
  const City = z.object({ city: z.string() })
  const answer = await openai.responses.parse({
    ...scripted({ calls: [{ name: 'weather', arguments: { city: 'Rome' } }] }),
    tools: [zodResponsesFunction({ name: 'weather', parameters: City })],
  })
  const [call] = answer.output
  assert.ok(call?.type === 'function_call')
  assert.deepEqual(call.parsed_arguments, { city: 'Rome' })
})

for (const stream of [false, true])
  test(`a loop of function calls runs to its end (${stream ? 'streamed' : 'whole'})`, async () => {
    const script = [
      {
        think: 'Two cities.',
        calls: ['Rome', 'Oslo'].map((city, i) => ({ id: `c${i}`, name: 'weather', arguments: { city } })),
      },
      { calls: [{ name: 'weather', arguments: { city: 'Bonn' } }] },
      { say: 'Sunny everywhere.' },
    ]
    const input: ResponseInputItem[] = [{ role: 'user', content: JSON.stringify(script) }]
    const asked: string[] = []
    for (let turn = 0; turn < 5; turn++) {
      const request = { model: 'flow/scripted', input, tools: [weather] }
      const answer = stream
        ? await openai.responses.stream(request).finalResponse()
        : await openai.responses.create(request)
      input.push(...(answer.output as ResponseInputItem[]))
      const calls = answer.output.flatMap((item) => (item.type === 'function_call' ? [item] : []))
      for (const call of calls) {
        asked.push(JSON.parse(call.arguments).city)
        input.push({ type: 'function_call_output', call_id: call.call_id, output: 'sunny' })
      }
      if (calls.length > 0) continue
      assert.equal(answer.output_text, 'Sunny everywhere.')
      break
    }
    assert.deepEqual(asked, ['Rome', 'Oslo', 'Bonn'])
  })

test('calls in parallel are told apart in a stream', async () => {
  const calls = ['Rome', 'Oslo'].map((city) => ({ name: 'weather', arguments: { city, why: 'x'.repeat(40) } }))
  const events = await eventsOf({ calls }, { tools: [weather] })
  const done = events.flatMap((event) => (event.type === 'response.function_call_arguments.done' ? [event] : []))
  assert.deepEqual(
    done.map(({ arguments: given }) => JSON.parse(given)),
    calls.map((call) => call.arguments),
  )
  for (const { item_id, arguments: whole } of done) {
    const deltas = events.flatMap((event) =>
      event.type === 'response.function_call_arguments.delta' && event.item_id === item_id ? [event.delta] : [],
    )
    assert.ok(deltas.length > 1)
    assert.equal(deltas.join(''), whole)
  }
})

test('reasoning is told as a summary, and its tokens are counted', async () => {
  const script = { think: 'Let me see.', say: 'Yes.', usage: { input: 10, output: 9, reasoning: 7 } }
  const answer = await openai.responses.create({ ...scripted(script), reasoning: { effort: 'low', summary: 'auto' } })
  const [thought] = answer.output
  assert.ok(thought?.type === 'reasoning')
  assert.deepEqual(thought.summary, [{ type: 'summary_text', text: 'Let me see.' }])
  assert.equal(answer.usage?.output_tokens_details.reasoning_tokens, 7)
  assert.deepEqual(answer.reasoning, { effort: 'low', summary: 'auto' })
  const events = await eventsOf(script)
  const text = events
    .map((event) => (event.type === 'response.reasoning_summary_text.delta' ? event.delta : ''))
    .join('')
  assert.equal(text, 'Let me see.')
})

test('an answer that is cut off by its limit is incomplete, whole and streamed', async () => {
  const asked = { ...scripted({ say: 'one two three four five' }), max_output_tokens: 2 }
  const whole = await openai.responses.create(asked)
  const streamed = await openai.responses.stream(asked).finalResponse()
  for (const answer of [whole, streamed]) {
    assert.equal(answer.status, 'incomplete')
    assert.deepEqual(answer.incomplete_details, { reason: 'max_output_tokens' })
    assert.equal(answer.output_text, 'one two ')
  }
  const filtered = await openai.responses.create(scripted({ say: 'Well', finish: 'content_filter' }))
  assert.deepEqual(filtered.incomplete_details, { reason: 'content_filter' })
})

test('what a request lacks is refused in OpenAI’s words', async () => {
  const wrong: [object, object][] = [
    [{ input: [{ role: 'wizard', content: 'x' }] }, { param: 'input[0].role', code: 'invalid_value' }],
    [{ temperature: 3 }, { param: 'temperature', code: 'decimal_above_max_value' }],
    [{ tools: [{ type: 'web_search' }] }, { param: 'tools[0].type', code: 'unsupported_parameter' }],
    [{ max_output_tokens: 'many' }, { param: 'max_output_tokens', code: 'invalid_type' }],
  ]
  for (const [over, told] of wrong) {
    const request = { model: 'flow/echo', input: 'Hi', ...over } as OpenAI.Responses.ResponseCreateParamsNonStreaming
    await assert.rejects(openai.responses.create(request), { status: 400, type: 'invalid_request_error', ...told })
  }
})

test('an unknown model and an unknown key are told apart', async () => {
  await assert.rejects(openai.responses.create({ model: 'flow/nothing', input: 'Hi' }), OpenAI.NotFoundError)
  const stranger = clientOf('fl_nobody')
  await assert.rejects(stranger.responses.create({ model: 'flow/echo', input: 'Hi' }), OpenAI.AuthenticationError)
})

test('a provider’s refusal is told before a stream begins', async () => {
  const refused = { status: 429, message: 'Slower, please.', retry_after_seconds: 60 }
  for (const stream of [false, true]) {
    const call = openai.responses.create({ ...scripted(refused), stream })
    await assert.rejects(call, (error) => error instanceof OpenAI.RateLimitError && /Slower/.test(error.message))
  }
})

for (const [name, fault] of Object.entries({
  breaks: { cut_after: 4 },
  'says what is no JSON': { malformed_after: 4 },
}))
  test(`a stream that ${name} in its middle fails, and the client throws`, async () => {
    const seen: ResponseStreamEvent[] = []
    await assert.rejects(
      async () => {
        const stream = await openai.responses.create({
          ...scripted({ say: 'one two three four', ...fault }),
          stream: true,
        })
        for await (const event of stream) seen.push(event)
      },
      (error) => error instanceof OpenAI.APIError && error.message.length > 0,
    )
    assert.ok(seen.some(({ type }) => type === 'response.output_text.delta'))
    const last = seen.at(-1)
    assert.ok(last?.type === 'response.failed')
    assert.equal(last.response.error?.code, 'server_error')
    await assert.rejects(
      openai.responses.stream(scripted({ say: 'one two three four', ...fault })).finalResponse(),
      OpenAI.APIError,
    )
  })

test('a client that has heard enough goes away, and the call ends', async () => {
  const script = { say: 'word '.repeat(500), between_ms: 5 }
  const stream = await openai.responses.create({ ...scripted(script), stream: true })
  let seen = 0
  for await (const event of stream) {
    if (event.type !== 'response.output_text.delta') continue
    seen += 1
    if (seen === 3) break
  }
  assert.equal(stream.controller.signal.aborted, true)
  const controller = new AbortController()
  const waiting = openai.responses.create(scripted({ delay_ms: 60_000, say: 'late' }), { signal: controller.signal })
  controller.abort()
  await assert.rejects(waiting, OpenAI.APIUserAbortError)
})

test('the AI SDK runs its tools when it is told that nothing is stored, and else learns of it', async () => {
  const sdk = createOpenAI({ apiKey: admin.api_key, baseURL: openai.baseURL })
  const script = [
    { think: 'Look it up.', say: 'One moment.', calls: [{ name: 'weather', arguments: { city: 'Rome' } }] },
    { think: 'Sunny.', say: 'It is sunny.' },
  ]
  const asked: string[] = []
  const run = (store?: boolean) =>
    generateText({
      model: sdk.responses('flow/scripted'),
      prompt: JSON.stringify(script),
      maxRetries: 0,
      stopWhen: stepCountIs(5),
      providerOptions: store === undefined ? {} : { openai: { store } },
      tools: {
        weather: tool({
          inputSchema: z.object({ city: z.string() }),
          execute: ({ city }) => {
            asked.push(city)
            return 'sunny'
          },
        }),
      },
    })
  assert.equal((await run(false)).text, 'It is sunny.')
  assert.deepEqual(asked, ['Rome'])
  await assert.rejects(run(), /Flow keeps no responses\. Send the item itself; with `store: false` clients do so\./)
})

// Another provider's format.

const usageMetadata = { promptTokenCount: 5, candidatesTokenCount: 4, thoughtsTokenCount: 2, totalTokenCount: 11 }
const piece = (parts: object[], more: object = {}) => ({
  candidates: [{ index: 0, content: { role: 'model', parts }, ...more }],
  modelVersion: 'gemini-test',
})
const event = (value: object) => `data: ${JSON.stringify(value)}\r\n\r\n`
const called = { functionCall: { id: 'q1', name: 'weather', args: { city: 'Rome' } }, thoughtSignature: 'c2ln' }
const turn = [piece([{ text: 'Hm.', thought: true }]), { ...piece([called], { finishReason: 'STOP' }), usageMetadata }]

test('what another provider signed comes back to it with the items, whole or streamed', async () => {
  const input: ResponseInputItem[] = [{ role: 'user', content: 'Weather?' }]
  const asked = { model: 'google/gemini-3-test', tools: [weather] }
  const whole = {
    ...turn[1],
    candidates: [{ ...turn[1]?.candidates[0], content: { parts: [{ text: 'Hm.', thought: true }, called] } }],
  }
  for (const stream of [false, true]) {
    if (stream) upstream.answer(streams(...turn.map(event)))
    else
      upstream.answer((response) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(whole)),
      )
    const ask = (items: ResponseInputItem[]) =>
      stream
        ? openai.responses.stream({ ...asked, input: items }).finalResponse()
        : openai.responses.create({ ...asked, input: items })
    const answer = await ask(input)
    assert.deepEqual([answer.usage?.input_tokens, answer.usage?.output_tokens], [5, 6])
    const output: ResponseInputItem = { type: 'function_call_output', call_id: 'q1', output: 'sunny' }
    await ask([...input, ...(answer.output as ResponseInputItem[]), output])
    const { contents } = upstream.got.at(-1)?.body ?? {}
    assert.deepEqual(contents, [
      { role: 'user', parts: [{ text: 'Weather?' }] },
      { role: 'model', parts: [called] },
      { role: 'user', parts: [{ functionResponse: { id: 'q1', name: 'weather', response: { output: 'sunny' } } }] },
    ])
  }
})

test('a stream of another provider that ends too early fails, and the client throws', async () => {
  upstream.answer(streams(event(piece([{ text: 'Grüß ' }]))))
  const stream = await openai.responses.create({ model: 'google/gemini-3-test', input: 'Hi', stream: true })
  let said = ''
  await assert.rejects(async () => {
    for await (const each of stream) if (each.type === 'response.output_text.delta') said += each.delta
  }, OpenAI.APIError)
  assert.equal(said, 'Grüß ')
})
