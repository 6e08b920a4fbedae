/** A component of the type `schema` as the JSON Schema (2020-12) that it stands for. */

import type { SchemaConfig } from '@flow/contract/components/schema'

type Field = SchemaConfig['fields'][number]

const keywords = {
  min: 'minimum',
  max: 'maximum',
  min_length: 'minLength',
  max_length: 'maxLength',
  pattern: 'pattern',
  format: 'format',
  multiple_of: 'multipleOf',
  min_items: 'minItems',
  max_items: 'maxItems',
} as const

export const jsonSchemaOf = ({ fields, strict_validation }: SchemaConfig): Record<string, unknown> => ({
  type: 'object',
  properties: Object.fromEntries(fields.map((field) => [field.name, propertyOf(field)])),
  required: fields.filter(({ required }) => required).map(({ name }) => name),
  ...(strict_validation ? { additionalProperties: false } : {}),
})

const propertyOf = (field: Field): Record<string, unknown> => ({
  ...(field.type === 'any' ? {} : { type: field.type }),
  ...(field.enum ? { enum: field.enum } : {}),
  ...Object.fromEntries(field.validators.map(({ type, value }) => [keywords[type], value])),
})
