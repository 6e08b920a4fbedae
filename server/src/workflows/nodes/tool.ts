/** `tool`: calls what a tool stands for, with its arguments checked: code that is pinned with it, an address outside, or
 *  another workflow as a child. */

import type { ToolConfig } from '@flow/contract/components/tool'
import { assertArguments, type Means, runTool } from '../../components/components.ts'
import { beginChild } from './child.ts'
import { componentOf, running } from './component.ts'
import { idempotencyKey, type Kind, type NodeCall, NodeFailure } from './node.ts'

export const tool: Kind = {
  opens: true,
  async perform(call) {
    const component = componentOf(call)
    if (!component) {
      throw new NodeFailure('COMPONENT_MISSING', 'The tool is not part of this execution.', { is_final: true })
    }
    const config = component.config as ToolConfig
    const input = call.input ?? {}
    if (config.implementation_type !== 'workflow') {
      const output = await running(call, (means) => runTool(config, input, { ...means, fetch: fetchOf(call, means) }))
      if (call.tells.tools) call.log([{ level: 'info', text: JSON.stringify(output), at: call.now.getTime() }])
      return { output }
    }
    await running(call, async () => assertArguments(config, input))
    return beginChild({ ...call, input }, config.implementation_ref, 'cancel')
  },
}

/** What is called outside can know that it is the same attempt, and where it belongs to in a trace. */
function fetchOf({ about, attempt, traceparent }: NodeCall, means: Means): Means['fetch'] {
  return Object.assign(
    (...[url, init]: Parameters<Means['fetch']>) => {
      const headers = new Headers(init?.headers)
      if (traceparent) headers.set('traceparent', traceparent)
      if (init?.method !== 'GET') {
        headers.set('idempotency-key', idempotencyKey(about.execution_id, about.node_id, attempt))
      }
      return means.fetch(url, { ...init, headers })
    },
    { close: means.fetch.close },
  )
}
