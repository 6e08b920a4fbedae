/** `workflow`: begins another execution and waits for its end. */

import { Failure } from '../../failure.ts'
import { DEPTH_MAX, prepareChild } from '../beginning.ts'
import { deadlineOf, type Ending, type Kind, type NodeCall, NodeFailure, nodeOf } from './node.ts'

export const child: Kind = {
  hasOwnLimit: true,
  opens: true,
  async perform(call) {
    const { component_ref, on_parent_end } = nodeOf(call, 'workflow')
    return beginChild(call, component_ref, on_parent_end)
  },
}

/** Another execution, which the node waits for. */
export async function beginChild(call: NodeCall, ref: string, on_parent_end: 'cancel' | 'leave'): Promise<Ending> {
  const depth = call.depth.calls + 1
  if (depth > DEPTH_MAX) {
    throw new NodeFailure('TOO_DEEP', `Workflows call each other more than ${DEPTH_MAX} deep.`, { is_final: true })
  }
  const parent = { ...call.about, attempt: call.attempt, on_parent_end, depth, event_depth: call.depth.events }
  const open = await prepareChild(call.ctx, ref, call.input, parent).catch((error: unknown) => {
    if (!(error instanceof Failure) || error.code === 'UNAVAILABLE') throw error
    const [detail] = error.details
    const message = detail ? `${error.message} ${detail.field}: ${detail.message}` : error.message
    throw new NodeFailure('CHILD_REFUSED', message, { is_final: true })
  })
  const until = deadlineOf(call)
  return { waits: { ...(until ? { until } : {}), open } }
}
