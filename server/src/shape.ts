/** Shapes: a value is parsed as the contract has it, or every field of it that is wrong is named, once, with a sentence
 *  that says how to mend it. A shape that has a sentence of its own for a fault (`z.string().regex(…, 'Use …')`) is
 *  quoted; for all others the sentences are here. */

import type { FieldError } from '@flow/contract/common'
import { z } from 'zod'

type Issue = z.core.$ZodIssue
type RawIssue<Of extends z.core.$ZodIssueBase = Issue> = z.core.$ZodRawIssue<Of>

/** The value as its shape has it, with defaults; or what is wrong with it, below `prefix`. */
export function parseShape<Shape extends z.ZodType>(
  shape: Shape,
  value: unknown,
  prefix = '',
): { value: z.output<Shape>; faults?: undefined } | { value?: undefined; faults: FieldError[] } {
  const { data, error } = shape.safeParse(value, { error: sentenceOf })
  if (!error) return { value: data as z.output<Shape> }
  const faults = new Map<string, FieldError>()
  for (const fault of error.issues.flatMap((issue) => faultsOf(issue, []))) {
    const field = fieldName(fault.path, prefix)
    // The first fault of a field is the coarsest: what is no text needs not be told how long a text may be.
    if (!faults.has(field)) faults.set(field, { field, message: fault.message })
  }
  return { faults: [...faults.values()] }
}

type PlacedFault = { path: PropertyKey[]; message: string }

function faultsOf(issue: Issue, above: PropertyKey[]): PlacedFault[] {
  const path = [...above, ...issue.path]
  if (issue.code === 'unrecognized_keys') {
    const sentences = issue.message.split('\n')
    return issue.keys.map((key, i) => ({ path: [...path, key], message: sentences[i] ?? 'There is no such field.' }))
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) return closest(issue.errors, path)
  return [{ path, message: issue.message }]
}

/** Of a union, the form that was meant: the one that fits farthest into the value, then the one with fewest faults. Where
 *  that leaves several forms of a single value, all of them are offered. */
function closest(forms: Issue[][], path: PropertyKey[]): PlacedFault[] {
  const depthOf = (issues: Issue[]) => Math.max(0, ...issues.map((issue) => issue.path.length))
  const deepest = Math.max(...forms.map(depthOf))
  const deep = forms.filter((issues) => depthOf(issues) === deepest)
  const fewest = Math.min(...deep.map((issues) => issues.length))
  const meant = deep.filter((issues) => issues.length === fewest)
  const told = (meant[0] ?? []).flatMap((issue) => faultsOf(issue, path))
  if (meant.length === 1 || deepest > 0) return told

  const sentences = meant.flatMap((issues) => issues.flatMap((issue) => faultsOf(issue, path))).map((at) => at.message)
  const ways = [...new Set(sentences.map((sentence) => sentence.replace(/^It must be (.*?)(?:, not .*)?\.$/, '$1')))]
  const isList = sentences.every((sentence) => sentence.startsWith('It must be '))
  return isList ? [{ path, message: `It must be ${ways.join(', or ')}.` }] : told
}

/** `nodes[2].id`, as everywhere in refusals. */
function fieldName(path: PropertyKey[], prefix: string): string {
  return path.reduce<string>(
    (name, part) => (typeof part === 'number' ? `${name}[${part}]` : name ? `${name}.${String(part)}` : String(part)),
    prefix,
  )
}

/** The sentence for what Zod found. It is asked only where the shape has no sentence of its own. */
export function sentenceOf(issue: RawIssue): string {
  if (issue.input === undefined && issue.code !== 'unrecognized_keys') return 'It is missing.'
  switch (issue.code) {
    case 'invalid_type':
      return `It must be ${nounOf(issue.expected)}${isNothing(issue.input) ? '' : `, not ${kindOf(issue.input)}`}.`
    case 'too_small':
      return tooSmall(issue)
    case 'too_big':
      return tooBig(issue)
    case 'invalid_format':
      return formatSentence(issue)
    case 'not_multiple_of':
      return `It must be a multiple of ${issue.divisor}; it is ${told(issue.input)}.`
    case 'unrecognized_keys':
      return issue.keys.map((key: string) => unknownField(key, issue.inst)).join('\n')
    case 'invalid_union':
      return unionSentence(issue)
    case 'invalid_key':
      return `Its name is not allowed here: ${innerSentence(issue.issues)}`
    case 'invalid_element':
      return `What "${String(issue.key)}" stands for is wrong: ${innerSentence(issue.issues)}`
    case 'invalid_value':
      return `It must be ${oneOf(issue.values)}${isScalar(issue.input) ? `, not ${told(issue.input)}` : ''}.`
    default:
      return 'It is not valid.'
  }
}

const nouns: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  bigint: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'an object',
  record: 'an object',
  map: 'an object',
  set: 'a list',
  null: 'null',
  date: 'a date',
}
const nounOf = (type: string): string => nouns[type] ?? `of the type ${type}`

/** What a value is, for "not …". */
function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'number') return `the number ${value}`
  if (typeof value === 'boolean') return String(value)
  return typeof value === 'string' ? 'a string' : 'an object'
}

/** What became of a text that was to be a number. */
const isNothing = (value: unknown) => Number.isNaN(value)
const isScalar = (value: unknown) =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'

