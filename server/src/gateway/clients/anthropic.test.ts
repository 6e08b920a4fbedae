/** Anthropic's client and the built-in models: what it can ask, and what goes wrong. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema'
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod'
import { z } from 'zod'
import { newOrganization } from '../../testing.ts'
import { openAnthropic, textIn } from './anthropic-testing.ts'

const { alice, client, clientOf, baseURL, admin } = await openAnthropic()

const say = (content: string, model = 'flow/echo') => ({
  model,
  max_tokens: 1_024,
  messages: [{ role: 'user' as const, content }],
})
const scripted = (script: object) => say(JSON.stringify(script), 'flow/scripted')
const tools = [
  {
    name: 'weather',
    description: 'The weather of a city.',
    input_schema: { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] },
  },
]
/** What a stream says until it breaks, and for what the client throws. */
async function brokenStream(script: object, model = 'flow/scripted') {
  let said = ''
  let thrown: unknown
  try {
    for await (const event of await client.messages.create({ ...scripted(script), model, stream: true })) {
      if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') said += event.delta.text
    }
  } catch (error) {
    thrown = error
  }
  assert.ok(thrown instanceof Anthropic.APIError, `It did not break after "${said}".`)
  return { said, error: thrown }
}

test('a text is answered, with what it used and who answered', async () => {
  const { data, response } = await client.messages.create(say('Grüße 😀')).withResponse()
  assert.equal(textIn(data), 'Grüße 😀')
  assert.deepEqual([data.role, data.model, data.stop_reason], ['assistant', 'flow/echo', 'end_turn'])
  assert.match(data.id, /^msg_/)
  assert.deepEqual([data.usage.input_tokens, data.usage.output_tokens], [3, 3])
  assert.equal(response.headers.get('x-flow-provider'), 'flow')
  assert.equal(response.headers.get('x-flow-dropped'), null)
})

test('the system’s words, marks of the cache and turns before are read', async () => {
  const message = await client.messages.create({
    ...say('And now?'),
    system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral', ttl: '1h' } }],
    messages: [
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: [{ type: 'text', text: 'Hi.' }] },
      { role: 'user', content: [{ type: 'text', text: 'And now?', cache_control: { type: 'ephemeral' } }] },
    ],
  })
  assert.equal(textIn(message), 'And now?')
})

test('the stream helper tells the text in pieces, and the whole at its end', async () => {
  const pieces: string[] = []
  const stream = client.messages.stream(say('one two three')).on('text', (text) => pieces.push(text))
  const message = await stream.finalMessage()
  assert.deepEqual(pieces, ['one ', 'two ', 'three'])
  assert.equal(textIn(message), 'one two three')
  assert.deepEqual([message.stop_reason, message.usage.output_tokens], ['end_turn', 4])
})

test('raw events come by their names, from the beginning to the end', async () => {
  const events = await Array.fromAsync(await client.messages.create({ ...say('Hi'), stream: true }))
  assert.deepEqual(
    events.map(({ type }) => type),
    [
      'message_start',
      'content_block_start',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ],
  )
})

test('tools are called, whole and streamed, several at once', async () => {
  const calls = [
    { id: 'toolu_1', name: 'weather', arguments: { city: 'Rome' } },
    { id: 'toolu_2', name: 'weather', arguments: { city: 'Köln "Mitte"' } },
  ]
  const asked = { ...scripted({ say: 'Let me look.', calls }), tools, tool_choice: { type: 'auto' as const } }
  for (const message of [await client.messages.create(asked), await client.messages.stream(asked).finalMessage()]) {
    assert.equal(message.stop_reason, 'tool_use')
    assert.deepEqual(
      message.content.flatMap((block) => (block.type === 'tool_use' ? [[block.id, block.name, block.input]] : [])),
      calls.map(({ id, name, arguments: input }) => [id, name, input]),
    )
    assert.equal(textIn(message), 'Let me look.')
  }
})

test('the client runs tools over several turns, streamed or not', async () => {
  for (const stream of [false, true]) {
    const asked: string[] = []
    const weather = betaTool({
      name: 'weather',
      description: 'The weather of a city.',
      inputSchema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
      run: ({ city }) => {
        asked.push(city)
        return `sunny in ${city}`
      },
    })
    const script = [
      { think: 'Two cities.', calls: ['Rome', 'Paris'].map((city) => ({ name: 'weather', arguments: { city } })) },
      { say: 'Sunny in both.' },
    ]
    const final = await client.beta.messages.toolRunner({ ...scripted(script), tools: [weather], stream })
    assert.equal(textIn(final), 'Sunny in both.')
    assert.deepEqual(asked, ['Rome', 'Paris'])
  }
})

test('what was thought comes first, in a block of its own, whole and streamed', async () => {
  const asked = { ...scripted({ think: 'Let me see.', say: 'Yes.' }), thinking: { type: 'adaptive' as const } }
  const told: string[] = []
  const stream = client.messages.stream(asked).on('thinking', (piece) => told.push(piece))
  for (const { content } of [await client.messages.create(asked), await stream.finalMessage()]) {
    assert.deepEqual(content, [
      { type: 'thinking', thinking: 'Let me see.', signature: '' },
      { type: 'text', text: 'Yes.', citations: null },
    ])
  }
  assert.equal(told.join(''), 'Let me see.')
})

