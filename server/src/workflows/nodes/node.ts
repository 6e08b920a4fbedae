/** What a type of node is: a function from a call to how the call ended. The interpreter calls it and keeps what came
 *  of it; here nothing is stored and nothing is decided about the rest of the graph.
 *
 *  A node that waits for something outside says what is to be opened (a task, a child). That is done in the very
 *  transaction that records it as waiting, so it is opened once, whatever happens to processes. What comes for it is an
 *  arrival. */

import type { CodeBlockConfig } from '@flow/contract/components/code-block'
import type { WorkflowNode } from '@flow/contract/components/workflow'
import type { RunTrace } from '../../asking.ts'
import type { Used } from '../../components/components.ts'
import type { GraphNode } from '../../components/workflow-rules.ts'
import type { Context, Platform } from '../../context.ts'
import type { Db } from '../../db/db.ts'
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
  platform: Pick<Platform, 'sandbox' | 'fetch' | 'asking'>
  /** Whose turn it is in the sandbox. */
  tenant: string
  /** The context of whoever started the execution, as the platform. */
  ctx: Context
  /** The node's input, mapped. A `map` maps it for each of its items. */
  input: unknown
  variables: Variables
  now: Date
  attempt: number
  /** What code has asked the platform for in this attempt, and how often. */
  asked: Map<string, number>
  /** What code may know about where it runs. */
  about: { execution_id: string; workflow_id: string; node_id: string }
  /** How many calls and how many events led to this execution. */
  depth: { calls: number; events: number }
  signal: AbortSignal
  /** The code block of the node. */
  block: Block | undefined
  /** The schema that the node refers to. */
  schema: JsonSchemaCheck | undefined
  /** The transforms and validations of the workflow and what they refer to, by reference. */
  components: ReadonlyMap<string, Used>
  /** Where it stands in the execution's trace, if it is traced. */
  trace: RunTrace | undefined
  /** Where calls outside belong to in a trace (W3C Trace Context). */
  traceparent: string | undefined
  /** What is recorded of a map's items already. */
  recordedItems(): Promise<StoredItem[]>
  keepItem(row: Omit<ItemRow, 'node_id'>): void
  tellItems(items: Items): void
  /** Takes what code has measured; refuses what was not declared. */
  measure(args: unknown): void
  /** Tells lines of the log, if anybody wants them. `at`: milliseconds since 1970. */
  log(lines: { level: 'debug' | 'info' | 'warn' | 'error'; text: string; at: number }[]): void
  /** What an observability component wants told of prompts and tools. */
  tells: { prompts: boolean; tools: boolean }
  /** Code ran for so long. */
  spend(ms: number): void
}

/** What is done in the transaction that records something. */
export type Effect = (db: Db) => Promise<unknown>

/** It is done; or it waits until a time, with the output it has then; or for an arrival, with what opens it. */
export type Ending =
  | { output: unknown; items?: Items }
  | { wait_until: string; output: unknown }
  | { waits: { until?: string; open?: Effect } }

export type Perform = (call: NodeCall) => Promise<Ending>

export type Kind = {
  perform: Perform
  /** What becomes of a node of this type that waited until its time: without it, it fails with `TIMEOUT`. */
  due?: (at: GraphNode, input: unknown) => Ending
  /** `timeout_seconds` is seen to by the type itself: it is not the time of one call. */
  hasOwnLimit?: true
  /** It opens something for others, which is closed when the node ends before it has come. */
  opens?: true
  /** What it gives follows from what is recorded and from nothing else, and it reaches nowhere: what is pure, too, may
   *  go on from it before it is recorded. */
  isPure?: true
}

/** The node of a call, of the type that its kind is for. */
export function nodeOf<Type extends WorkflowNode['type']>(
  { at }: NodeCall,
  type: Type,
): Extract<WorkflowNode, { type: Type }> {
  if (at.node.type !== type) throw new Error(`a node of the type ${at.node.type} is performed as ${type}`)
  return at.node as Extract<WorkflowNode, { type: Type }>
}

/** The time by which what a node waits for has to have come. */
export const deadlineOf = ({ at, now }: NodeCall): string | undefined =>
  at.node.timeout_seconds === undefined
    ? undefined
    : new Date(now.getTime() + at.node.timeout_seconds * 1000).toISOString()

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
export const tellable = (message: string): string => message.replaceAll('\0', '\ufffd').slice(0, 4000).toWellFormed()

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

/** A condition says yes or no, and nothing that is like it. */
export function isTrue(value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw new ExpressionFault(`It gives ${JSON.stringify(value)?.slice(0, 100)}, not a boolean.`)
}

/** The texts and values of a node's type, with their expressions replaced. */
export const fieldsOf = <Fields extends object>({ at, variables }: NodeCall): Fields =>
  evaluated('The node', () => at.fields?.render(variables, INPUT_MAX)) as Fields

/** Names one attempt to whatever it reaches outside: the same when it is made again after a crash. */
export const idempotencyKey = (execution_id: string, node_id: string, attempt: number, index?: number): string =>
  [execution_id, node_id, ...(index === undefined ? [] : [index]), attempt].join(':')

/** The first thing in which a value does not fit a schema, as a failure. */
export function assertFits(check: JsonSchemaCheck | undefined, value: unknown, code: string, sentence: string): void {
  const [fault] = check?.(value) ?? []
  if (fault) throw new NodeFailure(code, `${sentence}: ${fault.place || 'it'} ${fault.message}.`, { is_final: true })
}
