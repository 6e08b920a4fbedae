import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createOpenAI } from '@ai-sdk/openai'
import type { ChatRequest, JsonObject } from '../hub.ts'
import { EventReader } from '../ways/sse.ts'
import { about, answerOf, plainRequest, testExchanges } from './adapter-testing.ts'
import { adapters } from './adapters.ts'
import { azure } from './azure.ts'
import { chunksOf, type Exchange, exchangesOf, named, understoodOf } from './exchanges-testing.ts'
import { openai } from './openai.ts'
import { callOptionsOf, opinionOf, opinionOfStream, recording } from './oracle-testing.ts'
import { type Account, type Native, ProviderFault, type StreamPiece } from './provider.ts'
import { listingIn } from './read.ts'

const account: Account = {
  kind: 'openai',
  base_url: 'https://api.openai.com/v1',
  key: 'sk-test',
  headers: { 'openai-organization': 'org-1' },
  options: {},
}
const at = (base_url: string, options: Account['options'] = {}): Account => ({ ...account, base_url, options })
const exchanges = exchangesOf('openai')
const others = exchangesOf('openai-hosts')
const MISTRAL = 'https://api.mistral.ai/v1'
const VLLM = 'http://gpu.internal:8000/v1'

const bodyOf = (asked: Partial<ChatRequest>, host = account): JsonObject => {
  const request = { ...plainRequest, ...asked }
  return JSON.parse(openai.chat?.request(host, request.model, request).body ?? '')
}

testExchanges(openai, account, [...exchanges, ...others])

test('the table knows the adapters', () => {
  assert.equal(adapters.openai, openai)
  assert.equal(adapters.azure, azure)
})

test('the key goes into its header, beside what the account sends', () => {
  const outgoing = openai.chat?.request(account, 'gpt-4.1', plainRequest)
  assert.deepEqual(outgoing?.headers, {
    'content-type': 'application/json',
    authorization: 'Bearer sk-test',
    'openai-organization': 'org-1',
  })
  const keyless = openai.chat?.request({ ...at(VLLM), key: null }, 'm', plainRequest)
  assert.equal(keyless?.headers.authorization, undefined)
})

// The oracle.

const sse = (pieces: StreamPiece[]) => pieces.map(({ data }) => `data: ${data}\n\n`).join('')

function oracleFor(exchange: Exchange) {
  const { recorder, calls } = recording(() =>
    exchange.pieces
      ? new Response(sse(exchange.pieces), { headers: { 'content-type': 'text/event-stream' } })
      : Response.json(exchange.body),
  )
  const provider = createOpenAI({ apiKey: 'sk-test', fetch: recorder })
  return { model: provider.chat(exchange.request?.model ?? 'gpt-4.1'), calls }
}

/** What differs by choice: the AI SDK speaks of developers where a model thinks, has the older name for the most tokens
 *  where it may, puts a text into a list of one, and says things that are so anyway. */
function comparable(body: JsonObject): unknown {
  const { max_tokens, ...told } = body
  const whole = max_tokens === undefined ? told : { ...told, max_completion_tokens: max_tokens }
  return JSON.parse(JSON.stringify(whole, (key, value) => (key === 'role' && value === 'developer' ? 'system' : value)))
}

for (const exchange of exchanges.filter(({ sent, alone }) => sent && !alone))
  test(`the AI SDK sends the same: ${exchange.name}`, async () => {
    const { model, calls } = oracleFor(exchange)
    const asked = exchange.request
    assert.ok(asked)
    const options = callOptionsOf(asked, 'openai')
    await (exchange.pieces ? opinionOfStream(model, options) : opinionOf(model, options))
    const ours = openai.chat?.request(account, asked.model, asked)
    assert.equal(ours?.url, calls[0]?.url)
    assert.equal(calls[0]?.headers.authorization, 'Bearer sk-test')
    assert.deepEqual(comparable(JSON.parse(ours?.body ?? '')), comparable(calls[0]?.body ?? {}))
  })

for (const exchange of exchanges.filter(({ means, alone }) => means && !alone))
  test(`the AI SDK understands the same: ${exchange.name}`, async () => {
    const { model } = oracleFor(exchange)
    const options = callOptionsOf(plainRequest, 'openai')
    const theirs = await (exchange.pieces ? opinionOfStream(model, options) : opinionOf(model, options))
    const answer = answerOf(openai, exchange)
    const [ours] = understoodOf(answer)
    const { text, reasoning, calls, finish } = theirs
    assert.deepEqual(ours, { text, reasoning, calls, finish })
    assert.deepEqual(answer.usage, { ...theirs.usage, reasoning: theirs.usage.reasoning ?? 0 })
  })

