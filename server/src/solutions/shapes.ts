/** What the shapes of a flowchart mean: which type of component a node stands for. The table is in the documentation
 *  (docs/solutions.md), and a test compares the two. */

import type { Component, ComponentType } from '@flow/contract/components'
import { configs } from '@flow/contract/components'
import type { FlowchartNode } from './flowchart.ts'

/** What a node is: a component; a `branch` or an `end` of the workflow, which is no component; or unknown. */
export type Meaning = ComponentType | 'branch' | 'end' | 'unknown'

/** By Mermaid's name of the shape, and its other names (https://mermaid.js.org/syntax/flowchart.html). */
export const meanings: Partial<Record<string, Exclude<Meaning, 'unknown'>>> = {
  // A ["…"] process
  square: 'code_block',
  rect: 'code_block',
  rectangle: 'code_block',
  proc: 'code_block',
  process: 'code_block',
  // A ("…") event
  round: 'agent',
  rounded: 'agent',
  event: 'agent',
  // A [["…"]] subprocess
  subroutine: 'workflow',
  subproc: 'workflow',
  subprocess: 'workflow',
  'fr-rect': 'workflow',
  'framed-rectangle': 'workflow',
  // A [("…")] database
  cylinder: 'state',
  cyl: 'state',
  db: 'state',
  database: 'state',
  // A {{"…"}} preparation
  hexagon: 'transform',
  hex: 'transform',
  prepare: 'transform',
  // A [/"…"/] and [\"…"\], input and output
  lean_right: 'schema',
  'lean-r': 'schema',
  'lean-right': 'schema',
  'in-out': 'schema',
  lean_left: 'schema',
  'lean-l': 'schema',
  'lean-left': 'schema',
  'out-in': 'schema',
  // A [/"…"\] and [\"…"/], something that is operated
  trapezoid: 'tool',
  'trap-b': 'tool',
  'trapezoid-bottom': 'tool',
  priority: 'tool',
  inv_trapezoid: 'validation',
  'trap-t': 'validation',
  'trapezoid-top': 'validation',
  'inv-trapezoid': 'validation',
  manual: 'validation',
  // A >"…"] and documents
  odd: 'prompt',
  doc: 'prompt',
  document: 'prompt',
  docs: 'prompt',
  documents: 'prompt',
  // A {"…"} decision
  diamond: 'branch',
  diam: 'branch',
  decision: 'branch',
  question: 'branch',
  // A (["…"]), (("…")) and ((("…"))), where it begins and ends
  stadium: 'end',
  pill: 'end',
  terminal: 'end',
  circle: 'end',
  circ: 'end',
  doublecircle: 'end',
  'dbl-circ': 'end',
  'double-circle': 'end',
  'sm-circ': 'end',
  'small-circle': 'end',
  start: 'end',
  'fr-circ': 'end',
  'framed-circle': 'end',
  stop: 'end',
}

/** A class that is called as a type says it outright: `A["…"]:::model`. */
export function meaningOf({ shape, classes }: Pick<FlowchartNode, 'shape' | 'classes'>): Meaning {
  const said = classes.find((name): name is ComponentType => Object.hasOwn(configs, name))
  if (said) return said
  return (Object.hasOwn(meanings, shape) && meanings[shape]) || 'unknown'
}

/** What a skeleton may name: an agent has a model. */
export type Named = { model: string }

/** A sound configuration to begin with. */
export const skeletonOf: { [Type in ComponentType]: (label: string, named: Named) => Config<Type> } = {
  agent: (_, { model }) => ({ model_ref: model }),
  code_block: (label) => ({
    language: 'typescript',
    code: `// ${label}\nexport function main(input: Record<string, unknown>) {\n  return input\n}\n`,
  }),
  model: () => ({ model: 'flow/echo' }),
  observability: () => ({}),
  prompt: (label) => ({ system_message: label.replaceAll('{{', '\\{{') }),
  schema: () => ({ fields: [{ name: 'value', type: 'any' }], strict_validation: false }),
  state: () => ({}),
  tool: () => ({ implementation_type: 'api_endpoint', implementation_ref: 'GET https://api.example.com/' }),
  transform: () => ({ expression: '{{ input }}' }),
  validation: () => ({ rule_type: 'not_null' }),
  workflow: () => ({ nodes: [{ id: 'begin', type: 'condition', condition: 'true' }] }),
}
type Config<Type extends ComponentType> = Partial<Extract<Component, { type: Type }>['config']> | object
