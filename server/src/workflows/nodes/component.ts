/** Runs a transform or a validation of the snapshot in a node: what it calls is pinned with it, and code runs as it does
 *  in a node of its own. */

import type { CodeBlockConfig } from '@flow/contract/components/code-block'
import { checksOf, type Means, RunFailure, type Used } from '../../components/components.ts'
import { runCode } from './code.ts'
import { type NodeCall, NodeFailure } from './node.ts'

/** The component that the node refers to, if it is one of these. */
export function componentOf({ at, components }: NodeCall): Used | undefined {
  return 'component_ref' in at.node ? components.get(at.node.component_ref ?? '') : undefined
}

/** What a component gives in this node; that it gives nothing is a failure of the node. */
export async function running<Result>(call: NodeCall, run: (means: Means) => Promise<Result>): Promise<Result> {
  try {
    return await run(meansOf(call))
  } catch (error) {
    if (error instanceof RunFailure) throw new NodeFailure(error.code, error.message, { is_final: error.is_final })
    throw error
  }
}

function meansOf(call: NodeCall): Means {
  const { components, platform, signal, about, ctx } = call
  return {
    find: async (ref) => components.get(ref),
    code(block, { input, entry_point, timeout_seconds }) {
      const config = block.config as CodeBlockConfig
      const called = {
        ...config,
        entry_point: entry_point ?? config.entry_point,
        timeout_seconds: Math.min(config.timeout_seconds, timeout_seconds ?? config.timeout_seconds),
      }
      const { id: component_id, version } = block
      return runCode({ ...call, block: { component_id, version, config: called, ...checksOf(config) } }, input)
    },
    fetch: platform.fetch,
    signal,
    about: { workspace_id: ctx.workspace_id, ...about },
  }
}