for (const exchange of exchanges.filter(({ pieces, fault, alone }) => pieces && fault && !alone))
  test(`the AI SDK takes it for broken, too: ${exchange.name}`, async () => {
    const { model } = oracleFor(exchange)
    const theirs = await opinionOfStream(model, callOptionsOf(plainRequest, 'openai'))
    assert.ok(theirs.error)
  })

// Streams.

test('the same chunks come out wherever the bytes of a stream are cut', () => {
  for (const exchange of [...exchanges, ...others].filter(({ pieces, means }) => pieces && means)) {
    const read = (pieces: StreamPiece[]) =>
      openai.chat && chunksOf(openai.chat.stream(exchange.request ?? plainRequest, about), pieces)
    const bytes = Buffer.from(sse(exchange.pieces ?? []))
    const whole = read(exchange.pieces ?? [])
    for (let cut = 1; cut < bytes.length; cut += 1) {
      const reader = new EventReader()
      const pieces = [...reader.push(bytes.subarray(0, cut)), ...reader.push(bytes.subarray(cut))]
      assert.deepEqual(read(pieces), whole, `${exchange.name}, cut at ${cut}`)
    }
  }
})

test('what was thought is told in blocks, each with what belongs to it, and goes back as it came', () => {
  const exchange = named(others, 'OpenRouter streams thoughts with what belongs to them, and comments in between')
  const { message } = answerOf(openai, exchange).choices[0] ?? {}
  assert.equal(message?.reasoning?.length, 2)
  const { messages } = bodyOf({ messages: [{ role: 'assistant', ...message }] }, at('https://openrouter.ai/api/v1'))
  assert.deepEqual((messages as JsonObject[])[0]?.reasoning_details, [
    { type: 'reasoning.text', text: 'Let me see.', signature: 'EosnCk', format: 'anthropic-claude-v1', index: 0 },
    { type: 'reasoning.encrypted', data: 'gAAA', id: 'rs_1', format: 'openai-responses-v1', index: 1 },
  ])
})

test('thoughts that other words come between are blocks of their own', () => {
  const answer = answerOf(openai, named(others, 'vLLM thinks, speaks and thinks again'))
  assert.deepEqual(answer.choices[0]?.message.reasoning, [{ text: 'AB' }, { text: 'D' }])
})

test('thoughts go to nobody who refuses them, nor do those that another provider has sealed', () => {
  const assistant = {
    role: 'assistant' as const,
    content: 'x',
    reasoning: [{ text: 'a' }, { text: 'b', data: 'c2VhbGVk' }],
  }
  const told = (host: Account) => (bodyOf({ messages: [assistant] }, host).messages as JsonObject[])[0]
  assert.deepEqual(told(account), { role: 'assistant', content: 'x' })
  assert.deepEqual(told(at(MISTRAL)), { role: 'assistant', content: 'x' })
  assert.deepEqual(told(at(VLLM)), { role: 'assistant', content: 'x', reasoning_content: 'a' })
})

test('an answer that does not tell its usage has used nothing yet', () => {
  const choices = [{ index: 0, message: { role: 'assistant', content: '12345678' }, finish_reason: 'stop' }]
  const answer = openai.chat?.answer({ choices }, about)
  assert.deepEqual(answer?.usage, { input: 0, cached: 0, cache_written: 0, output: 0, reasoning: 0 })
})

test('images in a tool’s result are shown by the user, behind all results', () => {
  const image = { type: 'image_url' as const, image_url: { url: 'data:image/png;base64,AA==' } }
  const called = (id: string) => ({ id, type: 'function' as const, function: { name: 'shot', arguments: '{}' } })
  const { messages } = bodyOf({
    messages: [
      { role: 'assistant', tool_calls: [called('a'), called('b')] },
      { role: 'tool', tool_call_id: 'a', content: [{ type: 'text', text: 'done' }, image] },
      { role: 'tool', tool_call_id: 'b', content: 'none' },
    ],
  })
  assert.deepEqual((messages as JsonObject[]).slice(1), [
    { role: 'tool', tool_call_id: 'a', content: 'done' },
    { role: 'tool', tool_call_id: 'b', content: 'none' },
    { role: 'user', content: [{ type: 'text', text: 'Images in the result of a:' }, image] },
  ])
})

