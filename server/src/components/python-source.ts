/** A component of the type `schema` as the source of Python types: a Pydantic model (version 2) and a `TypedDict`. What a
 *  `TypedDict` cannot say (bounds, patterns) is left to whoever checks the values. */

import type { JsonValue } from '@flow/contract/common'
import type { SchemaConfig, SchemaField } from '@flow/contract/components/schema'

type SchemaLike = Pick<SchemaConfig, 'fields' | 'strict_validation'>

const typeOf: Record<SchemaField['type'], string> = {
  string: 'str',
  integer: 'int',
  number: 'float',
  boolean: 'bool',
  array: 'list[Any]',
  object: 'dict[str, Any]',
  any: 'Any',
  null: 'None',
}

const argumentOf: Partial<Record<SchemaField['validators'][number]['type'], string>> = {
  min: 'ge',
  max: 'le',
  min_length: 'min_length',
  max_length: 'max_length',
  min_items: 'min_length',
  max_items: 'max_length',
  pattern: 'pattern',
  multiple_of: 'multiple_of',
}

export const pythonOf = (name: string, schema: SchemaLike): { pydantic: string; typed_dict: string } => ({
  pydantic: pydanticOf(name, schema),
  typed_dict: typedDictOf(name, schema),
})

function pydanticOf(name: string, { fields, strict_validation }: SchemaLike): string {
  const names = namesOf(fields)
  const lines = fields.map((field, i) => `    ${names[i]}: ${annotation(field)}${assigned(field, names[i] ?? '')}`)
  const config = `    model_config = ConfigDict(extra=${strict_validation ? '"forbid"' : '"allow"'}, populate_by_name=True)`
  const imports = 'from typing import Any, Literal\n\nfrom pydantic import BaseModel, ConfigDict, Field'
  return `${imports}\n\n\nclass ${name}(BaseModel):\n${config}\n\n${lines.join('\n')}\n`
}

const annotation = (field: SchemaField): string => {
  const type = valueType(field)
  return field.required || field.default !== undefined || type === 'Any' ? type : `${type} | None`
}

function assigned(field: SchemaField, name: string): string {
  const { description, required, validators } = field
  const value = field.default === undefined ? (required ? '' : 'None') : literal(field.default)
  const more = validators.flatMap(({ type, value }) => {
    const argument = argumentOf[type]
    return argument ? [`${argument}=${literal(value)}`] : []
  })
  if (name !== field.name) more.push(`alias=${literal(field.name)}`)
  if (description) more.push(`description=${literal(description)}`)
  if (more.length === 0) return value === '' ? '' : ` = ${value}`
  return ` = Field(${[value === '' ? '...' : value, ...more].join(', ')})`
}

/** Written as a call, which takes every name of a field. */
function typedDictOf(name: string, { fields }: SchemaLike): string {
  const entries = fields.map((field) => {
    const type = valueType(field)
    return `        ${literal(field.name)}: ${field.required ? type : `NotRequired[${type}]`},`
  })
  const imports = 'from typing import Any, Literal, NotRequired, TypedDict'
  return `${imports}\n\n${name} = TypedDict(\n    ${literal(name)},\n    {\n${entries.join('\n')}\n    },\n)\n`
}

/** `Literal` takes strings, whole numbers, booleans and None. */
function valueType({ type, enum: values }: SchemaField): string {
  const isLiteral = values?.every(
    (value) => value === null || (typeof value !== 'object' && (typeof value !== 'number' || Number.isInteger(value))),
  )
  return values && isLiteral ? `Literal[${values.map(literal).join(', ')}]` : typeOf[type]
}

const words = new Set(
  (
    'False None True and as assert async await break class continue def del elif else except finally for from global if ' +
    'import in is lambda nonlocal not or pass raise return try while with yield'
  ).split(' '),
)

/** Names that Python takes, each another. */
function namesOf(fields: SchemaField[]): string[] {
  const taken = new Set<string>()
  return fields.map(({ name }) => {
    let plain = name.replace(/[^A-Za-z0-9_]/g, '_').replace(/^_+/, '')
    if (!/^[A-Za-z]/.test(plain)) plain = `field_${plain}`
    if (words.has(plain) || plain.startsWith('model_')) plain = `${plain}_`
    while (taken.has(plain)) plain = `${plain}_`
    taken.add(plain)
    return plain
  })
}

/** A JSON value as Python writes it. */
function literal(value: JsonValue): string {
  if (value === null) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`
  return `{${Object.entries(value)
    .map(([name, item]) => `${JSON.stringify(name)}: ${literal(item)}`)
    .join(', ')}}`
}
