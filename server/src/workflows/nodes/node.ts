/** What a type of node is: a function from a call to how the call ended. The interpreter calls it and keeps what came
 *  of it; here nothing is stored and nothing is decided about the rest of the graph. */

import type { CodeBlockConfig } from '@flow/contract/components/code-block'
import type { GraphNode } from '../../components/workflow-rules.ts'
import type { Platform } from '../../context.ts'
import { ExpressionFault, type JsonSchemaCheck, type Variables } from '../../expressions/expressions.ts'
import type { ItemRow, Items, StoredItem } from '../store.ts'

/** Characters of JSON that the output of one node may come to. */
export const OUTPUT_MAX = 4 * 1024 * 1024

/** A code block as it was when the execution began. */
export type Block = {
  component_id: string
  version: string
  config: CodeBlockConfig
  checkInput?: JsonSchemaCheck
  checkOutput?: JsonSchemaCheck
}

export type NodeCall = {
  at: GraphNode
  platform: Pick<Platform, 'sandbox'>
  /** Whose turn it is in the sandbox. */
  tenant: string
  /** The node's input, mapped. A `map` maps it for each of its items. */
  input: unknown
  variables: Variables
  now: Date
  attempt: number
  /** What code may know about where it runs. */
  about: { execution_id: string; workflow_id: string; node_id: string }
  signal: AbortSignal
  /** The code block of the node. */
  block: Block | undefined
  /** What is recorded of a map's items already. */
  recordedItems(): Promise<StoredItem[]>
  keepItem(row: Omit<ItemRow, 'node_id'>): void
  tellItems(items: Items): void
  /** Code ran for so long. */
  spend(ms: number): void
}

export type Ending = { output: unknown; items?: Items } | { wait_until: string; output: unknown }
export type Perform = (call: NodeCall) => Promise<Ending>

/** A failure of a node: a code for programs, a sentence for people, and whether another attempt may help. */
export class NodeFailure extends Error {
  readonly code: string
  readonly is_final: boolean

  constructor(code: string, message: string, { is_final = false } = {}) {
    super(message)
    this.name = 'NodeFailure'
    this.code = code
    this.is_final = is_final
  }
}

/** What went wrong, as a failure. Expressions fail the same way every time. */
export function failureOf(error: unknown, what: string): NodeFailure {
  if (error instanceof NodeFailure) return error
  if (error instanceof ExpressionFault)
    return new NodeFailure('EXPRESSION_FAILED', `${what}: ${error.message}`, { is_final: true })
  throw error
}

/** Names one attempt to whatever it reaches outside: the same when it is made again after a crash. */
export const idempotencyKey = (execution_id: string, node_id: string, attempt: number, index?: number): string =>
  [execution_id, node_id, ...(index === undefined ? [] : [index]), attempt].join(':')