test('images and documents may be sent', async () => {
  const message = await client.messages.create({
    ...say(''),
    messages: [
      {
        role: 'user',
        content: [
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' } },
          { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } },
          { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'A text.' } },
          { type: 'text', text: ' What is it?' },
        ],
      },
    ],
  })
  assert.equal(textIn(message), 'A text. What is it?')
})

test('an answer by a schema is parsed by the client', async () => {
  const Weather = z.object({ city: z.string(), degrees: z.number() })
  const message = await client.messages.parse({
    ...scripted({ say: JSON.stringify({ city: 'Rome', degrees: 21 }) }),
    output_config: { format: zodOutputFormat(Weather) },
  })
  assert.deepEqual(message.parsed_output, { city: 'Rome', degrees: 21 })
})

test('no more is written than was asked for', async () => {
  const asked = { ...say('x'.repeat(100)), max_tokens: 5 }
  for (const message of [await client.messages.create(asked), await client.messages.stream(asked).finalMessage()]) {
    assert.deepEqual([textIn(message), message.stop_reason], ['x'.repeat(20), 'max_tokens'])
  }
})

test('a filtered answer is a refusal', async () => {
  const message = await client.messages.create(scripted({ say: 'Well', finish: 'content_filter' }))
  assert.deepEqual([message.stop_reason, message.stop_details?.type], ['refusal', 'refusal'])
})

test('what was cached is told apart from what was read', async () => {
  const asked = scripted({ say: 'Yes.', usage: { input: 100, cached: 90, output: 7, reasoning: 3 } })
  for (const { usage } of [await client.messages.create(asked), await client.messages.stream(asked).finalMessage()]) {
    const { input_tokens, cache_read_input_tokens, output_tokens, output_tokens_details } = usage
    assert.deepEqual([input_tokens, cache_read_input_tokens, output_tokens], [10, 90, 7])
    assert.equal(output_tokens_details?.thinking_tokens, 3)
  }
})

// What goes wrong.

test('a wrong request is refused with the name of the field', async () => {
  const { max_tokens: _, ...without } = say('Hi')
  await assert.rejects(client.messages.create(without as never), (error) => {
    assert.ok(error instanceof Anthropic.BadRequestError)
    assert.match(error.message, /'max_tokens'/)
    return error.type === 'invalid_request_error'
  })
  const roles = { ...say('Hi'), messages: [{ role: 'wizard', content: 'x' }] }
  await assert.rejects(client.messages.create(roles as never), /messages\[0\]\.role/)
})

test('a wrong key, an unknown model and a wrong path are told in Anthropic’s words', async () => {
  await assert.rejects(clientOf('fl_nothing').messages.create(say('Hi')), Anthropic.AuthenticationError)
  await assert.rejects(client.messages.create(say('Hi', 'flow/nothing')), Anthropic.NotFoundError)
  await assert.rejects(client.messages.create(say('Hi', 'flow/hash-embedding-384')), Anthropic.APIError)
  await assert.rejects(client.post('/v1/messages/batches', { body: {} }), Anthropic.NotFoundError)
})

test('limits and overload come with the time to wait, and the client tries again by itself', async () => {
  const limited = { status: 429, message: 'Slower, please.', retry_after_seconds: 11 }
  await assert.rejects(client.messages.create(scripted(limited)), (error) => {
    assert.ok(error instanceof Anthropic.RateLimitError)
    assert.deepEqual([error.type, error.headers.get('retry-after')], ['rate_limit_error', '11'])
    return error.message.includes('Slower, please.')
  })
  const overloaded = { status: 529, message: 'Overloaded.', retry_after_seconds: 11 }
  await assert.rejects(client.messages.create(scripted(overloaded)), (error) => {
    return error instanceof Anthropic.OverloadedError && error.type === 'overloaded_error'
  })
  const twice = { attempts: [{ status: 503 }, { say: 'At last.' }] }
  assert.equal(textIn(await client.messages.create(scripted(twice))), 'At last.')
})

test('a stream that is cut, or goes on with what is no JSON, ends with an error behind what was said', async () => {
  for (const fault of [{ cut_after: 3 }, { malformed_after: 3 }]) {
    const { said, error } = await brokenStream({ say: 'one two three four', ...fault })
    assert.equal(said, 'one two ')
    assert.equal(error.type, 'api_error')
  }
})

test('a stream that hangs ends with a timeout', async () => {
  const timeouts_ms = { connect: 500, first_chunk: 500, between_chunks: 300, total: 5_000 }
  await alice.gateway.routes.create({ name: 'hurry', targets: [{ provider: 'flow', model: 'scripted' }], timeouts_ms })
  const { said, error } = await brokenStream({ say: 'one two three', hang_after: 2 }, 'hurry')
  assert.deepEqual([said, error.type], ['one ', 'timeout_error'])
})

