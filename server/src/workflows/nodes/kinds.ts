/** The types of nodes there are. A new type is a new file and a new line. */

import type { WorkflowNode } from '@flow/contract/components/workflow'
import type { missing } from '@flow/contract/nodes/later'
import type { GraphNode } from '../../components/workflow-rules.ts'
import { child } from './child.ts'
import { runCode } from './code.ts'
import { http } from './http.ts'
import { humanTask } from './human-task.ts'
import { performMap } from './map.ts'
import { evaluated, type Kind, NodeFailure } from './node.ts'
import { prompt } from './prompt.ts'
import { tool } from './tool.ts'
import { transform } from './transform.ts'
import { validation } from './validation.ts'
import { wait } from './wait.ts'
import { webhookWait } from './webhook-wait.ts'

const code: Kind = { perform: async (call) => ({ output: await runCode(call, call.input) }) }

const condition: Kind = {
  isPure: true,
  perform: async ({ at, variables }) => ({
    output: evaluated('The condition', () => at.condition?.evaluate(variables), 'OUTPUT_TOO_LARGE'),
  }),
}

/** None is saved; an execution that was pinned to one by another release is told so. */
const later = (type: keyof typeof missing): Kind => ({
  async perform() {
    const message = `Nodes of the type "${type}" are not available here.`
    throw new NodeFailure('NOT_AVAILABLE', message, { is_final: true })
  },
})

export const kinds: Record<WorkflowNode['type'], Kind> = {
  code_block: code,
  codeblock: code,
  condition,
  http,
  human_task: humanTask,
  map: { perform: performMap, hasOwnLimit: true },
  prompt,
  tool,
  transform,
  validation,
  wait,
  webhook_wait: webhookWait,
  workflow: child,
  agent: later('agent'),
  connector_operation: later('connector_operation'),
  dataset_query: later('dataset_query'),
  hosted_service: later('hosted_service'),
  vector_search: later('vector_search'),
}

/** What a pure node gives follows from what is recorded. A component's rule may be code of strangers, which gives what it
 *  likes. */
export const isPure = ({ node }: GraphNode): boolean =>
  kinds[node.type].isPure === true && !('component_ref' in node && node.component_ref)
