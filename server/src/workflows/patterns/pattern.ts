/** The catalogue of control-flow patterns (N. Russell, A. ter Hofstede, W. van der Aalst, N. Mulyar: "Workflow
 *  Control-Flow Patterns: A Revised View", 2006) as workflows that can be run. Here is what a pattern is written with;
 *  each group of them is a file beside this one, catalogue.ts has them all, patterns.test.ts runs them, and print.ts
 *  writes docs/workflow-patterns.md. Nothing of the product imports this folder. */

import type { JsonValue } from '@flow/contract/common'
import type { Execution } from '@flow/contract/workflows'

/** The folder of the catalogue's site in which a pattern is defined. */
export type Chapter =
  | 'basic'
  | 'advanced_branching'
  | 'structural'
  | 'multiple_instance'
  | 'state'
  | 'cancellation'
  | 'new'

export type Pattern = {
  number: number
  name: string
  chapter: Chapter
  /** `direct`: a word of the model is the pattern. `composed`: several are put together for it, and `by` says how far
   *  that carries. */
  support: 'direct' | 'composed'
  /** What expresses it, in a line of Markdown. */
  by: string
  /** Code blocks by slug. */
  blocks?: Record<string, string>
  /** Other workflows by slug. The one that is run has the slug `main`. */
  others?: Record<string, object>
  definition: object
  input?: JsonValue
  /** What people and callers do while it runs, and what must hold in between. */
  drive?: (at: Driven) => Promise<void>
  /** What must hold when it has ended, beside `expected`. */
  check?: (at: Driven) => Promise<void>
  expected: { status?: Execution['status']; output: JsonValue; nodes: Record<string, string> }
}

/** What cannot be expressed, and why. */
export type Missing = Pick<Pattern, 'number' | 'name' | 'chapter'> & { reason: string }

/** The hands of those who are waited for. Without `of` it is about the execution that was begun first. */
export type Driven = {
  id: string
  /** Waits until a node has this status. */
  until(node: string, status: string, of?: string): Promise<void>
  nodes(of?: string): Promise<Record<string, string>>
  status(of?: string): Promise<string>
  /** Calls the address of a `webhook_wait`, and gives the status of the answer. */
  call(node: string, body?: JsonValue, of?: string): Promise<number>
  /** Answers the open task of a `human_task`; false when there is none. */
  answer(node: string, data: Record<string, JsonValue>, of?: string): Promise<boolean>
  /** Begins one more execution. */
  start(input: JsonValue): Promise<string>
  cancel(): Promise<void>
  /** The executions of a workflow, the first one first. */
  executions(slug: string): Promise<Execution[]>
  end(of: string): Promise<Execution>
}

// ---- what definitions are written with

/** A task that gives its own name. */
export const task = (id: string, more: object = {}) => ({ id, type: 'transform', output: id, ...more })
/** A task that is done when it is called from outside. */
export const hold = (id: string, more: object = {}) => ({ id, type: 'webhook_wait', ...more })
export const code = (id: string, slug: string, more: object = {}) => ({
  id,
  type: 'code_block',
  component_ref: slug,
  ...more,
})
export const call = (id: string, slug: string, more: object = {}) => ({
  id,
  type: 'workflow',
  component_ref: slug,
  ...more,
})
export const edge = (source: string, target: string, condition?: string) => ({
  source,
  target,
  ...(condition === undefined ? {} : { condition }),
})
/** Edges from each to the next: `chain('a', 'b', 'c')`. */
export const chain = (...ids: string[]) => ids.slice(1).map((id, i) => edge(ids[i] ?? '', id))

/** The same status for several nodes. */
export const all = (status: string, ...ids: string[]) => Object.fromEntries(ids.map((id) => [id, status]))