/** A value as it is written in JSON, if it is short. */
function told(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}

const oneOf = (values: readonly unknown[]): string =>
  values.length === 1 ? told(values[0]) : `one of ${values.map(told).join(', ')}`

const counted: Record<string, [one: string, many: string]> = {
  string: ['character', 'characters'],
  array: ['item', 'items'],
  set: ['item', 'items'],
  map: ['entry', 'entries'],
  object: ['field', 'fields'],
  file: ['byte', 'bytes'],
}

function amountOf(input: unknown): number | undefined {
  if (typeof input === 'string' || Array.isArray(input)) return input.length
  if (input instanceof Set || input instanceof Map) return input.size
  if (typeof input === 'object' && input !== null) return Object.keys(input).length
}

type Bound = { origin: string; input?: unknown; inclusive?: boolean; exact?: boolean }

function tooSmall(issue: RawIssue<z.core.$ZodIssueTooSmall>): string {
  const isEmpty = amountOf(issue.input) === 0
  if (issue.origin in counted && Number(issue.minimum) === 1 && isEmpty) return 'It must not be empty.'
  return bound(issue, Number(issue.minimum), issue.inclusive === false ? 'more than' : 'at least')
}

const tooBig = (issue: RawIssue<z.core.$ZodIssueTooBig>): string =>
  bound(issue, Number(issue.maximum), issue.inclusive === false ? 'less than' : 'at most')

function bound({ origin, input, exact }: Bound, limit: number, comparison: string): string {
  const how = exact ? 'exactly' : comparison
  const words = counted[origin]
  if (!words) return `It must be ${how} ${limit}; it is ${told(input)}.`
  const amount = amountOf(input)
  const has = amount === undefined ? '' : `; it has ${amount}`
  return `It must have ${how} ${limit} ${limit === 1 ? words[0] : words[1]}${has}.`
}

const formats: Record<string, string> = {
  uuid: 'a UUID',
  guid: 'a UUID',
  email: 'an e-mail address such as ada@example.com',
  url: 'a URL such as https://example.com',
  datetime: 'a time in UTC such as 2026-01-31T08:00:00.000Z',
  date: 'a date such as 2026-01-31',
  time: 'a time such as 08:00:00',
  duration: 'an ISO 8601 duration such as PT15M',
  ipv4: 'an IPv4 address',
  ipv6: 'an IPv6 address',
  base64: 'base64',
  base64url: 'base64url',
  json_string: 'JSON in a string',
  lowercase: 'in lower case',
  uppercase: 'in upper case',
}

function formatSentence(issue: RawIssue<z.core.$ZodIssueInvalidStringFormat>): string {
  const { format, prefix, suffix, includes, pattern } = issue as Record<string, unknown>
  if (prefix !== undefined) return `It must begin with ${told(prefix)}.`
  if (suffix !== undefined) return `It must end with ${told(suffix)}.`
  if (includes !== undefined) return `It must contain ${told(includes)}.`
  if (format === 'regex') return `It must match the pattern ${String(pattern)}.`
  return `It must be ${formats[String(format)] ?? `of the format ${String(format)}`}.`
}

/** A union that is told apart by a field knows its options; of any other the forms have sentences of their own. */
function unionSentence(issue: RawIssue<z.core.$ZodIssueInvalidUnion>): string {
  const { discriminator, options, input } = issue as { discriminator?: string; options?: unknown[]; input?: unknown }
  if (discriminator === undefined || options === undefined) return 'It has none of the forms that are possible here.'
  const value = (input as Record<string, unknown>)[discriminator]
  if (value === undefined) return `It is missing; it must be ${oneOf(options)}.`
  return `It must be ${oneOf(options)}${isScalar(value) ? `, not ${told(value)}` : ''}.`
}

const innerSentence = (issues: readonly { message?: string }[] | undefined): string =>
  issues?.[0]?.message ?? 'It is not valid.'

function unknownField(key: string, shape: unknown): string {
  const fields = shape instanceof z.ZodObject ? Object.keys(shape.shape) : []
  const near = nearestTo(key, fields)
  if (near !== undefined) return `There is no such field; did you mean "${near}"?`
  if (fields.length === 0) return 'There is no such field.'
  const more = fields.length > NAMED_MAX ? ', …' : ''
  return `There is no such field; there are ${fields.slice(0, NAMED_MAX).join(', ')}${more}.`
}

/** Fields that are named to whoever has sent another one. */
const NAMED_MAX = 16

/** The name that a slip of a letter or two, or another way to write it, may have stood for. */
function nearestTo(key: string, names: readonly string[]): string | undefined {
  if (key.length > 100) return undefined
  const plain = (name: string) => name.toLowerCase().replaceAll(/[_\-\s]/g, '')
  const [nearest] = names
    .map((name) => ({ name, distance: distanceOf(plain(key), plain(name)) }))
    .filter(({ name, distance }) => distance <= Math.min(2, Math.floor(name.length / 3)))
    .sort((a, b) => a.distance - b.distance)
  return nearest?.name
}

/** How many letters are to be put in, left out or changed to come from one word to the other (Levenshtein). */
function distanceOf(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i)
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1]
    for (let j = 1; j <= to.length; j++) {
      const change = (row[j - 1] ?? 0) + (letter === to[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}