test('images in a result are told with what the user says next', () => {
  const image = { type: 'image_url' as const, image_url: { url: 'data:image/png;base64,AA==' } }
  const call = { id: 'a', type: 'function' as const, function: { name: 'shot', arguments: '{}' } }
  const { messages } = bodyOf({
    messages: [
      { role: 'assistant', tool_calls: [call] },
      { role: 'tool', tool_call_id: 'a', content: [image] },
      { role: 'user', content: 'And?' },
    ],
  })
  const text = (said: string) => ({ type: 'text', text: said })
  assert.deepEqual((messages as JsonObject[]).slice(1), [
    { role: 'tool', tool_call_id: 'a', content: '' },
    { role: 'user', content: [text('Images in the result of a:'), image, text('And?')] },
  ])
})

test('Mistral reads a conversation that began elsewhere: its order and its names of calls', () => {
  const calls = ['toolu_01A09q90qw90lq917835lq9', 'abcDEF123'].map((id) => ({
    ...{ id, type: 'function' as const, function: { name: 'look', arguments: '{}' } },
  }))
  const asked = [
    { role: 'user' as const, content: 'Look.' },
    { role: 'assistant' as const, tool_calls: calls },
    ...calls.map(({ id }) => ({ role: 'tool' as const, tool_call_id: id, content: 'seen' })),
    { role: 'user' as const, content: 'And?' },
  ]
  const [, spoken, first, second, ...rest] = bodyOf({ messages: asked }, at(MISTRAL)).messages as JsonObject[]
  const ids = ((spoken?.tool_calls ?? []) as JsonObject[]).map(({ id }) => String(id))
  assert.ok(ids.every((id) => /^[a-zA-Z0-9]{9}$/.test(id)))
  assert.deepEqual([first?.tool_call_id, second?.tool_call_id], ids)
  assert.equal(ids[1], 'abcDEF123')
  assert.deepEqual([first?.content, second?.content, rest], ['seen', 'seen\n\nAnd?', []])
  assert.deepEqual(bodyOf({ messages: asked }, at(VLLM)).messages, [
    asked[0],
    { ...asked[1], content: null },
    ...asked.slice(2),
  ])
})

test('what a client of another format asks for besides is named as left out, and nothing of it is sent', () => {
  const asked = { ...plainRequest, mouth: 'messages' as const, others: { container: 'x' } }
  const outgoing = openai.chat?.request(account, 'gpt-4.1', asked)
  assert.deepEqual(outgoing?.dropped, ['container'])
  assert.equal(JSON.parse(outgoing?.body ?? '').container, undefined)
})

// Formats that pass.

const native = (name: keyof typeof openai.native): Native => {
  const found = openai.native[name]
  assert.ok(found)
  return found
}
const piece = (value: object): StreamPiece => ({ event: null, data: JSON.stringify(value) })

test('a request passes with nothing changed but the model and the wish for usage', () => {
  const body = { model: 'p/m', messages: [{ role: 'user', content: 'Hi' }], new_field: { a: 1 }, stream: true }
  const outgoing = native('chat').request(account, 'gpt-4.1', body)
  assert.equal(outgoing.url, 'https://api.openai.com/v1/chat/completions')
  assert.deepEqual(JSON.parse(outgoing.body), { ...body, model: 'gpt-4.1', stream_options: { include_usage: true } })
})

test('the most tokens have the name that a host knows, and usage is asked for where that is not refused', () => {
  const body = { model: 'p/m', messages: [], stream: true, max_completion_tokens: 5, seed: 1 }
  const told = (host: Account) => JSON.parse(native('chat').request(host, 'm', body).body)
  assert.equal(told(account).max_completion_tokens, 5)
  assert.deepEqual(told(at(MISTRAL)), { model: 'm', messages: [], stream: true, max_tokens: 5, random_seed: 1 })
  const { max_tokens, max_completion_tokens, stream_options } = told(at(VLLM))
  assert.deepEqual([max_tokens, max_completion_tokens, stream_options], [5, undefined, { include_usage: true }])
})

