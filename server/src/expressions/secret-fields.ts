/** What a JSON Schema (draft 2020-12) marks as secret in a value: `"writeOnly": true`, `"x-secret": true`, or
 *  `"format": "password"`. The marks are annotations; nothing is checked here. A mark in any branch counts
 *  (`anyOf`, `if`, …), whether the value fits it or not, and a reference that cannot be followed counts as a mark: it is
 *  rather hidden too much than told. */

import { patternOf } from './regex.ts'

export const SECRET = '[secret]'

/** Gives the value with what is secret in it replaced; each secret is shown to `found`. */
export type SecretFields = (value: unknown, found?: (secret: unknown) => void) => unknown

type Schema = Readonly<Record<string, unknown>>

/** Schemas that are looked at for one value, about a fifth of a second. What takes more is a secret as a whole. */
const STEPS_MAX = 2_000_000

/** Undefined where the schema marks nothing. */
export function secretFieldsOf(schema: Schema): SecretFields | undefined {
  if (!hasMark(schema)) return undefined
  const { layersOf } = readerOf(schema)
  let steps = 0
  const hide = (value: unknown, schemas: readonly unknown[], found: (secret: unknown) => void): unknown => {
    const layers = schemas.flatMap((one) => layersOf(one))
    steps += layers.length + 1
    if (steps > STEPS_MAX || layers.some(isMark)) {
      found(value)
      return SECRET
    }
    if (layers.length === 0 || typeof value !== 'object' || value === null) return value
    if (Array.isArray(value)) return value.map((item, i) => hide(item, schemasOfItem(layers, i), found))
    const entries = Object.entries(value)
    return Object.fromEntries(entries.map(([key, field]) => [key, hide(field, schemasOfField(layers, key), found)]))
  }
  return (value, found = () => {}) => {
    steps = 0
    return hide(value, [schema], found)
  }
}

/** The items of a list, each with the same secrets. */
export const eachOf =
  (fields: SecretFields): SecretFields =>
  (value, found) =>
    Array.isArray(value) ? value.map((item) => fields(item, found)) : value

/** One field of an object. */
export const fieldOf =
  (name: string, fields: SecretFields): SecretFields =>
  (value, found) =>
    isObject(value) && Object.hasOwn(value, name) ? { ...value, [name]: fields(value[name], found) } : value

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isMark = (schema: Schema): boolean =>
  schema.writeOnly === true || schema['x-secret'] === true || schema.format === 'password'

/** Anywhere at all: most schemas have none, and cost nothing further. */
function hasMark(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasMark)
  return isObject(value) && (isMark(value) || Object.values(value).some(hasMark))
}

/** Reads the schemas that hold for one and the same value: the one that is named, and those inside of it. */
function readerOf(root: Schema) {
  const anchors = new Map<string, Schema>()
  let hasInnerId = false
  const visit = (value: unknown) => {
    if (Array.isArray(value)) for (const item of value) visit(item)
    if (!isObject(value)) return
    if (typeof value.$anchor === 'string') anchors.set(value.$anchor, value)
    if (typeof value.$id === 'string' && value !== root) hasInnerId = true
    for (const inner of Object.values(value)) visit(inner)
  }
  visit(root)

  const resolve = (ref: string): unknown => {
    // Inside a schema with an id of its own a reference starts there.
    if (hasInnerId || !ref.startsWith('#')) return unknown
    if (ref === '#') return root
    return ref.startsWith('#/') ? pointed(root, ref.slice(2)) : (anchors.get(ref.slice(1)) ?? unknown)
  }
  const known = new Map<object, Schema[]>()
  const layersOf = (schema: unknown): Schema[] => {
    if (!isObject(schema)) return []
    const read = known.get(schema)
    if (read) return read
    const layers = new Set<Schema>()
    const add = (one: unknown) => {
      if (!isObject(one) || layers.has(one)) return
      layers.add(one)
      if (typeof one.$ref === 'string') add(resolve(one.$ref))
      for (const keyword of ['allOf', 'anyOf', 'oneOf']) if (Array.isArray(one[keyword])) one[keyword].forEach(add)
      for (const keyword of ['if', 'then', 'else']) add(one[keyword])
      if (isObject(one.dependentSchemas)) Object.values(one.dependentSchemas).forEach(add)
    }
    add(schema)
    known.set(schema, [...layers])
    return [...layers]
  }
  return { layersOf }
}

/** What a reference leads to that cannot be followed. */
const unknown: Schema = { 'x-secret': true }

/** A JSON Pointer (RFC 6901), as it stands in a URI. */
function pointed(root: Schema, pointer: string): unknown {
  let at: unknown = root
  for (const part of pointer.split('/')) {
    const key = decoded(part).replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return unknown
    at = (at as Record<string, unknown>)[key]
  }
  return at
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

function schemasOfItem(layers: readonly Schema[], index: number): unknown[] {
  const own = layers.flatMap(({ prefixItems, items, contains }) => {
    const placed = Array.isArray(prefixItems) ? prefixItems[index] : undefined
    return [placed ?? items, contains].filter((one) => one !== undefined)
  })
  const isEvaluated = layers.some(
    ({ prefixItems, items }) => items !== undefined || (Array.isArray(prefixItems) && index < prefixItems.length),
  )
  return isEvaluated ? own : [...own, ...layers.map(({ unevaluatedItems }) => unevaluatedItems)]
}

function schemasOfField(layers: readonly Schema[], key: string): unknown[] {
  let isEvaluated = false
  const own = layers.flatMap(({ properties, patternProperties, additionalProperties }) => {
    const named = isObject(properties) && Object.hasOwn(properties, key) ? [properties[key]] : []
    const patterns = isObject(patternProperties) ? Object.entries(patternProperties) : []
    const matched = patterns.filter(([pattern]) => isMatch(pattern, key)).map(([, inner]) => inner)
    const found = [...named, ...matched]
    const additional = found.length === 0 && additionalProperties !== undefined ? [additionalProperties] : []
    if (found.length + additional.length > 0) isEvaluated = true
    return [...found, ...additional]
  })
  return isEvaluated ? own : layers.map(({ unevaluatedProperties }) => unevaluatedProperties)
}

function isMatch(pattern: string, key: string): boolean {
  try {
    return patternOf(pattern).test(key)
  } catch {
    return true
  }
}
