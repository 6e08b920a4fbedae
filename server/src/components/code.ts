/** Whether a code block's code could run: it parses, and exports its entry point. Only the sandbox reads it. */

import type { FieldError } from '@flow/contract/common'
import type { Component, ComponentType } from '@flow/contract/components'
import type { CodeBlockConfig } from '@flow/contract/components/code-block'
import type { Sandbox } from '../sandbox/sandbox.ts'

/** Languages that this platform cannot run, and why. */
const refused: Partial<Record<CodeBlockConfig['language'], string>> = {
  python: 'Python code blocks can be kept, but not published: no Python runtime is installed.',
  sql: 'SQL code blocks can be kept, but not published: they run through a database connector, and there is none.',
  bash: 'Bash is not run: there is no isolated runner for it on this platform.',
}

export async function codeFaults(
  sandbox: Sandbox,
  tenant: string,
  type: ComponentType,
  config: Component['config'],
): Promise<FieldError[]> {
  if (type !== 'code_block') return []
  const { language, code, entry_point } = config as CodeBlockConfig
  const refusal = refused[language]
  if (refusal) return [{ field: 'config.language', message: refusal }]
  if (language !== 'javascript' && language !== 'typescript') return []

  const fault = await sandbox.check(code, language, entry_point, tenant)
  return fault ? [{ field: 'config.code', message: fault.message }] : []
}
