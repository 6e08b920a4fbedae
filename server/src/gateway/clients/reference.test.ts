/** What the data plane puts on the wire, against the fields of OpenAI's published reference. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { z } from 'zod'
import { newOrganization, testFlow } from '../../testing.ts'
import { PREFIX } from '../front/front.ts'
import { assertReference, eventsOf } from '../mouths/reference-testing.ts'

const { fetch } = await testFlow()
const { admin } = await newOrganization()
const openai = new OpenAI({
  apiKey: admin.api_key,
  baseURL: `http://flow.test${PREFIX}`,
  maxRetries: 0,
  fetch: (url, init) => fetch(new Request(url as string, init as RequestInit)),
})

const scripts = {
  'a text': { say: 'It is sunny in Rome.' },
  'no text': {},
  reasoning: { think: 'Let me see.', say: 'Yes.' },
  'tool calls': { calls: [{ name: 'weather', arguments: { city: 'Rome' } }, { name: 'time' }] },
  'a text with tool calls': { say: 'I will look.', calls: [{ name: 'weather', arguments: { city: 'Rome' } }] },
  'a filtered text': { say: 'Well', finish: 'content_filter' },
}
const body = (script: object, more: object) => ({
  model: 'flow/scripted',
  messages: [{ role: 'user', content: JSON.stringify(script) }],
  ...more,
})
const ask = (body: object, path = '/chat/completions') =>
  fetch(`${PREFIX}${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { authorization: `Bearer ${admin.api_key}`, 'content-type': 'application/json' },
  })

for (const [name, script] of Object.entries(scripts)) {
  test(`${name}: the answer and every chunk have the fields of the reference`, async () => {
    for (const n of [1, 2]) {
      const whole = await (await ask(body(script, { n }))).json()
      assertReference('chat.answer', whole)

      for (const include_usage of [true, false]) {
        const response = await ask(body(script, { n, stream: true, stream_options: { include_usage } }))
        const events = eventsOf(await response.text())
        assert.equal(events.at(-1)?.data, '[DONE]')
        const chunks = events.slice(0, -1).map(({ data }) => JSON.parse(data))
        for (const chunk of chunks) assertReference('chat.chunk', chunk)
        const choices = chunks.flatMap((chunk) => chunk.choices)
        for (let index = 0; index < n; index += 1) {
          const own = choices.filter((choice: { index: number }) => choice.index === index)
          assert.deepEqual(own.map(({ delta }: { delta: object }) => 'role' in delta).indexOf(true), 0)
          assert.equal(own.filter(({ delta }: { delta: object }) => 'role' in delta).length, 1)
          const finishes = own.flatMap((choice: { finish_reason: unknown }) => choice.finish_reason ?? [])
          assert.equal(finishes.length, 1)
          assert.equal(own.at(-1)?.finish_reason, finishes[0])
        }
        const told = chunks.filter((chunk) => chunk.usage)
        assert.equal(told.length, include_usage ? 1 : 0)
        if (include_usage) assert.deepEqual(chunks.at(-1)?.choices, [])
      }
    }
  })
}

test('vectors, models and refusals have the fields of the reference', async () => {
  for (const encoding_format of ['float', 'base64']) {
    const vectors = await ask({ model: 'flow/hash-embedding-384', input: ['a', 'b'], encoding_format }, '/embeddings')
    assertReference('embeddings.answer', await vectors.json())
  }
  const models = await fetch(`${PREFIX}/models`, { headers: { authorization: `Bearer ${admin.api_key}` } })
  assertReference('models.list', await models.json())
  assertReference('error', await (await ask({ model: 'flow/nothing', messages: [] })).json())
})

test('a structured output is parsed by the client', async () => {
  const Weather = z.object({ city: z.string(), degrees: z.number() })
  const script = { say: JSON.stringify({ city: 'Rome', degrees: 21 }) }
  const completion = await openai.chat.completions.parse({
    model: 'flow/scripted',
    messages: [{ role: 'user', content: JSON.stringify(script) }],
    response_format: zodResponseFormat(Weather, 'weather'),
  })
  assert.deepEqual(completion.choices[0]?.message.parsed, { city: 'Rome', degrees: 21 })
})

test('the client runs tools over several turns', async () => {
  const script = [{ calls: [{ name: 'weather', arguments: { city: 'Rome' } }] }, { say: 'Sunny, 21 degrees.' }]
  const asked: string[] = []
  const runner = openai.chat.completions.runTools({
    model: 'flow/scripted',
    messages: [{ role: 'user', content: JSON.stringify(script) }],
    tools: [
      {
        type: 'function',
        function: {
          name: 'weather',
          description: 'The weather of a city.',
          parameters: { type: 'object', properties: { city: { type: 'string' } } },
          parse: (text: string) => JSON.parse(text) as { city: string },
          function: ({ city }: { city: string }) => {
            asked.push(city)
            return 'sunny, 21'
          },
        },
      },
    ],
  })
  assert.equal(await runner.finalContent(), 'Sunny, 21 degrees.')
  assert.deepEqual(asked, ['Rome'])
})