test('usage is hidden from a client that did not ask, and only where nothing else is said', () => {
  const { hides } = native('chat')
  const usage = { prompt_tokens: 1, completion_tokens: 1 }
  const asked = { stream_options: { include_usage: true } }
  assert.equal(hides?.({}, piece({ choices: [], usage })), true)
  assert.equal(hides?.({}, { event: null, data: '{ "choices": [ ], "usage": {"prompt_tokens": 1} }' }), true)
  assert.equal(hides?.(asked, piece({ choices: [], usage })), false)
  assert.equal(hides?.({}, piece({ choices: [{ index: 0, delta: {} }], usage })), false)
  // The first of Azure's: it tells what its filters found.
  assert.equal(hides?.({}, piece({ choices: [], prompt_filter_results: [], usage: null })), false)
})

test('responses are spoken by OpenAI and Azure, and by others whose options say so', () => {
  const speaks = (host: Account) => native('responses').speaks?.(host)
  assert.equal(speaks(account), true)
  assert.equal(speaks(at('https://eu.api.openai.com/v1')), true)
  assert.equal(speaks({ ...account, kind: 'azure', base_url: 'https://x.openai.azure.com' }), true)
  assert.equal(speaks(at(VLLM)), false)
  assert.equal(speaks(at('https://api.openai.com.evil.example/v1')), false)
  assert.equal(speaks(at(VLLM, { responses: 'native' })), true)
  assert.equal(speaks({ ...account, options: { responses: 'none' } }), false)
  assert.equal(native('completions').speaks?.(at(MISTRAL)), false)
  assert.equal(native('completions').speaks?.(at(VLLM)), true)
})

test('a response tells its usage and its end in its last event', () => {
  const { usageOfPiece, ends, faultOfPiece, usageOf } = native('responses')
  const usage = {
    input_tokens: 36,
    input_tokens_details: { cached_tokens: 30 },
    output_tokens: 87,
    output_tokens_details: { reasoning_tokens: 64 },
    total_tokens: 123,
  }
  const told = { input: 36, cached: 30, cache_written: 0, output: 87, reasoning: 64 }
  assert.deepEqual(usageOf({ usage }), told)
  for (const type of ['response.completed', 'response.incomplete', 'response.failed']) {
    const last = piece({ type, response: { error: null, usage } })
    assert.deepEqual([usageOfPiece(last), ends(last), faultOfPiece(last)], [told, true, undefined])
  }
  const first = piece({ type: 'response.created', response: { error: null, usage: null } })
  assert.deepEqual([usageOfPiece(first), ends(first), faultOfPiece(first)], [undefined, false, undefined])
  const failed = piece({ type: 'error', code: 'rate_limit_exceeded', message: 'Slow down.', param: null })
  assert.deepEqual([faultOfPiece(failed)?.status, faultOfPiece(failed)?.message], [429, 'Slow down.'])
})

test('vectors tell their usage, by one name or the other', () => {
  const { request, usageOf } = native('embeddings')
  const outgoing = request(account, 'text-embedding-3-small', { model: 'p/t', input: ['a'], encoding_format: 'base64' })
  assert.equal(outgoing.url, 'https://api.openai.com/v1/embeddings')
  assert.deepEqual(JSON.parse(outgoing.body), {
    model: 'text-embedding-3-small',
    input: ['a'],
    encoding_format: 'base64',
  })
  assert.equal(usageOf({ usage: { prompt_tokens: 8, total_tokens: 8 } })?.input, 8)
  assert.equal(usageOf({ usage: { total_tokens: 9 } })?.input, 9)
  assert.equal(usageOf({}), undefined)
})

// Rerank and models.

const ranking = { model: 'p/r', query: 'q', documents: ['a', 'b', 'c'], top_n: 2, others: { max_tokens_per_doc: 9 } }

test('documents are sorted by the scores that a host tells, and raw numbers become shares', () => {
  const outgoing = openai.rerank?.request(at(VLLM), 'bge', ranking)
  assert.equal(outgoing?.url, `${VLLM}/rerank`)
  const { others: more, model: _, ...plain } = ranking
  assert.deepEqual(JSON.parse(outgoing?.body ?? ''), { model: 'bge', ...plain, ...more })
  const scores = (results: JsonObject[], key = 'results') =>
    openai.rerank?.answer({ [key]: results, usage: { total_tokens: 7 } }, ranking).results.map(({ index }) => index)
  assert.deepEqual(
    scores([
      { index: 0, relevance_score: 0.2 },
      { index: 2, relevance_score: 0.9 },
    ]),
    [2, 0],
  )
  assert.deepEqual(
    scores(
      [
        { index: 1, score: 0.1 },
        { index: 0, score: 0.3 },
      ],
      'data',
    ),
    [0, 1],
  )
  const raw = openai.rerank?.answer(
    {
      results: [
        { index: 0, relevance_score: -8 },
        { index: 1, relevance_score: 2 },
      ],
    },
    ranking,
  )
  assert.ok(raw?.results.every(({ score }) => score > 0 && score < 1))
  assert.deepEqual(
    raw?.results.map(({ index }) => index),
    [1, 0],
  )
})

