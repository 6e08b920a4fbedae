/** JSON Schemas (draft 2020-12) that strangers write, over values that strangers send. The validator is ajv; what in
 *  it could hold the thread is taken away: patterns are matched in linear time, `uniqueItems` by digest, and every
 *  schema that is looked at costs a step of a budget. `$ref` stays inside the schema; `format` is an annotation. */

import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js'
import { Budget, ExpressionFault } from './fault.ts'
import { patternOf } from './regex.ts'

/** A place such as `/rows/3/name` (a JSON Pointer) and what is wrong there. */
export type SchemaFault = { place: string; message: string }

export type JsonSchemaCheck = (value: unknown) => SchemaFault[]

const SCHEMA_CHARACTERS = 65_536
const SCHEMA_DEPTH = 40
const FAULTS_TOLD = 20
const STEP = 'x-flow-step'

/** Checks that a schema is one; knows the meta-schemas, and nothing of strangers. */
const reader = new Ajv2020({ strict: false, logger: false, allErrors: false })
const isSchema = reader.getSchema('https://json-schema.org/draft/2020-12/schema')

/** What the check that is going on may still cost. A check waits for nothing, so there is only one at a time. */
let budget = new Budget(0)

/** Compiles a schema. Throws an `ExpressionFault` that says why it is none. A check tells the first fault; with
 *  `tells_all` up to 20, and of a property that is missing, or too many, its own place. */
export function compileJsonSchema(
  schema: Readonly<Record<string, unknown>>,
  { tells_all = false }: { tells_all?: boolean } = {},
): JsonSchemaCheck {
  if (JSON.stringify(schema).length > SCHEMA_CHARACTERS) throw new ExpressionFault('The schema is longer than 64 KiB.')
  const counted = withSteps(schema, 0) as Record<string, unknown>
  if (isSchema && !isSchema(schema)) {
    const [fault] = (isSchema.errors ?? []).map(faultOf)
    throw new ExpressionFault(`This is not a JSON Schema: ${fault?.place || 'it'} ${fault?.message ?? ''}.`)
  }
  const validate = compile(counted, tells_all)
  return (value) => {
    budget = new Budget()
    try {
      return validate(value)
        ? []
        : (validate.errors ?? []).slice(0, FAULTS_TOLD).map(tells_all ? propertyFaultOf : faultOf)
    } catch (error) {
      if (error instanceof ExpressionFault)
        return [{ place: '', message: 'is too large to be checked against the schema' }]
      if (error instanceof RangeError) return [{ place: '', message: 'is nested too deeply' }]
      throw error
    }
  }
}

/** Each schema has a validator of its own: ids of strangers never meet, and nothing is kept when it goes. */
function compile(schema: Record<string, unknown>, tells_all: boolean) {
  const regExp = Object.assign((source: string) => patternOf(source), { code: 'unused' })
  const ajv = new Ajv2020({
    strict: false,
    meta: false,
    logger: false,
    validateFormats: false,
    validateSchema: false,
    allErrors: tells_all,
    code: { regExp: regExp as never },
  })
  ajv.removeKeyword('uniqueItems')
  const error = { message: 'must not have the same item twice' }
  ajv.addKeyword({ keyword: 'uniqueItems', type: 'array', schemaType: 'boolean', validate: isUnique, error })
  ajv.addKeyword({ keyword: STEP, validate: step })
  try {
    return ajv.compile(schema)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ExpressionFault(`This is not a JSON Schema: ${reason.replace(/\.$/, '')}.`)
  }
}

function step(): boolean {
  budget.spend(20)
  return true
}

const subschemas = new Set([
  'items',
  'additionalProperties',
  'additionalItems',
  'contains',
  'not',
  'if',
  'then',
  'else',
  'propertyNames',
  'unevaluatedItems',
  'unevaluatedProperties',
])
const lists = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems'])
const named = new Set(['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas'])

/** The same schema, with a step in every schema inside of it, so that recursion through `$ref` is counted. */
function withSteps(schema: unknown, depth: number): unknown {
  if (depth > SCHEMA_DEPTH) throw new ExpressionFault('The schema is nested too deeply.')
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return schema
  const entries = Object.entries(schema).map(([key, value]) => {
    if (subschemas.has(key)) return [key, withSteps(value, depth + 1)]
    if (lists.has(key) && Array.isArray(value)) return [key, value.map((item) => withSteps(item, depth + 1))]
    if (named.has(key) && typeof value === 'object' && value !== null) {
      return [
        key,
        Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withSteps(inner, depth + 1)])),
      ]
    }
    if (key === '$dynamicRef' || key === '$recursiveRef') throw new ExpressionFault(`"${key}" is not supported.`)
    return [key, value]
  })
  return { ...Object.fromEntries(entries), [STEP]: true }
}

function isUnique(wanted: boolean, list: unknown[]): boolean {
  if (!wanted) return true
  const seen = new Set<string>()
  for (const item of list) {
    const text = canonical(item)
    if (seen.has(text)) return false
    seen.add(text)
  }
  return true
}

/** Equal values have equal texts, whatever the order of their fields. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, of]) => `${JSON.stringify(key)}:${canonical(of)}`).join()}}`
}

function faultOf(error: ErrorObject): SchemaFault {
  const { additionalProperty, unevaluatedProperty, allowedValues, allowedValue } = error.params as Record<
    string,
    unknown
  >
  const extra = additionalProperty ?? unevaluatedProperty
  const told = allowedValues ?? allowedValue
  const details =
    extra !== undefined ? ` ("${extra}")` : told !== undefined ? ` (${JSON.stringify(told).slice(0, 200)})` : ''
  return { place: error.instancePath, message: `${error.message ?? 'does not fit'}${details}` }
}

/** The fault at the place of the property that it is about. */
function propertyFaultOf(error: ErrorObject): SchemaFault {
  const { missingProperty, additionalProperty, unevaluatedProperty } = error.params as Record<
    string,
    string | undefined
  >
  const property = missingProperty ?? additionalProperty ?? unevaluatedProperty
  if (property === undefined) return faultOf(error)
  const place = `${error.instancePath}/${property.replaceAll('~', '~0').replaceAll('/', '~1')}`
  return { place, message: missingProperty === undefined ? 'is not asked for' : 'is required' }
}
