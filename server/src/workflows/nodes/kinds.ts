/** The types of nodes there are. A new type is a new function and a new line. */

import type { WorkflowNode } from '@flow/contract/components/workflow'
import { parseTimestamp } from '../../expressions/expressions.ts'
import { runCode } from './code.ts'
import { performMap } from './map.ts'
import { evaluated, NodeFailure, type Perform } from './node.ts'

const performCode: Perform = async (call) => ({ output: await runCode(call, call.input) })

const performCondition: Perform = async ({ at, variables }) => ({
  output: evaluated('The condition', () => at.condition?.evaluate(variables), 'OUTPUT_TOO_LARGE'),
})

/** The input passes through. */
const performWait: Perform = async ({ at, variables, input, now }) => {
  const { node } = at
  if (node.type !== 'wait') throw new Error('this is not a wait')
  if (node.seconds !== undefined) {
    return { wait_until: new Date(now.getTime() + node.seconds * 1000).toISOString(), output: input }
  }
  const until = evaluated('The time', () => parseTimestamp(String(at.until?.render(variables))).toString())
  return { wait_until: new Date(until).toISOString(), output: input }
}

export const kinds: Record<WorkflowNode['type'], Perform> = {
  code_block: performCode,
  codeblock: performCode,
  condition: performCondition,
  map: performMap,
  wait: performWait,
}

export { NodeFailure }
