import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HASH_DIMENSIONS, hashEmbedding } from './flow-embedding.ts'
import { BadScript, stepOf } from './flow-script.ts'

test('a script has a step for each turn, and its last one goes on', () => {
  const script = JSON.stringify([{ say: 'one' }, { say: 'two' }])
  assert.deepEqual(
    [0, 1, 5].map((turn) => stepOf(script, turn, 1).say),
    ['one', 'two', 'two'],
  )
})

test('a step may differ by the attempt', () => {
  const script = JSON.stringify({ attempts: [{ status: 503 }, { say: 'at last' }] })
  assert.deepEqual(
    [1, 2, 3].map((attempt) => stepOf(script, 0, attempt).status),
    [503, 200, 200],
  )
})

test('lines say the same as JSON', () => {
  const lines = 'think Easy.\ncall weather {"city":"Rome"}\ndelay 20\n---\nIt is sunny.\nAnd warm.'
  const json = JSON.stringify([
    { think: 'Easy.', calls: [{ name: 'weather', arguments: { city: 'Rome' } }], delay_ms: 20 },
    { say: 'It is sunny.\nAnd warm.' },
  ])
  for (const turn of [0, 1]) assert.deepEqual(stepOf(lines, turn, 1), stepOf(json, turn, 1))
})

test('what a script cannot mean is refused in a sentence', () => {
  for (const script of [
    '{"say":',
    '{"sya":"x"}',
    '[1]',
    '{"delay_ms":-1}',
    '{"delay_ms":"x"}',
    '{"calls":[{}]}',
    '[]',
  ]) {
    assert.throws(() => stepOf(script, 0, 1), BadScript, script)
  }
})

test('the same text has the same vector of length 1, and shared words bring texts near', () => {
  const dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0)
  const texts = ['The invoice is overdue', 'Overdue invoices', 'A cat on the roof', '', '日本語の文書']
  for (const text of texts) {
    const vector = hashEmbedding(text)
    assert.equal(vector.length, HASH_DIMENSIONS)
    assert.deepEqual(vector, hashEmbedding(text))
    assert.ok(Math.abs(dot(vector, vector) - 1) < 1e-9, text)
  }
  const [a, b, c] = texts.map(hashEmbedding)
  assert.ok(a && b && c && dot(a, b) > dot(a, c) + 0.2)
  // Known for ever: an index made today is searched tomorrow.
  const places = hashEmbedding('flow').flatMap((x, i) => (x === 0 ? [] : [i]))
  assert.deepEqual(places, [6, 49, 86, 185, 254])
})
