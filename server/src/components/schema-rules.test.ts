import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonValue } from '@flow/contract/common'
import { SchemaConfig, type SchemaField } from '@flow/contract/components/schema'
import { compileJsonSchema } from '../expressions/expressions.ts'
import { fieldsOf, jsonSchemaOf } from './schema-rules.ts'
import { type Random, seeded } from './testing.ts'
import { schema } from './types/schema.ts'

const values: Record<string, JsonValue[]> = {
  string: ['a', 'bb', ''],
  integer: [1, 2, 3],
  number: [1.5, 2],
  boolean: [true, false],
  array: [[], [1]],
  object: [{}, { a: 1 }],
  any: [null, 1, 'a'],
  null: [null],
}
const validators: Record<string, SchemaField['validators']> = {
  string: [
    { type: 'min_length', value: 0 },
    { type: 'max_length', value: 9 },
    { type: 'pattern', value: '^' },
    { type: 'format', value: 'email' },
  ],
  integer: [
    { type: 'min', value: 0 },
    { type: 'max', value: 9 },
    { type: 'multiple_of', value: 1 },
  ],
  array: [
    { type: 'min_items', value: 0 },
    { type: 'max_items', value: 4 },
  ],
}

function configOf(random: Random): SchemaConfig {
  const fields = Array.from({ length: 1 + random.below(5) }, (_, i): SchemaField => {
    const type = random.pick(Object.keys(values)) as SchemaField['type']
    const some = <Item>(list: readonly Item[]) => list.filter(() => random.next() < 0.5)
    const offered = values[type] ?? []
    return {
      name: random.pick(['a', 'b c', 'ä', 'constructor', 'n']) + i,
      type,
      description: random.pick(['', 'What it is.']),
      required: random.next() < 0.5,
      ...(random.next() < 0.3 ? { enum: offered } : {}),
      ...(random.next() < 0.3 ? { default: random.pick(offered) } : {}),
      validators: some(validators[type] ?? []),
    }
  })
  return { schema_type: 'json_schema', fields, strict_validation: random.next() < 0.5, examples: [] }
}

test('fields that become a JSON Schema become the same fields again', () => {
  const random = seeded(3)
  for (let i = 0; i < 500; i += 1) {
    const config = configOf(random)
    assert.deepEqual(schema.faults?.(config), [], JSON.stringify(config))

    const made = jsonSchemaOf(config)
    const { fields, strict_validation, faults } = fieldsOf(made, 'json_schema')

    assert.deepEqual(faults, [])
    assert.equal(strict_validation, config.strict_validation)
    const sorted = (list: SchemaField[]) =>
      list.map((field) => ({ ...field, validators: field.validators.toSorted((a, b) => (a.type < b.type ? -1 : 1)) }))
    assert.deepEqual(sorted(fields), sorted(config.fields))
    assert.deepEqual(jsonSchemaOf({ fields, strict_validation }), made)
    SchemaConfig.parse({ fields, strict_validation })
    if (i % 50 === 0) compileJsonSchema(made)
  }
})

test('a JSON Schema of more than fields can say is told so, place by place', () => {
  const { faults } = fieldsOf(
    {
      type: 'array',
      properties: { a: { anyOf: [] }, b: true, c: false, d: { $ref: '#/$defs/x' } },
      additionalProperties: { type: 'string' },
      $defs: {},
    },
    'json_schema',
  )

  assert.deepEqual(
    faults.map(({ field }) => field),
    [
      'json_schema.$defs',
      'json_schema.type',
      'json_schema.additionalProperties',
      'json_schema.properties.a.anyOf',
      'json_schema.properties.c',
      'json_schema.properties.d.$ref',
    ],
  )
})
