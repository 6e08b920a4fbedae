import assert from 'node:assert/strict'
import { test } from 'node:test'
import OpenAI from 'openai'
import type { ChatAnswer, Logprobs } from '../hub.ts'
import { completions } from './completions.ts'
import { about, chunkOf, faultOf, fetchOf, said, streamOf, tellAtRandom, usage } from './mouths-testing.ts'
import { assertReference, eventsOf } from './reference-testing.ts'

const body = { model: 'acme/large', prompt: 'Once upon' }
const read = (more: object = {}) => completions.read({ ...body, ...more })
const refused = (more: object) => {
  const { status, param, code } = faultOf(() => read(more))
  assert.equal(status, 400)
  return [param, code]
}
const clientOf = (answer: Parameters<typeof fetchOf>[0]) =>
  new OpenAI({ apiKey: 'k', baseURL: 'http://flow.test/v1', maxRetries: 0, fetch: fetchOf(answer) })

test('a prompt is what a user says, and no more is written than OpenAI’s default', () => {
  assert.deepEqual(read(), {
    model: 'acme/large',
    messages: [{ role: 'user', content: 'Once upon' }],
    mouth: 'completions',
    max_completion_tokens: 16,
  })
  assert.deepEqual(read({ prompt: ['One'] }).messages, [{ role: 'user', content: 'One' }])
})

test('all that has a meaning in a chat is read', () => {
  const given = {
    max_tokens: 50,
    temperature: 0.5,
    top_p: 0.9,
    n: 2,
    best_of: 2,
    stop: '.',
    seed: 7,
    presence_penalty: 1,
    frequency_penalty: -1,
    logit_bias: { '50256': -100 },
    logprobs: 3,
    user: 'u',
    stream: true,
    stream_options: { include_usage: true },
    guided_regex: 'x',
  }
  const { max_tokens, best_of, stop, logprobs, guided_regex, ...same } = given
  assert.deepEqual(read(given), {
    ...same,
    model: 'acme/large',
    messages: [{ role: 'user', content: 'Once upon' }],
    mouth: 'completions',
    max_completion_tokens: max_tokens,
    stop: [stop],
    logprobs: true,
    top_logprobs: logprobs,
    others: { guided_regex },
  })
})

test('what cannot be told a model that chats is refused by name', () => {
  assert.deepEqual(refused({ prompt: undefined }), ['prompt', 'missing_required_parameter'])
  assert.deepEqual(refused({ prompt: 5 }), ['prompt', 'invalid_type'])
  assert.deepEqual(refused({ prompt: [] }), ['prompt', 'empty_array'])
  assert.deepEqual(refused({ prompt: [{}] }), ['prompt[0]', 'invalid_type'])
  for (const prompt of [
    ['a', 'b'],
    [1, 2],
    [[1], [2]],
  ]) {
    assert.deepEqual(refused({ prompt }), ['prompt', 'unsupported_parameter'])
  }
  assert.deepEqual(refused({ echo: true }), ['echo', 'unsupported_parameter'])
  assert.deepEqual(refused({ suffix: 'The end.' }), ['suffix', 'unsupported_parameter'])
  assert.deepEqual(refused({ best_of: 3 }), ['best_of', 'unsupported_parameter'])
  assert.deepEqual(refused({ n: 3, best_of: 2 }), ['best_of', 'invalid_value'])
  assert.deepEqual(refused({ logprobs: 6 }), ['logprobs', 'integer_above_max_value'])
  assert.deepEqual(refused({ logprobs: true }), ['logprobs', 'invalid_type'])
  assert.deepEqual(refused({ max_tokens: 0 }), ['max_tokens', 'integer_below_min_value'])
  assert.deepEqual(refused({ temperature: 3 }), ['temperature', 'decimal_above_max_value'])
  assert.deepEqual(refused({ stop: ['a', 'b', 'c', 'd', 'e'] }), ['stop', 'array_above_max_length'])
  assert.deepEqual(refused({ stream_options: {} })[0], 'stream_options')
  read({ echo: false, suffix: '', best_of: 1 })
})