test('scores for documents that nobody sent, or none, are a fault; OpenAI has no rerank', () => {
  for (const results of [[], [{ index: 7, relevance_score: 1 }], [{ index: 0 }]]) {
    assert.throws(() => openai.rerank?.answer({ results }, ranking), ProviderFault)
  }
  assert.throws(
    () => openai.rerank?.request(account, 'm', ranking),
    (error) => error instanceof ProviderFault && error.fault.code === 'unsupported',
  )
})

test('models are listed, also where the list has no wrapping, and what is no list is none', () => {
  const { request, answer } = openai.models
  assert.equal(request(account).url, 'https://api.openai.com/v1/models')
  assert.deepEqual(answer({ object: 'list', data: [{ id: 'gpt-4.1', created: 5 }, { id: 'x' }, {}] }), [
    { id: 'gpt-4.1', created: 5 },
    { id: 'x', created: null },
  ])
  assert.deepEqual(answer(listingIn('[{"id":"x"}]')), [{ id: 'x', created: null }])
  assert.throws(() => answer({ hello: 'world' }))
  assert.throws(() => answer(listingIn('<html>')))
})

// Azure.

const azureAt = (base_url: string, options: Account['options'] = {}, key = 'k'): Account => ({
  ...{ kind: 'azure', base_url, key, headers: {}, options },
})

test('Azure is spoken to without a version, whatever of its address is given', () => {
  for (const base_url of ['', '/openai', '/openai/v1'].map((path) => `https://x.openai.azure.com${path}`)) {
    const host = azureAt(base_url)
    const outgoing = azure.chat?.request(host, 'my-gpt', plainRequest)
    assert.equal(outgoing?.url, 'https://x.openai.azure.com/openai/v1/chat/completions')
    assert.equal(JSON.parse(outgoing?.body ?? '').model, 'my-gpt')
    assert.deepEqual(outgoing?.headers, { 'content-type': 'application/json', 'api-key': 'k' })
    assert.equal(azure.models.request(host).url, 'https://x.openai.azure.com/openai/v1/models')
  }
  const preview = azure.native.responses?.request(
    azureAt('https://x.openai.azure.com', { api_version: 'preview' }),
    'd',
    {},
  )
  assert.equal(preview?.url, 'https://x.openai.azure.com/openai/v1/responses?api-version=preview')
})

test('Azure with a date has the deployment in the address', () => {
  const host = azureAt('https://x.openai.azure.com', { api_version: '2024-10-21' })
  const urlOf = (name: keyof typeof azure.native) => azure.native[name]?.request(host, 'my gpt/1', {}).url
  const root = 'https://x.openai.azure.com/openai'
  assert.equal(urlOf('chat'), `${root}/deployments/my%20gpt%2F1/chat/completions?api-version=2024-10-21`)
  assert.equal(urlOf('embeddings'), `${root}/deployments/my%20gpt%2F1/embeddings?api-version=2024-10-21`)
  assert.equal(urlOf('responses'), `${root}/responses?api-version=2024-10-21`)
  assert.equal(azure.models.request(host).url, `${root}/models?api-version=2024-10-21`)
})

test('a token of Entra is a bearer’s, and a deployment that is not there is a model that is not there', () => {
  const outgoing = azure.chat?.request(azureAt('https://x.openai.azure.com', {}, 'eyJ0eXAi.x.y'), 'm', plainRequest)
  assert.equal(outgoing?.headers.authorization, 'Bearer eyJ0eXAi.x.y')
  const error = { code: 'DeploymentNotFound', message: 'The API deployment for this resource does not exist.' }
  const { status, code } = azure.fault(404, {}, JSON.stringify({ error }))
  assert.deepEqual([status, code], [404, 'model_not_found'])
  assert.equal(azure.fault(401, {}, '{"statusCode":401,"message":"Access denied"}').message, 'Access denied')
})

test('Azure’s list is of what could be deployed: nothing of it is offered', () => {
  assert.deepEqual(azure.models.answer({ data: [{ id: 'gpt-4.1' }] }), [])
})
