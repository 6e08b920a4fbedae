/** JSON Schema as Anthropic's structured outputs read it (https://platform.claude.com/docs/en/build-with-claude/structured-outputs):
 *  objects are closed, a few words are known, and what else a schema demands is told in its description, so that the model
 *  reads it although nobody holds it to it. */

import type { Json, JsonObject } from '../hub.ts'
import { listOf, objectOf } from './read.ts'

const KEPT = ['$ref', '$schema', '$id', 'title', 'description', 'default', 'const', 'enum', 'type', 'required']
const FORMATS = new Set(['date-time', 'time', 'date', 'duration', 'email', 'hostname', 'uri', 'ipv4', 'ipv6', 'uuid'])
const TOLD = [
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'pattern',
  'minItems',
  'maxItems',
  'uniqueItems',
  'minProperties',
  'maxProperties',
  'not',
]
const MAPS = ['properties', '$defs', 'definitions']
const LISTS = ['anyOf', 'oneOf', 'allOf', 'prefixItems']
/** Grammars of schemas with more than these become too large for Anthropic to compile, or nearly so. */
const OPTIONAL_MAX = 10

export function closedSchema(schema: JsonObject): JsonObject {
  const closed: JsonObject = {}
  for (const word of KEPT) if (schema[word] !== undefined) closed[word] = schema[word]
  for (const word of MAPS) if (schema[word] !== undefined) closed[word] = mapped(objectOf(schema[word]))
  const any = schema.anyOf ?? schema.oneOf
  if (any !== undefined) closed.anyOf = listOf(any).map(schemaOf)
  if (schema.allOf !== undefined) closed.allOf = listOf(schema.allOf).map(schemaOf)
  if (schema.items !== undefined) closed.items = schemaOf(schema.items)
  if (isOfObjects(schema)) closed.additionalProperties = false
  if (typeof schema.format === 'string' && FORMATS.has(schema.format)) closed.format = schema.format
  const demands = demandsOf(schema)
  if (demands !== '') closed.description = [schema.description, demands].filter(Boolean).join('\n')

  return closed
}

const schemaOf = (value: Json): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? closedSchema(value) : value
const mapped = (schemas: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(schemas).map(([name, one]) => [name, schemaOf(one)]))

const isOfObjects = ({ type, properties }: JsonObject) => type === 'object' || properties !== undefined

function demandsOf(schema: JsonObject): string {
  const told = TOLD.filter((word) => schema[word] !== undefined && schema[word] !== false)
  if (typeof schema.format === 'string' && !FORMATS.has(schema.format)) told.push('format')
  return told.map((word) => `${word}: ${JSON.stringify(schema[word])}.`).join(' ')
}

/** Whether nothing is lost by it, and Anthropic takes it: no reference leads in a circle, no object is open to more
 *  properties than are named, and not too many of those may be missing. */
export function isClosable(schema: JsonObject): boolean {
  return optionalIn(schema, { root: schema, byRef: new Map() }) <= OPTIONAL_MAX
}

/** What is known of references; null while one is being followed. */
type Known = { root: JsonObject; byRef: Map<string, number | null> }
const NEVER = Number.POSITIVE_INFINITY

/** How many properties may be missing; without end where it cannot be closed. */
function optionalIn(value: Json | undefined, known: Known): number {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 0
  if (typeof value.$ref === 'string') return optionalBehind(value.$ref, known)
  if (isOpen(value)) return NEVER
  const required = new Set(listOf(value.required))
  const properties = objectOf(value.properties)
  const inner = [value.items, ...Object.values(properties), ...LISTS.flatMap((word) => listOf(value[word]))]
  const own = Object.keys(properties).filter((name) => !required.has(name)).length

  return inner.reduce<number>((sum, one) => sum + optionalIn(one, known), own)
}

function optionalBehind(ref: string, known: Known): number {
  const before = known.byRef.get(ref)
  if (before !== undefined) return before ?? NEVER
  known.byRef.set(ref, null)
  const found = optionalIn(referred(known.root, ref), known)
  known.byRef.set(ref, found)
  return found
}

/** Maps, and objects of anything: closed they could only be empty. */
function isOpen(schema: JsonObject): boolean {
  const { additionalProperties: more, patternProperties, properties, type } = schema
  if (more === true || (typeof more === 'object' && more !== null)) return true
  if (Object.keys(objectOf(patternProperties)).length > 0) return true
  const isObject = type === 'object' || (Array.isArray(type) && type.includes('object'))

  return isObject && properties === undefined && more !== false
}

const referred = (root: JsonObject, ref: string): Json | undefined =>
  ref
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<Json | undefined>((found, step) => objectOf(found)[step], root)
