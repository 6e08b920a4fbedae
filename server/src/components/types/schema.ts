/** Schemas: their fields have to make sense, and their examples have to fit. Running one checks a value. */

import type { FieldError } from '@flow/contract/common'
import type { SchemaConfig, SchemaField } from '@flow/contract/components/schema'
import { compileJsonSchema, ExpressionFault } from '../../expressions/expressions.ts'
import { differences } from '../diff.ts'
import { jsonSchemaOf, propertyOf } from '../schema-rules.ts'
import { checkOfSchema, type Kind } from './kind.ts'

type Field = SchemaField
type Validator = Field['validators'][number]['type']

const validatorsOf: Partial<Record<Field['type'], readonly Validator[]>> = {
  string: ['min_length', 'max_length', 'pattern', 'format'],
  integer: ['min', 'max', 'multiple_of'],
  number: ['min', 'max', 'multiple_of'],
  array: ['min_items', 'max_items'],
}
const ofText: readonly Validator[] = ['pattern', 'format']
const ofCounts: readonly Validator[] = ['min_length', 'max_length', 'min_items', 'max_items']

export const schema: Kind<SchemaConfig> = {
  faults(config) {
    const faults = config.fields.flatMap((field, i) => fieldFaults(config.fields, field, i))
    if (faults.length > 0) return faults
    try {
      const check = compileJsonSchema(jsonSchemaOf(config))
      return config.examples.flatMap((example, i) => {
        const [first] = check(example)
        if (!first) return []
        return [
          { field: `config.examples[${i}]`, message: `It does not fit: ${first.place || 'it'} ${first.message}.` },
        ]
      })
    } catch (error) {
      if (!(error instanceof ExpressionFault)) throw error
      return [{ field: 'config.fields', message: error.message }]
    }
  },
  async run(config, input) {
    const errors = checkOfSchema(config)(input)
    return { valid: errors.length === 0, errors }
  },
  examples: ({ examples }) =>
    examples.map((input) => {
      const expected = { valid: true, errors: [] }
      return { input, expected, differencesTo: (output) => differences(expected, output, 'output') }
    }),
}

function fieldFaults(fields: Field[], field: Field, i: number): FieldError[] {
  const place = `config.fields[${i}]`
  const first = fields.findIndex(({ name }) => name === field.name)
  const twice = first < i ? [{ field: `${place}.name`, message: `fields[${first}] has the same name.` }] : []
  const validators = field.validators.flatMap((validator, at) => {
    const message = validatorFault(field, validator, at)
    return message === undefined ? [] : [{ field: `${place}.validators[${at}]`, message }]
  })
  return [...twice, ...(validators.length > 0 ? validators : valueFaults(field, place))]
}

function validatorFault(field: Field, { type, value }: Field['validators'][number], at: number): string | undefined {
  const allowed = validatorsOf[field.type] ?? []
  if (!allowed.includes(type)) {
    const offer = allowed.length > 0 ? `; there are ${allowed.join(', ')}` : ''
    return `A field of the type "${field.type}" has no "${type}"${offer}.`
  }
  const first = field.validators.findIndex((other) => other.type === type)
  if (first < at) return `validators[${first}] is a "${type}" already.`
  const isText = ofText.includes(type)
  if (isText !== (typeof value === 'string')) return `The value of "${type}" is a ${isText ? 'string' : 'number'}.`
  if (ofCounts.includes(type) && !(Number.isInteger(value) && Number(value) >= 0)) {
    return `The value of "${type}" is a whole number, 0 or more.`
  }
  if (type === 'multiple_of' && Number(value) <= 0) return 'The value of "multiple_of" is more than 0.'
}

/** The values that are offered, and the one that is taken for granted, have to fit the field itself. */
function valueFaults(field: Field, place: string): FieldError[] {
  try {
    const check = compileJsonSchema(propertyOf(field))
    const { enum: _, ...withoutEnum } = field
    const checkOne = compileJsonSchema(propertyOf({ ...withoutEnum }))
    const faults = (field.enum ?? []).flatMap((value, i) => {
      const [fault] = checkOne(value)
      return fault ? [{ field: `${place}.enum[${i}]`, message: `It does not fit the field: it ${fault.message}.` }] : []
    })
    const [fault] = field.default === undefined ? [] : check(field.default)
    return fault
      ? [...faults, { field: `${place}.default`, message: `It does not fit the field: it ${fault.message}.` }]
      : faults
  } catch (error) {
    if (!(error instanceof ExpressionFault)) throw error
    return [{ field: place, message: error.message }]
  }
}