test('a stream that breaks before its first word is a status', async () => {
  await assert.rejects(client.messages.stream(scripted({ say: 'x', cut_after: 0 })).finalMessage(), (error) => {
    return error instanceof Anthropic.InternalServerError && error.status === 502
  })
})

test('characters that are cut in the middle come whole', async () => {
  const asked = scripted({ say: 'naïve 😀 日本', think: 'Grüße', split: true })
  const message = await client.messages.stream(asked).finalMessage()
  assert.equal(textIn(message), 'naïve 😀 日本')
})

test('a client that goes away is not waited for', async () => {
  const stream = client.messages.stream(scripted({ say: 'one two three four', between_ms: 200 }))
  await new Promise((resolve) => stream.once('text', resolve))
  stream.abort()
  await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError)
  assert.equal(textIn(await client.messages.create(say('Still here.'))), 'Still here.')
})

// Beside the models.

test('tokens are counted, by an estimate that says so', async () => {
  const image = { type: 'image' as const, source: { type: 'url' as const, url: 'https://example.com/a.png' } }
  const count = (content: string | (typeof image)[]) =>
    client.messages.countTokens({ model: 'flow/echo', messages: [{ role: 'user', content }], tools }).withResponse()
  const { data, response } = await count('x'.repeat(400))
  assert.ok(data.input_tokens > 100 && data.input_tokens < 200)
  assert.equal(response.headers.get('x-flow-estimated'), 'true')
  assert.ok((await count([image])).data.input_tokens > 1_600)
  const wrong = { model: 'flow/echo', messages: [] }
  await assert.rejects(client.messages.countTokens(wrong), Anthropic.BadRequestError)
  await assert.rejects(client.messages.countTokens({ ...wrong, model: 'x/y' }), Anthropic.NotFoundError)
  await assert.rejects(clientOf('fl_nothing').messages.countTokens(wrong), Anthropic.AuthenticationError)
  const got = await fetch(`${baseURL}/v1/messages/count_tokens`, { headers: { 'x-api-key': admin.api_key } })
  assert.deepEqual([got.status, got.headers.get('allow')], [405, 'POST'])
})

test('models are listed and read as Anthropic’s are', async () => {
  const models = await Array.fromAsync(client.models.list())
  const ids = models.map(({ id }) => id)
  assert.ok(['flow/echo', 'flow/scripted'].every((id) => ids.includes(id)))
  const model = await client.models.retrieve('flow/echo')
  assert.deepEqual([model.id, model.type, model.lifecycle, model.capabilities], ['flow/echo', 'model', 'active', null])
  await assert.rejects(client.models.retrieve('flow/nothing'), Anthropic.NotFoundError)
})

test('models are listed page by page, forwards and backwards, and all of them in the end', async () => {
  const { alice: bob, admin: owner } = await newOrganization()
  const models = Array.from({ length: 45 }, (_, i) => `m-${String(i).padStart(2, '0')}`)
  const many = { name: 'many', kind: 'openai' as const, base_url: 'http://127.0.0.1:9', models }
  await bob.gateway.providers.create({ ...many, skip_test: true })
  const list = clientOf(owner.api_key).models
  const idsOf = (page: { data: { id: string }[] }) => page.data.map(({ id }) => id)
  const ids = (await Array.fromAsync(list.list())).map(({ id }) => id)
  assert.equal(ids.length, 45 + 4)
  assert.deepEqual(ids, idsOf(await list.list({ limit: 1_000 })))

  const first = await list.list()
  assert.deepEqual([idsOf(first), first.has_more], [ids.slice(0, 20), true])
  assert.deepEqual([first.first_id, first.last_id], [ids[0], ids[19]])
  const [next, before] = [
    await list.list({ limit: 3, after_id: ids[19] }),
    await list.list({ limit: 3, before_id: ids[3] }),
  ]
  assert.deepEqual([idsOf(next), next.has_more], [ids.slice(20, 23), true])
  assert.deepEqual([idsOf(before), before.has_more], [ids.slice(0, 3), false])
  const backwards = await Array.fromAsync(list.list({ limit: 7, before_id: ids.at(-1) }))
  assert.deepEqual(backwards.map(({ id }) => id).sort(), ids.slice(0, -1))
  const end = await list.list({ after_id: ids.at(-1) })
  assert.deepEqual([end.data, end.has_more, end.first_id, end.last_id], [[], false, null, null])
})

test('a page of models that there cannot be is refused in Anthropic’s words', async () => {
  const wrong = [{ limit: 0 }, { limit: 1_001 }, { limit: 1.5 }, { limit: -1 }, { after_id: 'a', before_id: 'b' }]
  for (const query of wrong) {
    await assert.rejects(client.models.list(query), (error) => {
      assert.ok(error instanceof Anthropic.BadRequestError)
      return error.type === 'invalid_request_error' && /limit|before_id/.test(error.message)
    })
  }
  // OpenAI's clients know no pages.
  const all = await fetch(`${baseURL}/v1/models?limit=1`, { headers: { 'x-api-key': admin.api_key } })
  const { data } = (await all.json()) as { data: unknown[] }
  assert.ok(data.length > 1)
})
