/** OpenAI's client with a provider that speaks OpenAI's API over a socket, in the formats that pass and in those that
 *  are translated, and with the built-in models. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { listen } from '../../http/listen.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import { type Answer, delta, END, event, openUpstream, refuses, says, streams } from '../call/upstream-testing.ts'
import { assertReference } from '../mouths/reference-testing.ts'

const { app } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })
const listening = await listen(app, '127.0.0.1', 0)
after(() => listening.close(0))
const { alice, admin } = await newOrganization()
const upstream = await openUpstream()
const shared = { base_url: `${upstream.base_url}/v1`, key: 'sk-secret-key', skip_test: true }
await alice.gateway.providers.create({ name: 'local', kind: 'openai', ...shared })
await alice.gateway.providers.create({ name: 'chats', kind: 'openai', ...shared, options: { completions: 'none' } })
await alice.gateway.providers.create({ name: 'full', kind: 'openai', ...shared, options: { responses: 'native' } })
await alice.gateway.providers.create({
  ...{ name: 'azure', kind: 'azure', base_url: upstream.base_url, key: 'az-secret-key', skip_test: true },
  options: { api_version: '2024-10-21' },
})
await alice.gateway.providers.create({ name: 'google', kind: 'gemini', ...shared })
await alice.gateway.providers.create({ name: 'cohere', kind: 'cohere', ...shared, base_url: upstream.base_url })
const base_url = `http://127.0.0.1:${listening.port}/api/v1/gateway/v1`
const openai = new OpenAI({ apiKey: admin.api_key, baseURL: base_url, maxRetries: 0 })
const json =
  (body: object): Answer =>
  (response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
const hello = [{ role: 'user' as const, content: 'Hello' }]
type Ranking = {
  results: { index: number; document?: object }[]
  usage: { total_tokens: number }
  error: { code: string; param: string }
}
const rerank = async (body: object) => {
  const headers = { authorization: `Bearer ${admin.api_key}`, 'content-type': 'application/json' }
  const response = await fetch(`${base_url}/rerank`, { method: 'POST', headers, body: JSON.stringify(body) })
  return { status: response.status, body: (await response.json()) as Ranking }
}

test('a chat passes with the key of the organization, and fields that nobody knows', async () => {
  upstream.answer(says('Hi.'))
  const asked = { model: 'local/a/b', messages: hello, new_field: 1 }
  const answer = await openai.chat.completions.create(asked)
  assert.equal(answer.choices[0]?.message.content, 'Hi.')
  const got = upstream.got.at(-1)
  assert.equal(got?.url, '/v1/chat/completions')
  assert.equal(got?.headers.authorization, 'Bearer sk-secret-key')
  assert.deepEqual(got?.body, { model: 'a/b', messages: hello, new_field: 1 })
})

test('usage is always asked for in a stream, and told only to who asked', async () => {
  for (const include_usage of [true, false]) {
    upstream.answer(streams(delta('Hi'), END))
    const chunks = await Array.fromAsync(
      await openai.chat.completions.create({
        ...{ model: 'local/m', messages: hello, stream: true },
        ...(include_usage && { stream_options: { include_usage } }),
      }),
    )
    assert.deepEqual(upstream.got.at(-1)?.body.stream_options, { include_usage: true })
    assert.equal(chunks.filter(({ usage }) => usage).length, include_usage ? 1 : 0)
  }
})

test('Azure is asked by the deployment and with its own header', async () => {
  upstream.answer(says('Hi.'))
  await openai.chat.completions.create({ model: 'azure/my-gpt', messages: hello })
  const got = upstream.got.at(-1)
  assert.equal(got?.url, '/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21')
  assert.deepEqual([got?.headers['api-key'], got?.headers.authorization], ['az-secret-key', undefined])
})

test('responses are translated where the provider does not speak them, with what the model thought', async () => {
  upstream.answer(
    says('Hi.', {
      choices: [
        { index: 0, message: { role: 'assistant', content: 'Hi.', reasoning_content: 'Hm.' }, finish_reason: 'stop' },
      ],
    }),
  )
  const answer = await openai.responses.create({ model: 'local/m', input: 'Hello', max_output_tokens: 20 })
  assert.equal(answer.output_text, 'Hi.')
  assert.deepEqual(upstream.got.at(-1)?.body, { model: 'm', messages: hello, max_tokens: 20 })
  assert.ok(answer.output.some(({ type }) => type === 'reasoning'))
})

test('responses pass where the account says that its provider speaks them', async () => {
  const usage = { input_tokens: 3, output_tokens: 2, total_tokens: 5 }
  const response = { id: 'resp_1', object: 'response', status: 'completed', output: [], usage }
  upstream.answer(json(response))
  const answer = await openai.responses.create({ model: 'full/m', input: 'Hello' })
  assert.equal(answer.id, 'resp_1')
  assert.equal(upstream.got.at(-1)?.url, '/v1/responses')

  const told = (type: string, more: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`
  upstream.answer(
    streams(
      told('response.created', { response: { ...response, status: 'in_progress', usage: null, error: null } }),
      told('response.output_text.delta', { delta: 'Hi' }),
      told('response.completed', { response }),
    ),
  )
  const events = await Array.fromAsync(await openai.responses.create({ model: 'full/m', input: 'Hello', stream: true }))
  assert.deepEqual(
    events.map(({ type }) => type),
    ['response.created', 'response.output_text.delta', 'response.completed'],
  )
  upstream.answer(streams(told('response.created', { response: { usage: null } })))
  const cut = await openai.responses.create({ model: 'full/m', input: 'Hello', stream: true })
  await assert.rejects(Array.fromAsync(cut), OpenAI.APIError)
})

test('completions pass, or are a chat where the provider has none', async () => {
  upstream.answer(
    json({
      id: 'cmpl-1',
      object: 'text_completion',
      created: 1,
      model: 'm',
      choices: [{ index: 0, text: ' a time', logprobs: null, finish_reason: 'length' }],
    }),
  )
  const passed = await openai.completions.create({ model: 'local/m', prompt: ['Once upon', 'x'], echo: true })
  assert.equal(passed.choices[0]?.text, ' a time')
  // OpenAI's usual length, said to hosts that would write on without end.
  assert.deepEqual(upstream.got.at(-1)?.body, { model: 'm', prompt: ['Once upon', 'x'], echo: true, max_tokens: 16 })

  upstream.answer(says(' a time'))
  const translated = await openai.completions.create({ model: 'chats/m', prompt: 'Once upon', max_tokens: 5 })
  assertReference('completions.answer', translated)
  assert.equal(translated.choices[0]?.text, ' a time')
  assert.deepEqual(upstream.got.at(-1)?.body, {
    model: 'm',
    messages: [{ role: 'user', content: 'Once upon' }],
    max_tokens: 5,
  })

  upstream.answer(streams(delta(' a'), delta(' time'), END))
  const stream = await openai.completions.create({ model: 'chats/m', prompt: 'Once upon', stream: true })
  const chunks = await Array.fromAsync(stream)
  assert.equal(chunks.map(({ choices }) => choices[0]?.text ?? '').join(''), ' a time')
  await assert.rejects(openai.completions.create({ model: 'chats/m', prompt: 'x', echo: true }), {
    status: 400,
    param: 'echo',
  })
})

test('a translated stream that breaks ends with an error behind what was said', async () => {
  const failed = event({ error: { message: 'overloaded', code: 503 }, choices: [] })
  for (const last of ['', 'data: {"choi', failed]) {
    upstream.answer(streams(delta('Well'), last))
    const stream = await openai.completions.create({ model: 'chats/m', prompt: 'p', stream: true })
    let said = ''
    await assert.rejects(async () => {
      for await (const chunk of stream) said += chunk.choices[0]?.text ?? ''
    }, OpenAI.APIError)
    assert.equal(said, 'Well')
  }
})

test('a provider’s refusals are told as OpenAI’s, and one of our key as ours', async () => {
  upstream.answer(refuses(429, { 'retry-after': '30' }))
  await assert.rejects(openai.chat.completions.create({ model: 'chats/m', messages: hello }), (error) => {
    assert.ok(error instanceof OpenAI.RateLimitError)
    assert.equal(error.headers.get('retry-after'), '30')
    return true
  })
  upstream.answer(refuses(401))
  await assert.rejects(openai.chat.completions.create({ model: 'azure/m', messages: hello }), {
    status: 502,
    code: 'upstream_refused',
  })
})

test('vectors pass, and are translated to the form that the client reads', async () => {
  const usage = { prompt_tokens: 2, total_tokens: 2 }
  upstream.answer(
    json({ object: 'list', model: 'e', data: [{ object: 'embedding', index: 0, embedding: [0.5, -1] }], usage }),
  )
  const passed = await openai.embeddings.create({ model: 'local/e', input: 'a' })
  assert.deepEqual(passed.data[0]?.embedding, [0.5, -1])

  upstream.answer(json({ embeddings: [{ values: [0.5, -1] }, { values: [2, 3] }] }))
  for (const encoding_format of [undefined, 'float'] as const) {
    const answer = await openai.embeddings.create({
      model: 'google/e',
      input: ['a', 'b'],
      ...(encoding_format && { encoding_format }),
    })
    assert.deepEqual(
      answer.data.map(({ embedding }) => embedding),
      [
        [0.5, -1],
        [2, 3],
      ],
    )
  }
  await assert.rejects(openai.embeddings.create({ model: 'google/e', input: [] }), { status: 400, param: 'input' })
})

test('documents are sorted by a server that has rerank, and each answer has the same fields', async () => {
  upstream.answer(
    json({
      model: 'r',
      results: [
        { index: 1, relevance_score: 0.7 },
        { index: 0, relevance_score: 0.9 },
      ],
      usage: { total_tokens: 12 },
    }),
  )
  const asked = { model: 'local/r', query: 'q', documents: ['a', 'b'], return_documents: true }
  const { status, body } = await rerank(asked)
  assert.equal(status, 200)
  assertReference('rerank.answer', body)
  assert.deepEqual(
    body.results.map(({ index, document }) => [index, document]),
    [
      [0, { text: 'a' }],
      [1, { text: 'b' }],
    ],
  )
  assert.equal(body.usage.total_tokens, 12)
  assert.equal(upstream.got.at(-1)?.url, '/v1/rerank')
  assert.equal((await rerank({ ...asked, model: 'azure/r' })).body.error.code, 'unsupported')
  assert.equal((await rerank({ ...asked, documents: [1] })).body.error.param, 'documents[0]')
})

test('Cohere’s models chat, and embed and rerank with its own limits', async () => {
  const event = (type: string, more: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`
  const usage = { tokens: { input_tokens: 7, output_tokens: 2 } }
  upstream.answer(
    streams(
      event('message-start', { id: 'x' }),
      event('content-delta', { index: 0, delta: { message: { content: { text: 'Grüß Gott' } } } }),
      event('message-end', { delta: { finish_reason: 'COMPLETE', usage } }),
    ),
  )
  const asked = { model: 'cohere/command-a-03-2025', messages: hello, stream: true as const }
  const chunks = await Array.fromAsync(
    await openai.chat.completions.create({ ...asked, stream_options: { include_usage: true } }),
  )
  assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join(''), 'Grüß Gott')
  assert.equal(chunks.at(-1)?.usage?.total_tokens, 9)

  upstream.answer((response, { body }) => {
    const float = (body.texts as string[]).map((text) => [Number(text)])
    json({ embeddings: { float }, meta: { billed_units: { input_tokens: float.length } } })(
      response,
      upstream.got[0] as never,
    )
  })
  const input = Array.from({ length: 200 }, (_, i) => String(i))
  const vectors = await openai.embeddings.create({ model: 'cohere/embed-v4.0', input, encoding_format: 'float' })
  assert.deepEqual(
    vectors.data.map(({ embedding }) => embedding[0]),
    input.map(Number),
  )
  assert.equal(vectors.usage.total_tokens, 200)

  upstream.answer(
    json({ id: 'r', results: [{ index: 1, relevance_score: 0.5 }], meta: { billed_units: { search_units: 1 } } }),
  )
  const { body } = await rerank({ model: 'cohere/rerank-v3.5', query: 'q', documents: ['a', 'b'], top_n: 1 })
  assertReference('rerank.answer', body)
  assert.equal(upstream.got.at(-1)?.url, '/v2/rerank')
})

test('the built-in models complete, embed and rerank', async () => {
  const completion = await openai.completions.create({ model: 'flow/echo', prompt: 'Once upon', n: 2 })
  assertReference('completions.answer', completion)
  assert.deepEqual(
    completion.choices.map(({ text }) => text),
    ['Once upon', 'Once upon'],
  )
  const documents = ['dogs bark', 'cats purr', 'the cat sat']
  const { body } = await rerank({ model: 'flow/hash-rerank-384', query: 'a cat', documents, top_n: 2 })
  assertReference('rerank.answer', body)
  assert.equal(body.results.length, 2)
  assert.equal(body.results[0]?.index, 2)
  await assert.rejects(openai.embeddings.create({ model: 'flow/hash-embedding-384', input: [1, 2] }), {
    param: 'input',
  })
  await assert.rejects(openai.embeddings.create({ model: 'flow/hash-embedding-384', input: '' }), { param: 'input' })
  const wrong = { model: 'flow/hash-embedding-384', input: 'a', dimensions: 8 }
  await assert.rejects(openai.embeddings.create(wrong), { status: 400, param: 'dimensions' })
  assert.equal((await rerank({ model: 'flow/echo', query: 'q', documents })).body.error.code, 'unsupported_model')
})

test('Anthropic’s client thinks and calls tools with a model that speaks OpenAI’s API, and hands back what it got', async () => {
  const claude = new Anthropic({ apiKey: admin.api_key, baseURL: base_url.replace(/\/v1$/, ''), maxRetries: 0 })
  const step = (delta: object, finish_reason: string | null = null) =>
    event({ choices: [{ index: 0, delta, finish_reason }] })
  const call = (index: number, more: object) => step({ tool_calls: [{ index, ...more }] })
  upstream.answer(
    streams(
      step({ reasoning_content: 'Hm.' }),
      step({ content: 'I look.' }),
      call(0, { id: 'c1', type: 'function', function: { name: 'read', arguments: '' } }),
      call(0, { function: { arguments: '{"p":' } }),
      call(0, { function: { arguments: '"x"}' } }),
      call(1, { id: 'c2', type: 'function', function: { name: 'now', arguments: '' } }),
      step({}, 'tool_calls'),
      event({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 5, total_tokens: 14 } }),
      'data: [DONE]\n\n',
    ),
  )
  const tools = [{ name: 'read', input_schema: { type: 'object' as const } }]
  const asked = { model: 'local/m', max_tokens: 100, tools, system: 'Be brief.' }
  const first = { role: 'user' as const, content: 'Read it.' }
  const message = await claude.messages.stream({ ...asked, messages: [first] }).finalMessage()
  assert.deepEqual(
    message.content.map((block) => block.type),
    ['thinking', 'text', 'tool_use', 'tool_use'],
  )
  assert.deepEqual([message.stop_reason, message.usage.output_tokens], ['tool_use', 5])

  upstream.answer(says('Done.'))
  const results = ['c1', 'c2'].map((tool_use_id) => ({ type: 'tool_result' as const, tool_use_id, content: 'ok' }))
  const answer = { role: 'assistant' as const, content: message.content }
  await claude.messages.create({ ...asked, messages: [first, answer, { role: 'user', content: results }] })
  assert.deepEqual(upstream.got.at(-1)?.body.messages, [
    { role: 'system', content: 'Be brief.' },
    first,
    {
      role: 'assistant',
      content: 'I look.',
      tool_calls: [
        { id: 'c1', type: 'function', function: { name: 'read', arguments: '{"p":"x"}' } },
        { id: 'c2', type: 'function', function: { name: 'now', arguments: '{}' } },
      ],
      reasoning_content: 'Hm.',
    },
    { role: 'tool', tool_call_id: 'c1', content: 'ok' },
    { role: 'tool', tool_call_id: 'c2', content: 'ok' },
  ])
})
