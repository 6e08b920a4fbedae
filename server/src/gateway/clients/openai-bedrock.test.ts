/** OpenAI's client and Bedrock, with a provider over a socket that checks signatures and answers in Amazon's frames. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { EventStreamCodec } from '@smithy/eventstream-codec'
import OpenAI from 'openai'
import { listen } from '../../http/listen.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import { type Answer, type Got, openUpstream } from '../call/upstream-testing.ts'
import { sign } from '../providers/bedrock-sign.ts'
import type { Account } from '../providers/provider.ts'

const { app } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })
const listening = await listen(app, '127.0.0.1', 0)
after(() => listening.close(0))
const { alice, admin } = await newOrganization()
const upstream = await openUpstream()
const KEY = 'AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY:IQoJb3JpZ2lu'
const provider = { kind: 'bedrock' as const, base_url: upstream.base_url, options: { region: 'eu-west-1' } }
await alice.gateway.providers.create({ ...provider, name: 'aws', key: KEY, skip_test: true })
const openai = new OpenAI({
  apiKey: admin.api_key,
  baseURL: `http://127.0.0.1:${listening.port}/api/v1/gateway/v1`,
  maxRetries: 0,
})

const CLAUDE = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0'
const ask = { model: `aws/${CLAUDE}`, messages: [{ role: 'user' as const, content: 'Hello' }] }
const usage = { inputTokens: 5, outputTokens: 4, totalTokens: 9, cacheReadInputTokens: 10 }
const json =
  (value: object, status = 200, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
const says = (...content: object[]) =>
  json({ output: { message: { role: 'assistant', content } }, stopReason: 'end_turn', usage })

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString(),
  (text) => Buffer.from(text),
)
const text = (value: string) => ({ type: 'string' as const, value })
const frame = (name: string, body: object, kind = 'event') => {
  const headers = {
    [`:${kind}-type`]: text(name),
    ':message-type': text(kind),
    ':content-type': text('application/json'),
  }
  return Buffer.from(codec.encode({ headers, body: Buffer.from(JSON.stringify(body)) }))
}
const delta = (said: string) => frame('contentBlockDelta', { contentBlockIndex: 0, delta: { text: said } })
const END = Buffer.concat([
  frame('contentBlockStop', { contentBlockIndex: 0 }),
  frame('messageStop', { stopReason: 'end_turn' }),
  frame('metadata', { usage }),
])
/** These bytes, in pieces of this size. */
const streams =
  (bytes: Buffer, size: number): Answer =>
  async (response) => {
    response.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream' })
    for (let at = 0; at < bytes.length; at += size) {
      response.write(bytes.subarray(at, at + size))
      await new Promise((resolve) => setImmediate(resolve))
    }
    response.end()
  }

/** Signs what has arrived once more, over the headers that it says were signed. */
async function signatureOf(got: Got, method: 'GET' | 'POST', body: string, key = KEY) {
  const { authorization = '', host = '' } = got.headers
  const names = /SignedHeaders=([^,]*)/.exec(authorization)?.[1]?.split(';') ?? []
  const kept = names.filter((name) => name !== 'host' && !name.startsWith('x-amz-'))
  const headers = Object.fromEntries(kept.map((name) => [name, String(got.headers[name])]))
  const [, y, m, d, h, min, s] = /^(....)(..)(..)T(..)(..)(..)Z$/.exec(String(got.headers['x-amz-date'])) ?? []
  const account: Account = { ...provider, key, headers: {} }
  const outgoing = { method, url: `http://${host}${got.url}`, headers, body, dropped: [] }
  return (await sign(outgoing, account, new Date(`${y}-${m}-${d}T${h}:${min}:${s}Z`))).headers.authorization
}

test('a call arrives signed, with its model encoded, and is answered in OpenAI’s words', async () => {
  upstream.answer(says({ text: 'Guten Tag.' }))
  const { data, response } = await openai.chat.completions.create({ ...ask, seed: 7 }).withResponse()
  assert.equal(data.choices[0]?.message.content, 'Guten Tag.')
  assert.deepEqual([data.usage?.prompt_tokens, data.usage?.prompt_tokens_details?.cached_tokens], [15, 10])
  assert.equal(response.headers.get('x-flow-dropped'), 'seed')
  const got = upstream.got.at(-1)
  assert.ok(got)
  assert.equal(got.url, '/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse')
  assert.match(got.headers.authorization ?? '', /\/eu-west-1\/bedrock\/aws4_request/)
  assert.equal(got.headers['x-amz-security-token'], 'IQoJb3JpZ2lu')
  assert.equal(got.headers.authorization, await signatureOf(got, 'POST', JSON.stringify(got.body)))
})

