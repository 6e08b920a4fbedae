/** What a type of component is, besides the shape of its configuration: what is wrong with one, what it names, what
 *  stands in the way of publishing it, and what running it once means. Decisions and calculations; whatever they need of
 *  the world comes as `Means` from whoever runs it: `test`, `publish`, or a node of a workflow. */

import type { FieldError } from '@flow/contract/common'
import type { Change, Component, ComponentType } from '@flow/contract/components'
import type { CodeBlockConfig } from '@flow/contract/components/code-block'
import type { SchemaConfig } from '@flow/contract/components/schema'
import { compileJsonSchema, ExpressionFault, type JsonSchemaCheck } from '../../expressions/expressions.ts'
import type { GuardedFetch } from '../../fetch.ts'
import { differences } from '../diff.ts'
import { jsonSchemaOf } from '../schema-rules.ts'

/** `field` is its place below `config`. */
export type Reference = { field: string; ref: string; types: readonly ComponentType[] }

/** What a reference names, with the configuration that counts. */
export type Used = Pick<Component, 'id' | 'slug' | 'version' | 'config' | 'type'>

/** What is given to code that asks where it runs. */
export type About = {
  workspace_id: string
  execution_id: string | null
  workflow_id: string | null
  node_id: string | null
}

export type Means = {
  /** What a reference of the configuration names. */
  find(ref: string): Promise<Used | undefined>
  /** Calls code, with its own schemas around it. */
  code(block: Used, call: CodeCall): Promise<unknown>
  fetch: GuardedFetch
  signal: AbortSignal
  about: About
}
export type CodeCall = { input: unknown; entry_point?: string | undefined; timeout_seconds?: number }

/** `differencesTo`: how what came of it differs from what the example says. */
export type Example = { input: unknown; expected: unknown; differencesTo(output: unknown): Change[] }

export type Kind<Config> = {
  /** What the shape alone does not show, each with its place: `config.fields[2].name`. */
  faults?(config: Config): FieldError[]
  references?(config: Config): Reference[]
  /** What can be kept, but not published. */
  publishFaults?(config: Config): FieldError[]
  /** What becomes of an input. Without it, the type cannot be run by itself. */
  run?(config: Config, input: unknown, means: Means): Promise<unknown>
  /** Why one with this configuration cannot be run by itself. */
  cannotRun?(config: Config): string | undefined
  examples?(config: Config): Example[]
}

/** A run that came to no result: a code for programs, a sentence for people, and whether it is the same every time. */
export class RunFailure extends Error {
  readonly code: string
  readonly is_final: boolean
  readonly place: Place

  constructor(code: string, message: string, more: { is_final?: boolean; place?: Place } = {}) {
    super(message)
    this.name = 'RunFailure'
    this.code = code
    this.is_final = more.is_final ?? true
    this.place = more.place ?? {}
  }
}
/** Where in the author's own source. */
type Place = { line?: number; column?: number; stack?: string }

/** A reference to a function, in its two parts. */
export function splitFunction(ref: string): { ref: string; entry_point: string | undefined } {
  const [block = '', entry_point] = ref.split('#')
  return { ref: block, entry_point }
}

/** Calls the code block, or the function of one, that a reference names. */
export async function callFunction(means: Means, ref: string, call: Omit<CodeCall, 'entry_point'>): Promise<unknown> {
  const { ref: block, entry_point } = splitFunction(ref)
  return means.code(await used(means, block), { ...call, entry_point })
}

export async function used(means: Means, ref: string): Promise<Used> {
  const found = await means.find(ref)
  if (!found) throw new RunFailure('COMPONENT_MISSING', `There is no component "${ref}" in this workspace.`)
  return found
}

/** The check of a component of the type `schema`. */
export async function checkOf(means: Means, ref: string): Promise<JsonSchemaCheck> {
  return checkOfSchema((await used(means, ref)).config as SchemaConfig)
}

export const checkOfSchema = (config: SchemaConfig): JsonSchemaCheck => checked(config, jsonSchemaOf)

/** Configurations are kept while they are in use, and what is compiled of them as long. */
const compiled = new WeakMap<object, JsonSchemaCheck>()

function checked<Config extends object>(config: Config, schemaOf: (config: Config) => Record<string, unknown>) {
  const known = compiled.get(config)
  if (known) return known
  try {
    const check = compileJsonSchema(schemaOf(config))
    compiled.set(config, check)
    return check
  } catch (error) {
    if (!(error instanceof ExpressionFault)) throw error
    throw new RunFailure('INVALID_SCHEMA', error.message)
  }
}

export const schemaCheck = (schema: Record<string, unknown>): JsonSchemaCheck => checked(schema, (it) => it)

export function assertFits(check: JsonSchemaCheck | undefined, value: unknown, code: string, sentence: string): void {
  const [fault] = check?.(value) ?? []
  if (fault) throw new RunFailure(code, `${sentence}: ${fault.place || 'it'} ${fault.message}.`)
}

/** The checks around a call of a code block. */
export const checksOf = ({ input_schema, output_schema }: CodeBlockConfig) => ({
  ...(input_schema ? { checkInput: schemaCheck(input_schema) } : {}),
  ...(output_schema ? { checkOutput: schemaCheck(output_schema) } : {}),
})

/** What is wrong with schemas that strangers wrote into a configuration. */
export function schemaFaults(schemas: Record<string, Record<string, unknown> | undefined>): FieldError[] {
  return Object.entries(schemas).flatMap(([name, schema]) => {
    try {
      if (schema) compileJsonSchema(schema)
      return []
    } catch (error) {
      if (!(error instanceof ExpressionFault)) throw error
      return [{ field: `config.${name}`, message: error.message }]
    }
  })
}

/** Examples that say what comes out, all of it. */
export const examplesOf = (examples: readonly { input: unknown; output: unknown }[]): Example[] =>
  examples.map(({ input, output }) => ({
    input,
    expected: output,
    differencesTo: (made) => differences(output, made, 'output'),
  }))

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
