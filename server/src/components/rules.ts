/** What each type of component demands of its configuration, and what it refers to. Decisions without I/O. */

import { createHash } from 'node:crypto'
import type { FieldError } from '@flow/contract/common'
import { type Change, type Component, type ComponentType, configs } from '@flow/contract/components'
import canonicalize from 'canonicalize'
import { Failure, invalid } from '../failure.ts'
import { parseShape } from '../shape.ts'
import { differences } from './diff.ts'
import type { Reference } from './types/kind.ts'
import { kindOf } from './types/kinds.ts'

/** The configuration as its type has it, with defaults. Throws with every bad field named, below `config`. */
export function parseConfig(type: ComponentType, config: unknown): Component['config'] {
  const parsed = parseShape(configs[type], config, 'config')
  if (parsed.faults) throw invalid(parsed.faults)
  return parsed.value
}

/** Faults that the shape alone does not show. */
export const configFaults = (type: ComponentType, config: Component['config']): FieldError[] =>
  kindOf(type).faults?.(config) ?? []

/** The components that a configuration names, and where. */
export const referencesOf = (type: ComponentType, config: Component['config']): Reference[] =>
  kindOf(type).references?.(config) ?? []

/** How two configurations of one type differ. What was kept without a field that has been added since has its default. */
export const configDifferences = (type: ComponentType, before: unknown, after: unknown): Change[] =>
  differences(withDefaults(type, before), withDefaults(type, after))

/** As its type has it now; what does not fit is left as it is stored. */
export function withDefaults(type: ComponentType, config: unknown): unknown {
  const parsed = configs[type].safeParse(config)
  return parsed.success ? parsed.data : config
}

/** The digest of a configuration: SHA-256 over its canonical JSON (RFC 8785), so that order and space don't count. */
export function digestOf(config: unknown): string {
  const canonical = canonicalize(config)
  if (canonical === undefined) throw new Failure('INTERNAL', 'A configuration is not JSON.')
  return `sha256:${createHash('sha256').update(canonical).digest('hex')}`
}
