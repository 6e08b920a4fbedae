/** OpenAI's client and a provider that speaks another format, with a real one over a socket. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import OpenAI from 'openai'
import { listen } from '../../http/listen.ts'
import { newOrganization, testFlow } from '../../testing.ts'
import { type Answer, openUpstream, streams } from '../call/upstream-testing.ts'

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
const openai = new OpenAI({
  apiKey: admin.api_key,
  baseURL: `http://127.0.0.1:${listening.port}/api/v1/gateway/v1`,
  maxRetries: 0,
})

const usageMetadata = { promptTokenCount: 5, candidatesTokenCount: 4, totalTokenCount: 9 }
const piece = (text: string, more: object = {}) => ({
  candidates: [{ index: 0, content: { role: 'model', parts: [{ text }] }, ...more }],
  modelVersion: 'gemini-test',
  responseId: 'r',
})
const event = (value: object) => `data: ${JSON.stringify(value)}\r\n\r\n`
const whole: Answer = (response) =>
  response
    .writeHead(200, { 'content-type': 'application/json; charset=UTF-8' })
    .end(JSON.stringify({ ...piece('Guten Tag.', { finishReason: 'STOP' }), usageMetadata }))
const ask = { model: 'google/gemini-test', messages: [{ role: 'user' as const, content: 'Hello' }] }

test('a whole answer is translated there and back, and what could not be told is named', async () => {
  upstream.answer(whole)
  const { data, response } = await openai.chat.completions
    .create({ ...ask, max_tokens: 50, logit_bias: { '1': 5 } })
    .withResponse()
  assert.equal(data.choices[0]?.message.content, 'Guten Tag.')
  assert.equal(data.model, 'google/gemini-test')
  assert.deepEqual([data.usage?.prompt_tokens, data.usage?.completion_tokens], [5, 4])
  assert.match(response.headers.get('x-flow-dropped') ?? '', /logit_bias/)
  const [got] = upstream.got
  assert.equal(got?.url, '/v1beta/models/gemini-test:generateContent')
  assert.equal(got?.headers['x-goog-api-key'], 'goog-secret')
  assert.equal(got?.headers.authorization, undefined)
})

test('what could not be told of messages, tools and the answer’s form is named as each format calls it', async () => {
  upstream.answer(whole)
  const image_url = { url: 'data:image/png;base64,AA==', detail: 'low' as const }
  const file = { file_data: 'data:application/pdf;base64,AA==', filename: 'a.pdf' }
  const schema = { type: 'object', properties: {} }
  const { response } = await openai.chat.completions
    .create({
      ...ask,
      messages: [
        { role: 'user', name: 'zoe', content: [{ type: 'image_url', image_url }] },
        { role: 'user', name: 'yan', content: [{ type: 'file', file }] },
      ],
      response_format: { type: 'json_schema', json_schema: { name: 'x', description: 'The weather.', schema } },
      user: 'u',
    })
    .withResponse()
  assert.deepEqual(response.headers.get('x-flow-dropped')?.split(', ').sort(), [
    'messages[].content[].file.filename',
    'messages[].content[].image_url.detail',
    'messages[].name',
    'response_format.json_schema.description',
    'user',
  ])

  const { response: other } = await openai.responses
    .create({
      model: 'google/gemini-2.5-flash',
      input: [
        {
          role: 'user',
          content: [
            { type: 'input_image', image_url: image_url.url, detail: 'low' },
            { type: 'input_file', ...file },
          ],
        },
      ],
      text: { format: { type: 'json_schema', name: 'x', schema } },
      tools: [{ type: 'function', name: 'look', parameters: schema, strict: true }],
      safety_identifier: 's',
    })
    .withResponse()
  assert.deepEqual(other.headers.get('x-flow-dropped')?.split(', ').sort(), [
    'input[].content[].detail',
    'input[].content[].filename',
    'safety_identifier',
    'text.format',
  ])
})

test('a stream is translated event by event, wherever it is cut', async () => {
  const bytes = Buffer.from(
    event(piece('Grüß ')) + event(piece('Gott 😀')) + event({ ...piece('', { finishReason: 'STOP' }), usageMetadata }),
  )
  for (const size of [1, 7, bytes.length]) {
    const cut = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size),
    )
    upstream.answer(streams(...cut))
    const stream = await openai.chat.completions.create({
      ...ask,
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks = await Array.fromAsync(stream)
    assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join(''), 'Grüß Gott 😀')
    assert.equal(chunks.filter(({ choices }) => choices[0]?.finish_reason === 'stop').length, 1)
    assert.equal(chunks.at(-1)?.usage?.total_tokens, 9)
  }
})

test('a stream that ends too early, or in the middle of a word, ends with an error', async () => {
  for (const rest of ['', 'data: {"candi']) {
    upstream.answer(streams(event(piece('Grüß ')), rest))
    const stream = await openai.chat.completions.create({ ...ask, stream: true })
    let said = ''
    await assert.rejects(async () => {
      for await (const chunk of stream) said += chunk.choices[0]?.delta.content ?? ''
    }, OpenAI.APIError)
    assert.equal(said, 'Grüß ')
  }
})

test('an event that cannot be read ends the stream behind what was said', async () => {
  upstream.answer(streams(`${event(piece('Grüß '))}data: {"candi\r\n\r\n`))
  const stream = await openai.chat.completions.create({ ...ask, stream: true })
  let said = ''
  await assert.rejects(async () => {
    for await (const chunk of stream) said += chunk.choices[0]?.delta.content ?? ''
  }, OpenAI.APIError)
  assert.equal(said, 'Grüß ')
})

test('a wrong request is refused before the provider is asked', async () => {
  const asked = upstream.got.length
  const wrong = { ...ask, messages: [{ role: 'wizard', content: 'x' }] } as unknown as typeof ask
  await assert.rejects(openai.chat.completions.create(wrong), { status: 400, param: 'messages[0].role' })
  assert.equal(upstream.got.length, asked)
})

test('a provider’s refusal is told in OpenAI’s words', async () => {
  const error = { code: 429, message: 'Resource has been exhausted', status: 'RESOURCE_EXHAUSTED' }
  upstream.answer((response) =>
    response.writeHead(429, { 'content-type': 'application/json' }).end(JSON.stringify({ error })),
  )
  await assert.rejects(openai.chat.completions.create(ask), OpenAI.RateLimitError)
})