const token = (text: string, logprob: number, other: string) => ({
  token: text,
  logprob,
  bytes: null,
  top_logprobs: [
    { token: text, logprob, bytes: null },
    { token: other, logprob: -5, bytes: null },
  ],
})
const logprobs: Logprobs = { content: [token(' a', -0.5, ' the'), token(' 🦊', -1, ' dog')], refusal: null }

test('an answer has the fields of the reference, with likelihoods behind the prompt', () => {
  const given: ChatAnswer = {
    id: 'x',
    created: 1,
    model: 'm',
    choices: [
      { index: 0, message: { content: ' a 🦊', refusal: null }, finish_reason: 'stop', logprobs },
      { index: 1, message: { content: null, refusal: null }, finish_reason: 'tool_calls' },
    ],
    usage,
  }
  const told = completions.answer(given, read({ n: 2 }), about)
  assertReference('completions.answer', told)
  const [first, second] = told.choices as { logprobs: object; finish_reason: string; text: string }[]
  assert.deepEqual(first?.logprobs, {
    tokens: [' a', ' 🦊'],
    token_logprobs: [-0.5, -1],
    top_logprobs: [
      { ' a': -0.5, ' the': -5 },
      { ' 🦊': -1, ' dog': -5 },
    ],
    text_offset: [9, 11],
  })
  assert.deepEqual([second?.finish_reason, second?.text], ['stop', ''])
})

test('OpenAI’s client puts every stream together to the answer that was meant', async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const told = tellAtRandom(seed, { choices: 1 + (seed % 3), reasons: seed % 2 === 0 })
    const request = read({ stream: true, stream_options: { include_usage: true } })
    const text = streamOf(completions, request, told.chunks)
    const events = eventsOf(text)
    assert.equal(events.at(-1)?.data, '[DONE]')
    for (const { data } of events.slice(0, -1)) assertReference('completions.chunk', JSON.parse(data))

    const stream = await clientOf(text).completions.create({ model: 'm', prompt: 'p', stream: true })
    const texts = new Map<number, string>()
    const ends = new Map<number, string>()
    let total = 0
    for await (const chunk of stream) {
      total = chunk.usage?.total_tokens ?? total
      for (const choice of chunk.choices) {
        assert.ok(!ends.has(choice.index), 'nothing follows the end of a choice')
        texts.set(choice.index, (texts.get(choice.index) ?? '') + choice.text)
        if (choice.finish_reason) ends.set(choice.index, choice.finish_reason)
      }
    }
    for (const { index, message } of told.answer.choices) assert.equal(texts.get(index) ?? '', message.content ?? '')
    assert.equal(ends.size, told.answer.choices.length)
    assert.equal(total, usage.input + usage.output)
  }
})

test('usage is told only when it was asked for', () => {
  const text = streamOf(completions, read({ stream: true }), [
    said({ content: 'x' }),
    said({}, 'stop'),
    { ...chunkOf([]), usage },
  ])
  assert.ok(!text.includes('usage'))
})

test('likelihoods of a stream stand where their text does, each choice by itself', () => {
  const step = (index: number) => ({ index, delta: { content: ' a 🦊' }, finish_reason: null, logprobs })
  const chunks = [step(0), step(1), step(0)].map((choice) => chunkOf([choice]))
  const events = eventsOf(streamOf(completions, read({ stream: true }), chunks)).slice(0, -1)
  const offsets = events.map(({ data }) => JSON.parse(data).choices[0].logprobs.text_offset)
  assert.deepEqual(offsets, [
    [9, 11],
    [9, 11],
    [13, 15],
  ])
})

test('a stream that breaks ends with an error that the client throws', async () => {
  const writer = completions.stream(read({ stream: true }), about)
  const text =
    writer.chunk(said({ content: 'x' })) + writer.fail({ status: 502, type: 'api_error', code: null, message: 'broke' })
  const stream = await clientOf(text).completions.create({ model: 'm', prompt: 'p', stream: true })
  await assert.rejects(Array.fromAsync(stream), /broke/)
})
