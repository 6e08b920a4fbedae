/** What a type of node is: a function from a call to how the call ended. The interpreter calls it and keeps what came
 *  of it; here nothing is stored and nothing is decided about the rest of the graph. */

import type { CodeBlockConfig } from '@flow/contract/components/code-block'
import type { GraphNode } from '../../components/workflow-rules.ts'
import type { Platform } from '../../context.ts'
import { ExpressionFault, type JsonSchemaCheck, TooLarge, type Variables } from '../../expressions/expressions.ts'
import type { ItemRow, Items, StoredItem } from '../store.ts'

/** Characters of JSON that the output of one node may come to. */
export const OUTPUT_MAX = 4 * 1024 * 1024

/** Characters of JSON that the input of one node may come to: what the sandbox takes. */
export const INPUT_MAX = 8 * 1024 * 1024

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

  constructor(
    code: string,
    message: string,
    { is_final = false, cause }: { is_final?: boolean; cause?: unknown } = {},
  ) {
    super(tellable(message), { cause })
    this.name = 'NodeFailure'
    this.code = code
    this.is_final = is_final
  }
}

/** Text of strangers as every database takes it. */
const tellable = (message: string): string => message.replaceAll('\0', '\ufffd').slice(0, 4000).toWellFormed()

/** Evaluates what was written into the definition. That reaches nothing and waits for nothing, so whatever goes wrong
 *  does so every time: it is a failure of the node, never of the process. `too_large`: the code for what is so. */
export function evaluated<Result>(what: string, evaluate: () => Result, too_large = 'INPUT_TOO_LARGE'): Result {
  try {
    return evaluate()
  } catch (error) {
    if (error instanceof NodeFailure) throw error
    const failed = (code: string, message: string, cause?: unknown) =>
      new NodeFailure(code, `${what}: ${message}`, { is_final: true, cause })
    if (error instanceof TooLarge) throw failed(too_large, error.message)
    if (error instanceof ExpressionFault) throw failed('EXPRESSION_FAILED', error.message)
    if (error instanceof RangeError) throw failed('EXPRESSION_FAILED', 'It is too large, or nested too deeply.')
    throw failed('EXPRESSION_FAILED', 'It cannot be evaluated.', error)
  }
}

/** Names one attempt to whatever it reaches outside: the same when it is made again after a crash. */
export const idempotencyKey = (execution_id: string, node_id: string, attempt: number, index?: number): string =>
  [execution_id, node_id, ...(index === undefined ? [] : [index]), attempt].join(':')
