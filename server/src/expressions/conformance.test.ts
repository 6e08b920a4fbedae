/** CEL's own conformance suite (cel-spec), as far as it is about values that JSON can bring: no protocol messages, no
 *  unsigned integers. What we do otherwise on purpose, or do not have, is named; everything else must hold. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tests } from '@bufbuild/cel-spec/testdata/conformance.js'
import { compileExpression, ExpressionFault } from './cel.ts'
import { Budget } from './fault.ts'
import { parseDuration, parseTimestamp } from './times.ts'
import { isEqual, type MapKey, TypeName, typeOf, type Value } from './values.ts'

type Case = {
  name: string
  expr: string
  container?: string
  value?: Wire
  evalError?: unknown
  bindings?: Record<string, { value: Wire }>
}
type Wire = Record<string, unknown>
type Suite = { name: string; suites?: Suite[]; tests?: { original: Case }[] }

const sections = [
  'basic',
  'bindings_ext',
  'comparisons',
  'conversions',
  'fields',
  'fp_math',
  'integer_math',
  'lists',
  'logic',
  'macros',
  'math_ext',
  'parse',
  'plumbing',
  'string',
  'string_ext',
  'timestamps',
]

/** Not ours, by the reason. */
const otherwise: Record<string, RegExp> = {
  'integers and doubles compare exactly, not as doubles': /lossy_double$|dyn_big_double_int$/,
  '% takes doubles, and rounding leaves integers as they are': /mod_not_support$|(ceil|floor|round|trunc)\/dyn_error$/,
  'a boolean is demanded on both sides when that can be seen': /short_circuit_type_/,
  'functions are known when an expression is saved': /unbound_is_runtime_error$|receiver_function_names\//,
  'variables have no dots': /qualified_identifier_resolution\//,
  'bytes are written in ASCII':
    /self_eval_bytes_escape$|eq_literal\/(not_)?eq_bytes$|ne_literal\/not_ne_bytes$|bytes_literals\/.*raw/,
  'a number begins with a digit, a field in quotes is written [""]': /gt_literal\/not_gt_double$|quoted_map_fields\//,
  'the functions on bits and infinities, quote() and format() are not there':
    /math_ext\/(bit|isInf)|string_ext\/(quote|format)/,
}

for (const section of sections) {
  test(`CEL's conformance suite holds: ${section}`, () => {
    const suite = (tests as { suites: Suite[] }).suites.find(({ name }) => name === section)
    assert.ok(suite)
    const failed = casesOf(suite, section).flatMap(({ path, of }) =>
      isOurs(path, of) && !holds(of) ? [`${path}: ${of.expr}`] : [],
    )
    assert.deepEqual(failed, [])
  })
}

test("most of the suite's cases about such values are held, not excepted", () => {
  const suites = (tests as { suites: Suite[] }).suites.filter(({ name }) => sections.includes(name))
  const cases = suites.flatMap((suite) => casesOf(suite, suite.name))
  assert.ok(cases.filter(({ path, of }) => isOurs(path, of)).length > 1000)
})

function casesOf(suite: Suite, path: string): { path: string; of: Case }[] {
  const own = (suite.tests ?? []).map(({ original }) => ({ path: `${path}/${original.name}`, of: original }))
  return [...own, ...(suite.suites ?? []).flatMap((inner) => casesOf(inner, `${path}/${inner.name}`))]
}

/** Messages and unsigned integers do not come from JSON. */
const foreign = /\du\b|uint|TestAllTypes|google\.protobuf|proto\.|\{[a-z_]+:/

function isOurs(path: string, of: Case): boolean {
  if (foreign.test(of.expr) || of.container) return false
  const told = JSON.stringify([of.value, of.bindings])
  if (/uint64Value|enumValue|"@type":"[^"]*(?<!Timestamp|Duration)"/.test(told)) return false
  return !Object.values(otherwise).some((pattern) => pattern.test(path))
}

function holds(of: Case): boolean {
  const bindings = Object.entries(of.bindings ?? {}).map(([name, { value }]) => [name, read(value)] as const)
  let got: Value
  try {
    got = compileExpression(of.expr, { names: [], open: true }).value(Object.fromEntries(bindings))
  } catch (error) {
    if (!(error instanceof ExpressionFault)) throw error
    return of.evalError !== undefined
  }
  if (of.evalError) return false
  const wanted = of.value ? read(of.value) : true
  if (typeof wanted === 'number' && Number.isNaN(wanted)) return Number.isNaN(got)
  return typeOf(got) === typeOf(wanted) && isEqual(got, wanted, new Budget())
}

function read(wire: Wire): Value {
  const [kind = '', value] = Object.entries(wire)[0] ?? []
  switch (kind) {
    case 'nullValue':
      return null
    case 'int64Value':
      return BigInt(value as string)
    case 'doubleValue':
      return Number(value)
    case 'bytesValue':
      return new Uint8Array(Buffer.from(value as string, 'base64'))
    case 'listValue':
      return ((value as { values?: Wire[] }).values ?? []).map(read)
    case 'mapValue': {
      const entries = (value as { entries?: { key: Wire; value: Wire }[] }).entries ?? []
      return new Map(entries.map((entry) => [read(entry.key) as MapKey, read(entry.value)]))
    }
    case 'typeValue':
      return new TypeName(value as string)
    case 'objectValue': {
      const { '@type': type, value: text } = value as { '@type': string; value: string }
      return type.endsWith('Timestamp') ? parseTimestamp(text) : parseDuration(text)
    }
    default:
      return value as Value
  }
}
