import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExpressionFault } from './cel.ts'
import { compileJsonSchema } from './json-schema.ts'

test('a value that does not fit is told where and why', () => {
  const check = compileJsonSchema({
    type: 'object',
    required: ['csv'],
    additionalProperties: false,
    properties: {
      csv: { type: 'string', minLength: 1 },
      limit: { type: 'integer', maximum: 10 },
      mode: { enum: ['a', 'b'] },
    },
  })
  assert.deepEqual(check({ csv: 'x' }), [])
  assert.deepEqual(check({}), [{ place: '', message: "must have required property 'csv'" }])
  assert.deepEqual(check({ csv: 'x', limit: 11 }), [{ place: '/limit', message: 'must be <= 10' }])
  assert.deepEqual(check({ csv: 'x', more: 1 }), [
    { place: '', message: 'must NOT have additional properties ("more")' },
  ])
  assert.deepEqual(check({ csv: 'x', mode: 'c' }), [
    { place: '/mode', message: 'must be equal to one of the allowed values (["a","b"])' },
  ])
})

test('what is no schema is refused with the reason', () => {
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ type: 'strin' }, /not a JSON Schema/],
    [{ $ref: 'https://example.com/schema.json' }, /not a JSON Schema: can't resolve reference/],
    [{ pattern: '(?=a)' }, /RE2/],
    [{ description: 'x'.repeat(70_000) }, /64 KiB/],
    [Array.from({ length: 60 }).reduce<Record<string, unknown>>((inner) => ({ not: inner }), {}), /deeply/],
  ]
  for (const [schema, sentence] of cases) {
    assert.throws(
      () => compileJsonSchema(schema),
      (error) => error instanceof ExpressionFault && sentence.test(error.message),
      JSON.stringify(schema).slice(0, 60),
    )
  }
})

test('no schema holds the thread', () => {
  const deep = Array.from({ length: 60 }).reduce((inner) => ({ a: inner }), {})
  const twice = { properties: { a: { $ref: '#' } }, required: ['never'] }
  assert.match(
    compileJsonSchema({ anyOf: [twice, { ...twice, title: 'again' }] })(deep)[0]?.message ?? '',
    /too large|must/,
  )
  const many = Array.from({ length: 100_000 }, (_, i) => ({ i }))
  assert.deepEqual(compileJsonSchema({ type: 'array', uniqueItems: true })(many), [])
  assert.equal(
    compileJsonSchema({ type: 'array', uniqueItems: true })([
      { a: 1, b: 2 },
      { b: 2, a: 1 },
    ]).length,
    1,
  )
  assert.equal(compileJsonSchema({ pattern: '^(a+)+$' })(`${'a'.repeat(100_000)}b`).length, 1)
})

test('schemas of strangers do not meet: the same id twice is no fault', () => {
  const first = compileJsonSchema({ $id: 'https://example.com/thing', type: 'string' })
  const second = compileJsonSchema({ $id: 'https://example.com/thing', type: 'number' })
  assert.deepEqual([first('x').length, first(1).length, second('x').length, second(1).length], [0, 1, 1, 0])
})

test('every fault is told at its own place, where that is wished for', () => {
  const check = compileJsonSchema(
    {
      type: 'object',
      properties: { rows: { type: 'array', items: { required: ['a/b'] } }, n: { type: 'number' } },
      required: ['n', 'm'],
      additionalProperties: false,
    },
    { tells_all: true },
  )

  assert.deepEqual(
    check({ rows: [{}], n: 'one', other: 1 })
      .map(({ place, message }) => `${place} ${message}`)
      .sort(),
    ['/m is required', '/n must be number', '/other is not asked for', '/rows/0/a~1b is required'],
  )
})
