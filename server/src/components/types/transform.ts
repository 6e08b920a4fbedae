/** Transforms: an expression, or code, with schemas before and after. */

import type { FieldError } from '@flow/contract/common'
import type { TransformConfig } from '@flow/contract/components/transform'
import { compileTemplate, ExpressionFault, type Template, TooLarge } from '../../expressions/expressions.ts'
import {
  assertFits,
  callFunction,
  checkOf,
  examplesOf,
  type Kind,
  type Means,
  type Reference,
  RunFailure,
  splitFunction,
} from './kind.ts'

export const transform: Kind<TransformConfig> = {
  faults(config) {
    const { expression, codeblock_ref, function_ref } = config
    const ways = [expression, codeblock_ref, function_ref].filter((way) => way !== undefined).length
    const message = 'A transform has exactly one of "expression", "codeblock_ref" and "function_ref".'
    if (ways !== 1) return [{ field: 'config.expression', message }]
    return expressionFaults(config)
  },
  references: ({ codeblock_ref, function_ref, input_schema_ref, output_schema_ref }) => [
    ...one('codeblock_ref', codeblock_ref, 'code_block'),
    ...one('function_ref', function_ref && splitFunction(function_ref).ref, 'code_block'),
    ...one('input_schema_ref', input_schema_ref, 'schema'),
    ...one('output_schema_ref', output_schema_ref, 'schema'),
  ],
  run: runTransform,
  examples: ({ examples }) => examplesOf(examples),
}

export async function runTransform(config: TransformConfig, input: unknown, means: Means): Promise<unknown> {
  const { input_schema_ref, output_schema_ref } = config
  if (input_schema_ref !== undefined) {
    assertFits(await checkOf(means, input_schema_ref), input, 'INVALID_INPUT', 'The input does not fit the schema')
  }

  const output = await made(config, input, means)

  if (output_schema_ref !== undefined) {
    assertFits(await checkOf(means, output_schema_ref), output, 'INVALID_OUTPUT', 'The output does not fit the schema')
  }
  return output
}

async function made(config: TransformConfig, input: unknown, means: Means): Promise<unknown> {
  const { codeblock_ref, function_ref, timeout_seconds, requires_context } = config
  const ref = codeblock_ref ?? function_ref
  if (ref === undefined) return evaluated(config, { input, context: means.about })
  return callFunction(means, ref, {
    input: requires_context ? { input, context: means.about } : input,
    timeout_seconds,
  })
}

function evaluated(config: TransformConfig, variables: Record<string, unknown>): unknown {
  try {
    return templateOf(config).render(variables) ?? null
  } catch (error) {
    if (error instanceof TooLarge) throw new RunFailure('OUTPUT_TOO_LARGE', error.message)
    if (error instanceof ExpressionFault) throw new RunFailure('EXPRESSION_FAILED', error.message)
    if (error instanceof RangeError) throw new RunFailure('EXPRESSION_FAILED', 'It is too large, or nested too deeply.')
    throw error
  }
}

const compile = ({ expression, requires_context }: TransformConfig) =>
  compileTemplate(expression ?? null, { names: requires_context ? ['input', 'context'] : ['input'] })

const templates = new WeakMap<TransformConfig, Template>()
function templateOf(config: TransformConfig): Template {
  const template = templates.get(config) ?? compile(config).template
  templates.set(config, template)
  return template
}

const expressionFaults = (config: TransformConfig): FieldError[] =>
  compile(config).faults.map(({ place, message, column }) => ({
    field: `config.expression${place}`,
    message: column > 0 ? `${message} (column ${column})` : message,
  }))

const one = (field: string, ref: string | undefined, type: Reference['types'][number]): Reference[] =>
  ref === undefined ? [] : [{ field, ref, types: [type] }]
