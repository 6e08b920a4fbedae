import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eachOf, fieldOf, secretFieldsOf } from './secret-fields.ts'

const secret = { type: 'string', 'x-secret': true }

const hidden = (schema: Record<string, unknown>, value: unknown): unknown => secretFieldsOf(schema)?.(value)

test('a schema without a mark marks nothing, and costs nothing', () => {
  assert.equal(secretFieldsOf({ type: 'object', properties: { a: { type: 'string', format: 'email' } } }), undefined)
})

test('a field is secret by "writeOnly", by "x-secret", or by the format "password"', () => {
  const properties = {
    a: { writeOnly: true },
    b: { 'x-secret': true },
    c: { format: 'password' },
    d: { writeOnly: false },
  }

  assert.deepEqual(hidden({ properties }, { a: 1, b: { deep: [1] }, c: 'text', d: 'told', e: 'told' }), {
    a: '[secret]',
    b: '[secret]',
    c: '[secret]',
    d: 'told',
    e: 'told',
  })
})

test('each secret is shown to whoever looks for it elsewhere', () => {
  const found: unknown[] = []
  secretFieldsOf({ properties: { a: secret, b: { items: secret } } })?.({ a: 'x', b: ['y', 'z'], c: 1 }, (one) =>
    found.push(one),
  )

  assert.deepEqual(found, ['x', 'y', 'z'])
})

const places: [name: string, schema: Record<string, unknown>, value: unknown, told: unknown][] = [
  ['the whole value', secret, 'x', '[secret]'],
  ['items of a list', { items: { properties: { a: secret } } }, [{ a: 1 }, { b: 2 }], [{ a: '[secret]' }, { b: 2 }]],
  ['items by their place', { prefixItems: [{}, secret], items: {} }, [1, 2, 3], [1, '[secret]', 3]],
  ['items behind the placed ones', { prefixItems: [{}], items: secret }, [1, 2], [1, '[secret]']],
  ['items that others have not evaluated', { prefixItems: [{}], unevaluatedItems: secret }, [1, 2], [1, '[secret]']],
  [
    'fields by a pattern of their name',
    { patternProperties: { _key$: secret } },
    { a_key: 1, b: 2 },
    { a_key: '[secret]', b: 2 },
  ],
  [
    'all other fields',
    { properties: { a: {} }, additionalProperties: secret },
    { a: 1, b: 2 },
    { a: 1, b: '[secret]' },
  ],
  [
    'fields that no branch has evaluated',
    { allOf: [{ properties: { a: {} } }], unevaluatedProperties: secret },
    { a: 1, b: 2 },
    { a: 1, b: '[secret]' },
  ],
  ['any branch', { anyOf: [{ properties: { a: {} } }, { properties: { a: secret } }] }, { a: 1 }, { a: '[secret]' }],
  ['a condition', { if: { required: ['b'] }, else: { properties: { a: secret } } }, { a: 1 }, { a: '[secret]' }],
  ['a dependent schema', { dependentSchemas: { b: { properties: { a: secret } } } }, { a: 1 }, { a: '[secret]' }],
  [
    'a definition',
    { properties: { a: { $ref: '#/$defs/x~1y' } }, $defs: { 'x/y': secret } },
    { a: 1 },
    { a: '[secret]' },
  ],
  [
    'an anchor',
    { properties: { a: { $ref: '#here' } }, $defs: { x: { ...secret, $anchor: 'here' } } },
    { a: 1 },
    { a: '[secret]' },
  ],
  [
    'a schema that refers to itself',
    { properties: { a: secret, next: { $ref: '#' } } },
    { a: 1, next: { a: 2, next: { b: 3 } } },
    { a: '[secret]', next: { a: '[secret]', next: { b: 3 } } },
  ],
  [
    'a reference that cannot be followed',
    { properties: { a: { $ref: 'https://x.invalid/y' }, b: secret } },
    { a: 1 },
    { a: '[secret]' },
  ],
]
for (const [name, schema, value, told] of places) {
  test(`a mark counts at ${name}`, () => assert.deepEqual(hidden(schema, value), told))
}

test('references in a circle come to an end', () => {
  const schema = {
    $ref: '#/$defs/a',
    $defs: { a: { anyOf: [{ $ref: '#/$defs/b' }] }, b: { $ref: '#/$defs/a', ...{ properties: { c: secret } } } },
  }

  assert.deepEqual(hidden(schema, { c: 1, d: 2 }), { c: '[secret]', d: 2 })
})

test('a value that would take too long to look through is a secret as a whole', () => {
  const schema = { allOf: Array.from({ length: 1000 }, () => ({ items: {} })), properties: { a: secret } }
  const told = hidden(
    schema,
    Array.from({ length: 10_000 }, () => 'open'),
  )

  assert.ok(Array.isArray(told))
  assert.equal(told.at(-1), '[secret]')
})

test('secrets are found in each of many, and in one field', () => {
  const fields = secretFieldsOf({ properties: { a: secret } })
  assert.ok(fields)

  assert.deepEqual(eachOf(fields)([{ a: 1 }, null]), [{ a: '[secret]' }, null])
  assert.deepEqual(fieldOf('body', fields)({ body: { a: 1 }, query: { a: 1 } }), {
    body: { a: '[secret]' },
    query: { a: 1 },
  })
  assert.deepEqual(fieldOf('body', fields)(null), null)
})
