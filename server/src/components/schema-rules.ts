/** A component of the type `schema` as the JSON Schema (2020-12) that it stands for, and back. What fields cannot say
 *  (nested objects, alternatives) is named when a JSON Schema becomes fields; nothing is lost in silence. */

import type { FieldError, JsonValue } from '@flow/contract/common'
import type { SchemaConfig, SchemaField } from '@flow/contract/components/schema'

type Field = SchemaField
type Validator = Field['validators'][number]

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
} as const satisfies Record<Validator['type'], string>

export const jsonSchemaOf = ({ fields, strict_validation }: SchemaLike): Record<string, unknown> => ({
  type: 'object',
  properties: Object.fromEntries(fields.map((field) => [field.name, propertyOf(field)])),
  required: fields.filter(({ required }) => required).map(({ name }) => name),
  ...(strict_validation ? { additionalProperties: false } : {}),
})
type SchemaLike = Pick<SchemaConfig, 'fields' | 'strict_validation'>

export const propertyOf = (field: Field): Record<string, unknown> => ({
  ...(field.type === 'any' ? {} : { type: field.type }),
  ...(field.description ? { description: field.description } : {}),
  ...(field.enum ? { enum: field.enum } : {}),
  ...(field.default === undefined ? {} : { default: field.default }),
  ...Object.fromEntries(field.validators.map(({ type, value }) => [keywords[type], value])),
})

const types = [
  'string',
  'integer',
  'number',
  'boolean',
  'array',
  'object',
  'any',
  'null',
] as const satisfies Field['type'][]
const ofSchema = new Set([
  '$schema',
  '$id',
  'title',
  'description',
  'type',
  'properties',
  'required',
  'additionalProperties',
])
const ofField = new Set<string>(['type', 'description', 'title', 'enum', 'default', ...Object.values(keywords)])

/** The fields of a JSON Schema, and every place in it that fields cannot say, below `place`. */
export function fieldsOf(schema: Record<string, unknown>, place: string): SchemaLike & { faults: FieldError[] } {
  const faults: FieldError[] = []
  const cannot = (field: string) =>
    faults.push({ field, message: 'Fields cannot say this: keep it as a JSON Schema where it is used.' })
  const { type, properties, required, additionalProperties } = schema
  for (const keyword of Object.keys(schema)) if (!ofSchema.has(keyword)) cannot(`${place}.${keyword}`)
  if (type !== undefined && type !== 'object') faults.push({ field: `${place}.type`, message: 'It must be "object".' })
  if (additionalProperties !== undefined && typeof additionalProperties !== 'boolean') {
    cannot(`${place}.additionalProperties`)
  }
  const demanded = new Set(Array.isArray(required) ? required : [])
  const fields = Object.entries(isObject(properties) ? properties : {}).map(([name, property]) => {
    const found = fieldOf(name, property, cannot, `${place}.properties.${name}`)
    return { ...found, required: demanded.delete(name) }
  })
  for (const name of demanded) {
    faults.push({ field: `${place}.required`, message: `There is no property "${String(name)}".` })
  }
  if (fields.length === 0) faults.push({ field: `${place}.properties`, message: 'Name at least one property.' })
  return { fields, strict_validation: additionalProperties === false, faults }
}

function fieldOf(name: string, property: unknown, cannot: (field: string) => unknown, place: string): Field {
  const blank: Field = { name, type: 'any', description: '', required: false, validators: [] }
  if (property === true) return blank
  if (!isObject(property)) {
    cannot(place)
    return blank
  }
  const type = property.type ?? 'any'
  const known = types.find((one) => one === type && (one !== 'any' || property.type === undefined))
  if (known === undefined) cannot(`${place}.type`)
  for (const keyword of Object.keys(property)) if (!ofField.has(keyword)) cannot(`${place}.${keyword}`)
  return {
    ...blank,
    type: known ?? 'any',
    description: String(property.description ?? property.title ?? ''),
    ...(Array.isArray(property.enum) ? { enum: property.enum as JsonValue[] } : {}),
    ...(property.default === undefined ? {} : { default: property.default as JsonValue }),
    validators: (Object.entries(keywords) as [Validator['type'], string][]).flatMap(([type, keyword]) =>
      property[keyword] === undefined ? [] : [{ type, value: property[keyword] as string | number }],
    ),
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
