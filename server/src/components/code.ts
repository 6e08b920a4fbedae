/** Whether a code block could run. When it is saved its schemas have to be schemas; when it is published its code has to
 *  parse and to have its entry point, which only the sandbox reads, and it may ask for nothing the sandbox lacks. */

import type { FieldError } from '@flow/contract/common'
import type { Component, ComponentType } from '@flow/contract/components'
import type { CodeBlockConfig } from '@flow/contract/components/code-block'
import { compileJsonSchema, ExpressionFault } from '../expressions/expressions.ts'
import type { Language, Sandbox } from '../sandbox/sandbox.ts'
import { networkFault } from './code-host.ts'

/** Languages that this platform cannot run, and why. */
const refused: Partial<Record<CodeBlockConfig['language'], string>> = {
  sql: 'SQL code blocks can be kept, but not published: they run through a database connector, and there is none.',
  bash: 'Bash is not run: there is no isolated runner for it on this platform.',
}

/** What the shape of a code block alone does not show. */
export const blockFaults = (config: CodeBlockConfig): FieldError[] => [...schemaFaults(config), ...moduleFaults(config)]

/** Characters that the modules of a block may have together. */
export const MODULES_MAX = 512 * 1024
/** Names that code itself and what is around it have in a stack. */
const taken = new Set(['main.js', 'main.ts', 'prelude.js', 'globals.js'])

function moduleFaults({ language, modules }: CodeBlockConfig): FieldError[] {
  if (modules.length === 0) return []
  const fault = (field: string, message: string) => [{ field: `config.modules${field}`, message }]
  if (language !== 'javascript' && language !== 'typescript') {
    return fault('', `Modules are of JavaScript and TypeScript; code in ${language} cannot import them.`)
  }
  const names = modules.flatMap(({ name }, at) => {
    if (taken.has(name)) return fault(`[${at}].name`, `"${name}" is taken.`)
    const first = modules.findIndex((one) => one.name === name)
    return first < at ? fault(`[${at}].name`, `"${name}" is the name of another module, too.`) : []
  })
  const characters = modules.reduce((sum, { code }) => sum + code.length, 0)
  const size = `The modules may have ${MODULES_MAX} characters together; they have ${characters}.`
  return characters > MODULES_MAX ? [...names, ...fault('', size)] : names
}

const schemaFaults = (config: CodeBlockConfig): FieldError[] =>
  (['input_schema', 'output_schema'] as const).flatMap((field) => {
    try {
      if (config[field]) compileJsonSchema(config[field])
      return []
    } catch (error) {
      if (!(error instanceof ExpressionFault)) throw error
      return [{ field: `config.${field}`, message: error.message }]
    }
  })

/** What the code asks for that it would not find. */
function wantsFaults(sandbox: Sandbox, { language, dependencies, network }: CodeBlockConfig): FieldError[] {
  const packages = sandbox.lacks(language as Language, dependencies).map(({ at, reason }) => {
    return { field: `config.dependencies.${at}`, message: reason }
  })
  const hosts = network.flatMap((entry, index) => {
    const message = networkFault(entry)
    return message ? [{ field: `config.network.${index}`, message }] : []
  })
  return [...packages, ...hosts]
}

/** What stands in the way of publishing a code block. */
export async function codeFaults(
  sandbox: Sandbox,
  tenant: string,
  type: ComponentType,
  config: Component['config'],
): Promise<FieldError[]> {
  if (type !== 'code_block') return []
  const { language, code, entry_point, dependencies, modules } = config as CodeBlockConfig
  const wants = wantsFaults(sandbox, config as CodeBlockConfig)
  const refusal = refused[language]
  if (refusal) return [{ field: 'config.language', message: refusal }, ...wants]
  if (language === 'sql' || language === 'bash') return wants

  const had = wants.some(({ field }) => field.startsWith('config.dependencies')) ? [] : dependencies
  const fault = await sandbox.check(code, language, entry_point, tenant, had, modules)
  return fault ? [{ field: 'config.code', message: fault.message }, ...wants] : wants
}

/** Why code in a language cannot be called here. */
export const languageFault = (language: CodeBlockConfig['language']): string | undefined => refused[language]
