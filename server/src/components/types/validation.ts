/** Validations: one rule, for a record or for each of a batch. A list is a batch; anything else is one record. What is
 *  checked is told by place, and the record stays with whoever sent it. A value that is not there breaks `not_null`
 *  alone: whether something has to be there is one question, what it has to be another. */

import { setImmediate as turn } from 'node:timers/promises'
import type { FieldError } from '@flow/contract/common'
import type { ValidationConfig } from '@flow/contract/components/validation'
import {
  compileExpression,
  type Expression,
  ExpressionFault,
  type Pattern,
  patternOf,
} from '../../expressions/expressions.ts'
import { differences } from '../diff.ts'
import { callFunction, checkOf, isObject, type Kind, type Means, RunFailure, splitFunction, used } from './kind.ts'

export const RECORDS_MAX = 10_000
const FAILURES_TOLD = 100
/** How long others may wait for the thread, and how long all of it may take. */
const TURN_MS = 20
const ALL_MS = 60_000

export type ValidationResult = {
  valid: boolean
  severity: ValidationConfig['severity']
  threshold: number
  checked: number
  passed: number
  failed: number
  pass_rate: number
  /** The first hundred. */
  failures: { index: number; message: string }[]
}

export const validation: Kind<ValidationConfig> = {
  faults: (config) => [...ruleFaults(config), ...strayFaults(config)],
  references: ({ validator_ref }) =>
    validator_ref === undefined
      ? []
      : [
          {
            field: 'validator_ref',
            ref: splitFunction(validator_ref).ref,
            types: validator_ref.includes('#') ? ['code_block'] : ['code_block', 'schema'],
          },
        ],
  run: runValidation,
  examples: ({ examples }) =>
    examples.map(({ input, expected }) => ({
      input,
      expected,
      differencesTo: (output) => expectedDifferences(expected, output),
    })),
}

export async function runValidation(config: ValidationConfig, input: unknown, means: Means): Promise<ValidationResult> {
  const records = Array.isArray(input) ? input : [input]
  if (records.length > RECORDS_MAX) {
    throw new RunFailure('INVALID_INPUT', `A batch has at most ${RECORDS_MAX} records; this one has ${records.length}.`)
  }
  const rule = await ruleOf(config, means)
  const failures: ValidationResult['failures'] = []
  let failed = 0
  const began = performance.now()
  let since = began
  for (const [index, record] of records.entries()) {
    const message = await rule(valueAt(record, config.field), record, index)
    if (message !== undefined) {
      failed += 1
      if (failures.length < FAILURES_TOLD) failures.push({ index, message })
    }
    if (performance.now() - since < TURN_MS) continue
    await turn()
    since = performance.now()
    means.signal.throwIfAborted()
    if (since - began > ALL_MS) throw new RunFailure('TIMEOUT', 'The records were not checked within a minute.')
  }

  const passed = records.length - failed
  const pass_rate = records.length === 0 ? 1 : passed / records.length
  const { severity, threshold } = config
  const counts = { checked: records.length, passed, failed, pass_rate }
  return { valid: pass_rate >= threshold, severity, threshold, ...counts, failures }
}

/** What is wrong with a value; undefined where the rule holds. */
type Rule = (value: unknown, record: unknown, index: number) => string | undefined | Promise<string | undefined>

async function ruleOf(config: ValidationConfig, means: Means): Promise<Rule> {
  switch (config.rule_type) {
    case 'not_null':
      return notNull(config.config.allow_empty !== false)
    case 'unique':
      return unique(config.config.ignore_case === true)
    case 'range':
      return range(config.config as Bounds)
    case 'pattern':
      return matching(String(config.config.pattern))
    case 'custom':
      return custom(config, means)
  }
}

const notNull =
  (allowEmpty: boolean): Rule =>
  (value) => {
    if (value === undefined) return 'It is missing.'
    if (value === null) return 'It is null.'
    const isEmpty = value === '' || (typeof value === 'object' && Object.keys(value).length === 0)
    if (isEmpty && !allowEmpty) return 'It is empty.'
  }

function unique(ignoreCase: boolean): Rule {
  const seen = new Map<string, number>()
  return (value, _, index) => {
    if (value === undefined || value === null) return undefined
    const key = JSON.stringify(ignoreCase && typeof value === 'string' ? value.toLowerCase() : sorted(value))
    const first = seen.get(key)
    if (first !== undefined) return `The record ${first} has the same value.`
    seen.set(key, index)
  }
}

/** Equal objects have equal texts, whatever the order of their fields. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((name) => [name, sorted(value[name])]),
  )
}

type Bounds = { min?: number; max?: number; exclusive_min?: number; exclusive_max?: number }

const range =
  ({ min, max, exclusive_min, exclusive_max }: Bounds): Rule =>
  (value) => {
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'number') return 'It is not a number.'
    if (min !== undefined && value < min) return `${value} is less than ${min}.`
    if (max !== undefined && value > max) return `${value} is more than ${max}.`
    if (exclusive_min !== undefined && value <= exclusive_min) return `${value} is not more than ${exclusive_min}.`
    if (exclusive_max !== undefined && value >= exclusive_max) return `${value} is not less than ${exclusive_max}.`
  }

/** About a tenth of a second for one text. */
const COST_MAX = 2_000_000

function matching(source: string): Rule {
  const pattern = compiledPattern(source)
  return (value) => {
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'string') return 'It is not a string.'
    if (pattern.cost(value) > COST_MAX) return 'It is too long to be matched.'
    if (!pattern.test(value)) return 'It does not match the pattern.'
  }
}

