/** Anthropic's client and Anthropic itself, as it was recorded, over sockets: bytes pass as they came, and what goes wrong
 *  is told. Then OpenAI's client with the same, through the hub. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { type Answer, breaks, openUpstream, pause, streams } from '../call/upstream-testing.ts'
import { type Exchange, exchangesOf, named } from '../providers/exchanges-testing.ts'
import type { StreamPiece } from '../providers/provider.ts'
import { cut, framed, openAnthropic, textIn } from './anthropic-testing.ts'

const { alice, client, baseURL, admin } = await openAnthropic()
const upstream = await openUpstream()
const provider = await alice.gateway.providers.create({
  name: 'claude',
  kind: 'anthropic',
  base_url: `${upstream.base_url}/v1`,
  key: 'sk-ant-secret',
  skip_test: true,
})
const openai = new OpenAI({ apiKey: admin.api_key, baseURL: `${baseURL}/v1`, maxRetries: 0 })

const exchanges = exchangesOf('anthropic')
const ask = { model: 'claude/claude-x', max_tokens: 64, messages: [{ role: 'user' as const, content: 'Hi' }] }
const text = named(exchanges, 'a text comes in pieces, with pings between and what was cached told first')
const pieces = text.pieces as StreamPiece[]
const tells =
  (body: unknown, status = 200, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
const told = ({ body, status, headers }: Exchange) => tells(body, status, headers)

for (const exchange of exchanges.filter(({ body, means }) => body && means))
  test(`passes as it came: ${exchange.name}`, async () => {
    upstream.answer(told(exchange))
    assert.deepEqual(await client.messages.create(ask), exchange.body)
  })

for (const exchange of exchanges.filter((one) => one.pieces && one.means))
  test(`passes event by event, in any pieces: ${exchange.name}`, async () => {
    const bytes = framed(exchange.pieces ?? [])
    const expected = exchange.pieces?.map(({ data }) => JSON.parse(data)).filter(({ type }) => type !== 'ping')
    for (const size of [exchange === text ? 1 : 7, bytes.length]) {
      upstream.answer(streams(...cut(bytes, size)))
      const events = await Array.fromAsync(await client.messages.create({ ...ask, stream: true }))
      assert.deepEqual(events, expected)
    }
  })

test('a request passes as it is, with the model’s own name, the provider’s key and the client’s betas', async () => {
  upstream.answer(told(named(exchanges, 'an answer that is cut at its length')))
  const asked = { ...ask, max_tokens: 0, unheard_of: { deep: [1] } }
  await client.messages.create(asked, {
    headers: { 'anthropic-beta': 'context-1m', 'anthropic-version': '2099-01-01' },
  })
  const got = upstream.got.at(-1)
  assert.equal(got?.url, '/v1/messages')
  assert.deepEqual(got?.body, { ...asked, model: 'claude-x' })
  assert.equal(got?.headers['x-api-key'], 'sk-ant-secret')
  assert.equal(got?.headers['anthropic-beta'], 'context-1m')
  assert.equal(got?.headers['anthropic-version'], '2099-01-01')
  assert.equal(got?.headers.authorization, undefined)
  assert.ok(!JSON.stringify(got?.headers).includes(admin.api_key))
})

test('a conversation that Anthropic has kept goes on there', async () => {
  upstream.answer(told(named(exchanges, 'an answer that is cut at its length')))
  const thread = { type: 'continue' as const, previous_message_id: 'msg_1' }
  await client.beta.messages.create({ ...ask, thread })
  assert.deepEqual(upstream.got.at(-1)?.body.thread, thread)
})

test('the betas of the client are asked for', async () => {
  upstream.answer(told(named(exchanges, 'an answer that is cut at its length')))
  await client.beta.messages.create({ ...ask, betas: ['files-api-2025-04-14'] })
  assert.equal(upstream.got.at(-1)?.headers['anthropic-beta'], 'files-api-2025-04-14')
})

// What goes wrong.

const errors: [string, new (...args: never[]) => Error, string][] = [
  ['a wrong request', Anthropic.BadRequestError, 'invalid_request_error'],
  ['a prompt that is too long', Anthropic.BadRequestError, 'invalid_request_error'],
  ['an unknown model', Anthropic.NotFoundError, 'not_found_error'],
  ['a body that is too large', Anthropic.ContentTooLargeError, 'request_too_large'],
  ['too many requests, with the time to wait', Anthropic.RateLimitError, 'rate_limit_error'],
  ['it is overloaded', Anthropic.OverloadedError, 'overloaded_error'],
  // Of the key that Flow has, and not the client's.
  ['a wrong key', Anthropic.InternalServerError, 'api_error'],
  ['no money is left', Anthropic.InternalServerError, 'api_error'],
]
for (const [name, kind, type] of errors)
  test(`is told by the client's own error: ${name}`, async () => {
    const exchange = named(exchanges, name)
    upstream.answer(told(exchange))
    const model = name.replaceAll(/[^a-z]/g, '-')
    // A model of its own: one that fails is left alone for a while.
    await alice.gateway.routes.create({ name: model, targets: [{ provider: 'claude', model }], attempts_max: 1 })
    await assert.rejects(client.messages.create({ ...ask, model }), (error) => {
      assert.ok(error instanceof kind && error instanceof Anthropic.APIError, String(error))
      assert.equal(error.type, type)
      assert.equal(error.headers?.get('retry-after') ?? null, exchange.headers?.['retry-after'] ?? null)
      return true
    })
  })

test('what fails is tried again, after the time that Anthropic names', async () => {
  const overloaded = named(exchanges, 'it is overloaded').body
  const whole = named(exchanges, 'an answer that is cut at its length')
  upstream.answer(tells(overloaded, 529, { 'retry-after': '0' }), told(whole))
  const { data, response } = await client.messages.create(ask).withResponse()
  assert.equal(textIn(data), 'Once upon')
  assert.equal(response.headers.get('x-flow-attempts'), '2')
})

test('an error in the middle of a stream reaches the client behind what was said', async () => {
  const error = named(exchanges, 'it is overloaded in the middle of a stream').pieces as StreamPiece[]
  const endings: [Answer, string][] = [
    [streams(framed(error)), 'overloaded_error'],
    [streams(framed(error.slice(0, -1))), 'api_error'],
    [breaks(framed(error.slice(0, -1))), 'api_error'],
    [streams(framed(error.slice(0, -1)), 'event: x\ndata: {"type":\n\n'), 'api_error'],
  ]
  for (const [answer, type] of endings) {
    upstream.answer(answer)
    let said = ''
    const stream = client.messages.stream(ask).on('text', (piece) => {
      said += piece
    })
    await assert.rejects(
      stream.finalMessage(),
      (thrown) => thrown instanceof Anthropic.APIError && thrown.type === type,
    )
    assert.equal(said, 'Well')
  }
})

test('a client that goes away ends the call at Anthropic', async () => {
  upstream.answer(streams(framed(pieces.slice(0, 5)), 60_000))
  const stream = client.messages.stream(ask)
  await new Promise((resolve) => stream.once('text', resolve))
  stream.abort()
  await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError)
  await upstream.got.at(-1)?.closed
})

test('what passed is counted: what Anthropic told, and what was written until the client went', async () => {
  upstream.answer(streams(framed(pieces)))
  const whole = await client.messages.stream({ ...ask, model: 'claude/counted' }).finalMessage()
  upstream.answer(streams(framed(pieces.slice(0, 5)), 60_000))
  const stream = client.messages.stream({ ...ask, model: 'claude/counted' })
  await new Promise((resolve) => stream.once('text', resolve))
  stream.abort()
  await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError)
  await upstream.got.at(-1)?.closed
  const read = async () => (await alice.gateway.calls.list({ model: 'claude/counted' })).items
  for (let i = 0; i < 200 && (await read()).length < 2; i += 1) await pause(50)

  const [aborted, completed] = await read()
  const { input_tokens, cached_tokens, cache_written_tokens, output_tokens } = completed?.usage ?? {}
  assert.deepEqual([input_tokens, cached_tokens, cache_written_tokens, output_tokens], [132, 100, 7, 15])
  assert.equal(textIn(whole), text.means?.text)
  assert.deepEqual([aborted?.status, aborted?.usage.input_tokens], ['aborted', 132])
  assert.ok((aborted?.usage.output_tokens ?? 0) > 0)
})

// Beside the messages.

test('tokens are counted by Anthropic', async () => {
  upstream.answer(tells({ input_tokens: 2_095 }))
  const { max_tokens: _, ...asked } = ask
  const { data, response } = await client.messages.countTokens(asked).withResponse()
  assert.deepEqual(data, { input_tokens: 2_095 })
  assert.equal(response.headers.get('x-flow-estimated'), null)
  const got = upstream.got.at(-1)
  assert.deepEqual([got?.url, got?.body.model], ['/v1/messages/count_tokens', 'claude-x'])
  upstream.answer(told(named(exchanges, 'too many requests, with the time to wait')))
  await assert.rejects(client.messages.countTokens(asked), Anthropic.RateLimitError)
  upstream.answer(told(named(exchanges, 'a wrong key')))
  await assert.rejects(client.messages.countTokens(asked), Anthropic.InternalServerError)
  upstream.answer(tells({ something: 'else' }))
  await assert.rejects(client.messages.countTokens(asked), Anthropic.InternalServerError)
})

test('a key is tested by asking for the models, which are listed then', async () => {
  const list = [{ type: 'model', id: 'claude-y', display_name: 'Y', created_at: '2026-01-01T00:00:00Z' }]
  upstream.answer(tells({ data: list, has_more: false, first_id: 'claude-y', last_id: 'claude-y' }))
  const test = await alice.gateway.providers.test({ provider_id: provider.id })
  assert.deepEqual([test.status, test.models], ['success', ['claude-y']])
  const ids = (await Array.fromAsync(client.models.list())).map(({ id }) => id)
  assert.ok(ids.includes('claude/claude-y'))
  assert.equal(upstream.got.at(-1)?.url, '/v1/models?limit=1000')
  assert.equal(upstream.got.at(-1)?.headers['x-api-key'], 'sk-ant-secret')
  upstream.answer(told(named(exchanges, 'a wrong key')))
  const refused = await alice.gateway.providers.test({ provider_id: provider.id })
  assert.match(refused.message, /refuses the key: invalid x-api-key/)
  upstream.answer(tells({ hello: 'world' }))
  assert.match((await alice.gateway.providers.test({ provider_id: provider.id })).message, /not a list of models/)
})

// OpenAI's client.

for (const exchange of exchanges.filter((one) => one.means))
  test(`OpenAI's client understands it: ${exchange.name}`, async () => {
    const asked = { model: 'claude/claude-x', messages: [{ role: 'user' as const, content: 'Hi' }] }
    const isStream = exchange.pieces !== undefined
    const bytes = framed(exchange.pieces ?? [])
    upstream.answer(isStream ? streams(...cut(bytes, exchange === text ? 1 : 7)) : told(exchange))
    const completion = isStream
      ? await openai.chat.completions.stream(asked).finalChatCompletion()
      : await openai.chat.completions.create(asked)
    const [choice] = completion.choices
    const calls = (choice?.message.tool_calls ?? []).flatMap((call) =>
      call.type === 'function'
        ? [{ id: call.id, name: call.function.name, arguments: JSON.parse(call.function.arguments) }]
        : [],
    )
    const { means } = exchange
    assert.deepEqual(
      [choice?.message.content ?? '', calls, choice?.finish_reason],
      [means?.text, means?.calls, means?.finish],
    )
  })

test('what OpenAI’s client hands back of thoughts reaches Anthropic as it came', async () => {
  const thought = named(exchanges, 'a budget is thought with, and its thoughts are told, the sealed ones, too')
  upstream.answer(told(thought))
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'Think.' }]
  const asked = { model: 'claude/claude-opus-4-7', reasoning_effort: 'high' as const }
  const first = await openai.chat.completions.create({ ...asked, messages })
  messages.push(first.choices[0]?.message ?? assert.fail(), { role: 'user', content: 'And?' })
  await openai.chat.completions.create({ ...asked, messages })
  const sent = upstream.got.at(-1)?.body as { messages: { content: unknown }[]; thinking: unknown }
  assert.deepEqual(sent.messages[1]?.content, thought.body?.content)
  assert.deepEqual(sent.thinking, { type: 'adaptive', display: 'summarized' })
})