test('frames are translated wherever they are cut', async () => {
  const bytes = Buffer.concat([frame('messageStart', { role: 'assistant' }), delta('Grüß '), delta('Gott 😀'), END])
  for (const size of [1, 7, bytes.length]) {
    upstream.answer(streams(bytes, size))
    const stream = await openai.chat.completions.create({
      ...ask,
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks = await Array.fromAsync(stream)
    assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join(''), 'Grüß Gott 😀')
    assert.equal(chunks.at(-1)?.usage?.total_tokens, 19)
  }
  assert.match(upstream.got.at(-1)?.url ?? '', /converse-stream$/)
})

test('an answer in JSON is that alone, also in a stream, and under the name of a route', async () => {
  const targets = [{ provider: 'aws', model: 'amazon.nova-pro-v1:0' }]
  await alice.gateway.routes.create({ name: 'structured', targets })
  const called = { toolUseId: 't', name: 'flow_answer_in_json' }
  const asked = { ...ask, model: 'structured', response_format: { type: 'json_object' as const } }
  upstream.answer(says({ text: 'Here it is:' }, { toolUse: { ...called, input: { a: 1 } } }))
  const whole = await openai.chat.completions.create(asked)
  assert.deepEqual([whole.choices[0]?.message.content, whole.choices[0]?.finish_reason], ['{"a":1}', 'stop'])

  const begun = frame('contentBlockStart', { contentBlockIndex: 1, start: { toolUse: called } })
  const input = frame('contentBlockDelta', { contentBlockIndex: 1, delta: { toolUse: { input: '{"a":1}' } } })
  upstream.answer(streams(Buffer.concat([delta('Here it is:'), begun, input, END]), 64))
  const stream = openai.chat.completions.stream(asked)
  assert.equal((await stream.finalChatCompletion()).choices[0]?.message.content, '{"a":1}')
})

test('an exception, a frame with a wrong bit and an early end break a stream behind what was said', async () => {
  const wrong = delta('Gott')
  wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1
  const ends = [
    frame('throttlingException', { message: 'Slower.' }, 'exception'),
    frame('modelStreamErrorException', { message: 'It broke.' }, 'exception'),
    wrong,
    delta('Gott').subarray(0, 20),
    Buffer.alloc(0),
  ]
  for (const end of ends) {
    upstream.answer(streams(Buffer.concat([delta('Grüß '), end]), 16))
    const stream = await openai.chat.completions.create({ ...ask, stream: true })
    let said = ''
    await assert.rejects(async () => {
      for await (const chunk of stream) said += chunk.choices[0]?.delta.content ?? ''
    }, OpenAI.APIError)
    assert.equal(said, 'Grüß ')
  }
})

test('what throttles is asked again, and what refuses our key is told as that', async () => {
  const throttles = json({ message: 'Too many requests.' }, 429, { 'x-amzn-errortype': 'ThrottlingException' })
  upstream.answer(throttles, says({ text: 'At last.' }))
  const { data, response } = await openai.chat.completions.create(ask).withResponse()
  assert.equal(data.choices[0]?.message.content, 'At last.')
  assert.equal(response.headers.get('x-flow-attempts'), '2')
  upstream.answer(
    json({ message: 'The security token is invalid.' }, 403, { 'x-amzn-errortype': 'UnrecognizedClientException' }),
  )
  await assert.rejects(openai.chat.completions.create(ask), { status: 502, code: 'upstream_refused' })
})

test('responses of Bedrock bring back what was thought', async () => {
  const thought = { reasoningContent: { reasoningText: { text: 'Hm.', signature: 'EqsBCkgI' } } }
  upstream.answer(says(thought, { text: 'Hello.' }))
  const input = [{ role: 'user' as const, content: 'Hi' }]
  const first = await openai.responses.create({ model: ask.model, input })
  assert.equal(first.output_text, 'Hello.')
  await openai.responses.create({ model: ask.model, input: [...input, ...(first.output as []), ...input] })
  const { messages } = (upstream.got.at(-1)?.body ?? {}) as { messages: { content: object[] }[] }
  assert.deepEqual(messages[1]?.content, [thought, { text: 'Hello.' }])
})

test('many texts are embedded one after the other where the model takes one', async () => {
  const asked = upstream.got.length
  upstream.answer((response, got) => {
    const embedding = [String(got.body.inputText).length, 0]
    return json({ embedding, inputTextTokenCount: 2 })(response, got)
  })
  const vectors = await openai.embeddings.create({
    model: 'aws/amazon.titan-embed-text-v2:0',
    input: ['a', 'bb', 'ccc'],
    encoding_format: 'float',
  })
  assert.deepEqual(
    vectors.data.map(({ embedding }) => embedding[0]),
    [1, 2, 3],
  )
  assert.equal(vectors.usage.prompt_tokens, 6)
  assert.equal(upstream.got.length, asked + 3)
})

test('a key is tested on entry by both lists of models, and a refused one is not taken', async () => {
  const profiles = { inferenceProfileSummaries: [{ inferenceProfileId: CLAUDE, type: 'SYSTEM_DEFINED' }] }
  const models = { modelSummaries: [{ modelId: 'amazon.nova-pro-v1:0', inferenceTypesSupported: ['ON_DEMAND'] }] }
  upstream.answer((response, got) => json(got.url.startsWith('/inference-profiles') ? profiles : models)(response, got))
  const made = await alice.gateway.providers.create({ ...provider, name: 'aws2', key: KEY })
  assert.equal(made.test_status, 'success')
  const test = await alice.gateway.providers.test({ provider_id: made.id })
  assert.deepEqual(test.models, ['amazon.nova-pro-v1:0', CLAUDE])
  const got = upstream.got.at(-1)
  assert.ok(got)
  assert.equal(got.url, '/inference-profiles?maxResults=1000')
  assert.equal(got.headers.authorization, await signatureOf(got, 'GET', ''))

  upstream.answer(
    json({ message: 'The security token is invalid.' }, 403, { 'x-amzn-errortype': 'UnrecognizedClientException' }),
  )
  await assert.rejects(alice.gateway.providers.create({ ...provider, name: 'aws3', key: KEY }), /refuses the key/)
  await assert.rejects(
    alice.gateway.providers.create({ ...provider, name: 'aws4', key: KEY, options: {} }),
    /region|needs it/,
  )
})

test('an API key of Bedrock goes into its header', async () => {
  await alice.gateway.providers.create({ ...provider, name: 'bearer', key: 'ABSKexample=', skip_test: true })
  upstream.answer(says({ text: 'Hi.' }))
  await openai.chat.completions.create({ ...ask, model: `bearer/${CLAUDE}` })
  assert.equal(upstream.got.at(-1)?.headers.authorization, 'Bearer ABSKexample=')
})