function compiledPattern(source: string): Pattern {
  try {
    return patternOf(source)
  } catch (error) {
    if (!(error instanceof ExpressionFault)) throw error
    throw new RunFailure('INVALID_PATTERN', error.message)
  }
}

async function custom({ config, validator_ref }: ValidationConfig, means: Means): Promise<Rule> {
  if (validator_ref === undefined) return holding(compileExpression(String(config.expression), variables))
  const { type } = await used(means, splitFunction(validator_ref).ref)
  if (type === 'schema') {
    const check = await checkOf(means, validator_ref)
    return (value) => {
      const [fault] = check(value ?? null)
      return fault && `${fault.place || 'It'} ${fault.message}.`
    }
  }
  return async (value, record, index) =>
    verdictOf(await callFunction(means, validator_ref, { input: { value: value ?? null, record, index, config } }))
}

const variables = { names: ['value', 'record', 'index'] }

const holding =
  (expression: Expression): Rule =>
  (value, record, index) => {
    try {
      const holds = expression.evaluate({ value: value ?? null, record, index })
      if (typeof holds === 'boolean') return holds ? undefined : 'The expression is not true.'
      return `The expression gives ${JSON.stringify(holds)?.slice(0, 100)}, not a boolean.`
    } catch (error) {
      if (!(error instanceof ExpressionFault)) throw error
      return error.message
    }
  }

function verdictOf(output: unknown): string | undefined {
  if (output === true) return undefined
  if (output === false) return 'The validator refuses it.'
  if (isObject(output) && typeof output.valid === 'boolean') {
    if (output.valid) return undefined
    return typeof output.message === 'string' ? output.message.slice(0, 1000) : 'The validator refuses it.'
  }
  throw new RunFailure('INVALID_OUTPUT', 'A validator gives true, false, or {"valid": …, "message": …}.')
}

function valueAt(record: unknown, field: string | undefined): unknown {
  if (field === undefined) return record
  let value = record
  for (const name of field.split('.')) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined
    value = value[name]
  }
  return value
}

// ---- what is wrong with a rule

const optionsOf: Record<ValidationConfig['rule_type'], readonly string[] | undefined> = {
  not_null: ['allow_empty'],
  unique: ['ignore_case'],
  range: ['min', 'max', 'exclusive_min', 'exclusive_max'],
  pattern: ['pattern'],
  custom: undefined,
}

function strayFaults({ rule_type, config, validator_ref }: ValidationConfig): FieldError[] {
  const options = optionsOf[rule_type]
  const stray = Object.keys(config).filter((name) => options && !options.includes(name))
  const faults = stray.map((name) => ({
    field: `config.config.${name}`,
    message: `A rule of the type "${rule_type}" has no such option; it has ${options?.join(', ')}.`,
  }))
  if (rule_type === 'custom' || validator_ref === undefined) return faults
  return [...faults, { field: 'config.validator_ref', message: 'Only a rule of the type "custom" has a validator.' }]
}

function ruleFaults({ rule_type, config, validator_ref }: ValidationConfig): FieldError[] {
  const fault = (option: string, message: string): FieldError[] => [{ field: `config.config.${option}`, message }]
  const flag = (option: string) =>
    config[option] === undefined || typeof config[option] === 'boolean'
      ? []
      : fault(option, 'It must be true or false.')
  if (rule_type === 'not_null') return flag('allow_empty')
  if (rule_type === 'unique') return flag('ignore_case')
  if (rule_type === 'range') return rangeFaults(config, fault)
  if (rule_type === 'pattern') {
    if (typeof config.pattern !== 'string') return fault('pattern', 'Give a regular expression (RE2).')
    return faultOf(() => patternOf(String(config.pattern)), 'config.config.pattern')
  }
  const { expression } = config
  const ways = Number(validator_ref !== undefined) + Number(typeof expression === 'string')
  if (ways !== 1) return fault('expression', 'A custom rule has either a "validator_ref" or a CEL expression here.')
  if (typeof expression !== 'string') return []
  return faultOf(() => compileExpression(expression, variables), 'config.config.expression')
}

function rangeFaults(
  config: Record<string, unknown>,
  fault: (option: string, message: string) => FieldError[],
): FieldError[] {
  const bounds = (optionsOf.range ?? []).filter((name) => config[name] !== undefined)
  if (bounds.length === 0)
    return fault('min', 'A range has at least one bound: min, max, exclusive_min, exclusive_max.')
  const wrong = bounds.filter((name) => typeof config[name] !== 'number')
  if (wrong.length > 0) return wrong.flatMap((name) => fault(name, 'It must be a number.'))
  const { min, max, exclusive_min, exclusive_max } = config as Bounds
  const lowest = Math.max(min ?? -Infinity, exclusive_min ?? -Infinity)
  const highest = Math.min(max ?? Infinity, exclusive_max ?? Infinity)
  const isEmpty = lowest > highest || (lowest === highest && (exclusive_min === lowest || exclusive_max === highest))
  return isEmpty ? fault(bounds[0] ?? 'min', 'No number is in this range.') : []
}

function faultOf(compile: () => unknown, field: string): FieldError[] {
  try {
    compile()
    return []
  } catch (error) {
    if (!(error instanceof ExpressionFault)) throw error
    return [{ field, message: error.message }]
  }
}

/** `true` and `false` speak of `valid` alone; an object of what it names. */
function expectedDifferences(expected: unknown, output: unknown) {
  const told = isObject(expected) ? expected : { valid: expected }
  const made = isObject(output) ? output : {}
  const named = Object.fromEntries(Object.keys(told).map((name) => [name, made[name] ?? null]))
  return differences(told, named, 'output')
}
