/** What each type of component demands of its configuration, and what it refers to. Decisions without I/O. */

import { createHash } from 'node:crypto'
import type { FieldError } from '@flow/contract/common'
import { type Component, type ComponentType, configs } from '@flow/contract/components'
import type { CodeBlockConfig } from '@flow/contract/components/code-block'
import type { WorkflowConfig } from '@flow/contract/components/workflow'
import canonicalize from 'canonicalize'
import { Failure, invalid } from '../failure.ts'
import { parseShape } from '../shape.ts'
import { blockFaults } from './code.ts'
import { checkWorkflow, referencesOf as workflowReferences } from './workflow-rules.ts'

export type Reference = { field: string; ref: string; type: ComponentType }

/** The configuration as its type has it, with defaults. Throws with every bad field named, below `config`. */
export function parseConfig(type: ComponentType, config: unknown): Component['config'] {
  const parsed = parseShape(configs[type], config, 'config')
  if (parsed.faults) throw invalid(parsed.faults)
  return parsed.value
}

/** Faults that the shape alone does not show. */
export function configFaults(type: ComponentType, config: Component['config']): FieldError[] {
  if (type === 'code_block') return blockFaults(config as CodeBlockConfig)
  if (type !== 'workflow') return []
  return checkWorkflow(config as WorkflowConfig).map(({ field, message }) => ({ field: `config.${field}`, message }))
}

/** The components that a configuration names, and where. */
export const referencesOf = (type: ComponentType, config: Component['config']): Reference[] =>
  type === 'workflow' ? workflowReferences(config as WorkflowConfig) : []

/** The digest of a configuration: SHA-256 over its canonical JSON (RFC 8785), so that order and space don't count. */
export function digestOf(config: unknown): string {
  const canonical = canonicalize(config)
  if (canonical === undefined) throw new Failure('INTERNAL', 'A configuration is not JSON.')
  return `sha256:${createHash('sha256').update(canonical).digest('hex')}`
}
