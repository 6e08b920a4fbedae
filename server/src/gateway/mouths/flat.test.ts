/** Embeddings and rerank: what is read, refused and told. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import OpenAI from 'openai'
import { embeddings } from './embeddings.ts'
import { about, chance, faultOf, fetchOf, usage } from './mouths-testing.ts'
import { assertReference } from './reference-testing.ts'
import { rerank } from './rerank.ts'

const refused = (read: () => unknown) => {
  const { status, param, code, message } = faultOf(read)
  assert.equal(status, 400)
  assert.ok(message)
  return [param, code]
}

test('texts and token ids are read, one or many', () => {
  const inputOf = (input: unknown) => embeddings.read({ model: 'm', input: input as string }).input
  assert.deepEqual(inputOf('a'), ['a'])
  assert.deepEqual(inputOf(['a', 'b']), ['a', 'b'])
  assert.deepEqual(inputOf([1, 2]), [[1, 2]])
  assert.deepEqual(inputOf([[1], [2, 3]]), [[1], [2, 3]])
})

test('what else is asked of vectors is read, and what only a provider knows is kept for it', () => {
  const asked = { dimensions: 8, encoding_format: 'base64', user: 'u', input_type: 'search_query' }
  assert.deepEqual(embeddings.read({ model: 'm', input: 'a', ...asked, truncate: 'END', extra: null }), {
    model: 'm',
    input: ['a'],
    ...asked,
    others: { truncate: 'END' },
  })
})

test('an input that is none is refused with its place', () => {
  const at = (more: object) => refused(() => embeddings.read({ model: 'm', input: 'a', ...more }))
  assert.deepEqual(at({ input: undefined }), ['input', 'missing_required_parameter'])
  assert.deepEqual(at({ input: {} }), ['input', 'invalid_type'])
  assert.deepEqual(at({ input: [] }), ['input', 'empty_array'])
  assert.deepEqual(at({ input: '' }), ['input', 'empty_string'])
  assert.deepEqual(at({ input: ['a', ''] }), ['input[1]', 'empty_string'])
  assert.deepEqual(at({ input: ['a', 1] }), ['input[1]', 'invalid_type'])
  assert.deepEqual(at({ input: [[1], 'a'] }), ['input[1]', 'invalid_type'])
  assert.deepEqual(at({ input: [[1], []] }), ['input[1]', 'empty_array'])
  assert.deepEqual(at({ input: [1, 1.5] }), ['input[1]', 'invalid_type'])
  assert.deepEqual(at({ input: new Array(2049).fill('a') }), ['input', 'array_above_max_length'])
  assert.deepEqual(at({ dimensions: 0 }), ['dimensions', 'integer_below_min_value'])
  assert.deepEqual(at({ encoding_format: 'hex' }), ['encoding_format', 'invalid_value'])
})

test('OpenAI’s client reads the same vectors, told as numbers or as base64', async () => {
  const random = chance(3)
  const vectors = Array.from({ length: 3 }, () => Array.from({ length: 7 }, () => Math.fround(random() - 0.5)))
  for (const encoding_format of ['float', 'base64', undefined] as const) {
    const request = embeddings.read({
      model: 'm',
      input: ['a', 'b', 'c'],
      encoding_format: encoding_format ?? 'base64',
    })
    const told = embeddings.answer({ model: 'm', vectors, usage }, request, about)
    assertReference('embeddings.answer', told)
    const openai = new OpenAI({ apiKey: 'k', baseURL: 'http://flow.test/v1', fetch: fetchOf(told) })
    const { data } = await openai.embeddings.create({
      model: 'm',
      input: 'a',
      ...(encoding_format && { encoding_format }),
    })
    const read = data.map(({ embedding }) => embedding as number[] | string)
    const numbers = read.map((one) =>
      typeof one === 'string' ? [...new Float32Array(new Uint8Array(Buffer.from(one, 'base64')).buffer)] : one,
    )
    assert.deepEqual(numbers, vectors)
  }
})

test('documents are texts, or objects with a text', () => {
  assert.deepEqual(
    rerank.read({
      model: 'm',
      query: 'q',
      documents: ['a', { text: 'b', id: 1 }],
      top_n: 1,
      return_documents: true,
      max_tokens_per_doc: 9,
    }),
    {
      model: 'm',
      query: 'q',
      documents: ['a', 'b'],
      top_n: 1,
      return_documents: true,
      others: { max_tokens_per_doc: 9 },
    },
  )
})

test('a ranking that cannot be made is refused with its place', () => {
  const at = (more: object) => refused(() => rerank.read({ model: 'm', query: 'q', documents: ['a'], ...more }))
  assert.deepEqual(at({ query: undefined }), ['query', 'missing_required_parameter'])
  assert.deepEqual(at({ query: '' }), ['query', 'empty_string'])
  assert.deepEqual(at({ documents: undefined }), ['documents', 'missing_required_parameter'])
  assert.deepEqual(at({ documents: 'a' }), ['documents', 'invalid_type'])
  assert.deepEqual(at({ documents: [] }), ['documents', 'empty_array'])
  assert.deepEqual(at({ documents: ['a', 5] }), ['documents[1]', 'invalid_type'])
  assert.deepEqual(at({ documents: [{ title: 'a' }] }), ['documents[0].text', 'missing_required_parameter'])
  assert.deepEqual(at({ documents: new Array(10_001).fill('a') }), ['documents', 'array_above_max_length'])
  assert.deepEqual(at({ top_n: 0 }), ['top_n', 'integer_below_min_value'])
  assert.deepEqual(at({ return_documents: 'yes' }), ['return_documents', 'invalid_type'])
})

test('a ranking has Cohere’s and Jina’s fields, no more of the best than were asked for, and texts only when asked for', () => {
  const results = [
    { index: 1, score: 0.9 },
    { index: 0, score: 0.1 },
  ]
  const given = { id: '', model: 'm', results, usage: { ...usage, output: 0 } }
  const documents = ['a', 'b']
  const plain = rerank.answer(given, rerank.read({ model: 'm', query: 'q', documents, top_n: 1 }), about)
  assertReference('rerank.answer', plain)
  assert.deepEqual(plain.results, [{ index: 1, relevance_score: 0.9 }])
  const whole = rerank.answer(given, rerank.read({ model: 'm', query: 'q', documents, return_documents: true }), about)
  assertReference('rerank.answer', whole)
  assert.deepEqual(whole.results, [
    { index: 1, relevance_score: 0.9, document: { text: 'b' } },
    { index: 0, relevance_score: 0.1, document: { text: 'a' } },
  ])
})
