/** Prompts: messages in which `{{variable}}` is replaced, once: what is put in is not looked into again. */

import type { FieldError } from '@flow/contract/common'
import type { PromptConfig } from '@flow/contract/components/prompt'
import type { TransformConfig } from '@flow/contract/components/transform'
import { callFunction, isObject, type Kind, type Means, RunFailure, splitFunction, used } from './kind.ts'
import { runTransform } from './transform.ts'

/** Characters that all messages may come to together. */
const RENDERED_MAX = 1024 * 1024

type Message = { role: 'system' | 'user' | 'assistant'; content: string }
type Place = { field: string; message: Message }

export const prompt: Kind<PromptConfig> = {
  faults(config) {
    const empty = messagesOf(config).length === 0
    const nothing = empty ? [{ field: 'config.system_message', message: 'Give a system message or a template.' }] : []
    return [...nothing, ...messagesOf(config).flatMap(({ field, message }) => textFaults(message.content, field))]
  },
  references: ({ dynamic_function_refs }) =>
    dynamic_function_refs.map((ref, i) => ({
      field: `dynamic_function_refs[${i}]`,
      ref: splitFunction(ref).ref,
      types: ref.includes('#') ? ['code_block'] : ['code_block', 'transform'],
    })),
  run: runPrompt,
}

export async function runPrompt(config: PromptConfig, input: unknown, means: Means): Promise<{ messages: Message[] }> {
  const given = input ?? {}
  if (!isObject(given)) throw new RunFailure('INVALID_INPUT', 'The variables of a prompt are an object.')
  const variables = { ...(await moreVariables(config, given, means)), ...given }
  const missing = [...new Set(messagesOf(config).flatMap(({ message }) => pathsOf(message.content)))].filter(
    (path) => valueAt(variables, path) === undefined,
  )
  if (missing.length > 0) {
    const names = missing.map((path) => `"${path}"`).join(', ')
    throw new RunFailure(
      'MISSING_VARIABLES',
      `${missing.length === 1 ? 'A variable is' : 'Variables are'} missing: ${names}.`,
    )
  }
  return { messages: render(config, variables) }
}

/** What the functions give, each called with what is given to the prompt. Of two that give the same, the later counts. */
async function moreVariables(
  { dynamic_function_refs }: PromptConfig,
  given: Record<string, unknown>,
  means: Means,
): Promise<Record<string, unknown>> {
  const variables: Record<string, unknown> = {}
  for (const ref of dynamic_function_refs) {
    const found = await used(means, splitFunction(ref).ref)
    const made =
      found.type === 'transform'
        ? await runTransform(found.config as TransformConfig, given, means)
        : await callFunction(means, ref, { input: given })
    if (!isObject(made)) throw new RunFailure('INVALID_OUTPUT', `"${ref}" gave no object of variables.`)
    Object.assign(variables, made)
  }
  return variables
}

function messagesOf({ system_message, static_templates }: PromptConfig): Place[] {
  const system: Place[] =
    system_message === ''
      ? []
      : [{ field: 'config.system_message', message: { role: 'system', content: system_message } }]
  return [
    ...system,
    ...static_templates.map((message, i) => ({ field: `config.static_templates[${i}].content`, message })),
  ]
}

/** `{{ path }}`, where no backslash stands before it. */
const marks = /\\\{\{|\{\{([^{}]*)\}\}|\{\{/g
const path = /^\s*([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\s*$/

const pathsOf = (text: string): string[] =>
  [...text.matchAll(marks)].flatMap(([, inner]) => path.exec(inner ?? '')?.[1] ?? [])

function textFaults(text: string, field: string): FieldError[] {
  for (const [mark, inner] of text.matchAll(marks)) {
    if (mark === '\\{{' || path.test(inner ?? '')) continue
    const message =
      inner === undefined
        ? 'A "{{" is not closed by "}}"; write "\\{{" where it is to stay.'
        : `"${mark.slice(0, 60)}" is not a variable: write {{name}} or {{customer.name}}, and "\\{{" where it is to stay.`
    return [{ field, message }]
  }
  return []
}

function render(config: PromptConfig, variables: Record<string, unknown>): Message[] {
  let left = RENDERED_MAX
  const taken = (text: string) => {
    left -= text.length
    if (left < 0) throw new RunFailure('OUTPUT_TOO_LARGE', 'The messages have more than 1 MiB of text together.')
    return text
  }
  return messagesOf(config).map(({ message: { role, content } }) => ({
    role,
    content: taken(
      content.replace(marks, (mark, inner: string | undefined) =>
        mark === '\\{{' ? '{{' : taken(textOf(valueAt(variables, path.exec(inner ?? '')?.[1] ?? ''))),
      ),
    ),
  }))
}

function valueAt(variables: Record<string, unknown>, path: string): unknown {
  let value: unknown = variables
  for (const name of path.split('.')) {
    const isThere = typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    if (!isThere) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

const textOf = (value: unknown): string => {
  if (value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}
