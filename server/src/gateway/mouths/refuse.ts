/** The sentences in which a request is refused, as OpenAI says them: its clients' users search the web for these. */

import { numberText } from '../exact.ts'
import type { Json } from '../hub.ts'
import { Refusal } from './mouth.ts'

export function refuse(message: string, param?: string, code: string | null = null): Refusal {
  return new Refusal({ status: 400, type: 'invalid_request_error', code, message, param })
}

export const missing = (param: string) =>
  refuse(`Missing required parameter: '${param}'.`, param, 'missing_required_parameter')

export const wrongType = (param: string, expected: string, got: Json | undefined) =>
  refuse(`Invalid type for '${param}': expected ${expected}, but got ${kindOf(got)} instead.`, param, 'invalid_type')

export const wrongValue = (param: string, got: Json, allowed: readonly string[]) =>
  refuse(
    `Invalid value for '${param}': ${shorten(JSON.stringify(got))}. Supported values are: ${listed(allowed)}.`,
    param,
    'invalid_value',
  )

/** `got` as it is written, where no double holds it. */
export function outOfRange(
  param: string,
  kind: 'integer' | 'decimal',
  got: number | string,
  bound: number | bigint,
  isBelow = Number(got) < bound,
): Refusal {
  const [side, sign, word] = isBelow ? ['below minimum', '>=', 'below_min'] : ['above maximum', '<=', 'above_max']
  return refuse(
    `Invalid '${param}': ${kind} ${side} value. Expected a value ${sign} ${bound}, but got ${shorten(String(got))} instead.`,
    param,
    `${kind}_${word}_value`,
  )
}

export const isIntegerWithin = (value: Json, least: number, most: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most

/** Of what is no integer in these bounds. */
export function notInteger(param: string, got: Json, least: number, most: number): Refusal {
  const number = numberText(got)
  if (number === undefined || kindOf(got) === 'a decimal') return wrongType(param, 'an integer', got)
  return outOfRange(param, 'integer', number, Number(number) < least ? least : most)
}

export function kindOf(value: Json | undefined): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'an integer' : 'a decimal'
  const number = numberText(value)
  if (number !== undefined) return /^-?\d+$/.test(number) ? 'an integer' : 'a decimal'
  return { string: 'a string', boolean: 'a boolean', object: 'an object' }[typeof value as string] ?? typeof value
}

function listed(words: readonly string[]): string {
  const quoted = words.map((word) => `'${word}'`)
  if (quoted.length < 2) return quoted.join('')
  return `${quoted.slice(0, -1).join(', ')} and ${quoted.at(-1)}`
}

const shorten = (text: string) => (text.length > 80 ? `${text.slice(0, 80)}…` : text)
