/** What the type of a node is given when the node is performed: its input and what it may use, and whom it tells. */

import type { GraphNode } from '../components/workflow-rules.ts'
import { written } from '../context.ts'
import type { Surroundings } from './attempts.ts'
import { tellingOf } from './measuring.ts'
import type { NodeCall } from './nodes/node.ts'
import * as store from './store.ts'
import { tracingOf } from './tracing-rules.ts'

export type Called = {
  at: GraphNode
  attempt: number
  input: unknown
  signal: AbortSignal
  /** No attempt was begun before. */
  is_new: boolean
  tellItems(items: store.Items): void
  spend(ms: number): void
}

export function callOf(of: Surroundings, { at, attempt, input, signal, is_new, tellItems, spend }: Called): NodeCall {
  const { node } = at
  const { ctx, execution, snapshot, memory, platform, journal, clock } = of
  const ref = ('component_ref' in node && node.component_ref) || ''
  const now = clock.now()
  return {
    at,
    // Most of what is pure has no need of it.
    get ctx() {
      return { ...ctx, now: written(now) }
    },
    platform,
    tenant: execution.workspace_id,
    input,
    variables: memory.variables(),
    now,
    attempt,
    asked: new Map(),
    about: { execution_id: execution.id, workflow_id: execution.workflow_id, node_id: node.id },
    depth: { calls: execution.depth, events: execution.event_depth },
    signal,
    block: snapshot.blocks.get(ref),
    schema: snapshot.schemas.get(ref),
    components: snapshot.components,
    ...tracingOf(execution.id, node.id, attempt, snapshot.observability),
    recordedItems: async () => (is_new ? [] : store.itemsOf(platform.database.platform, execution.id, node.id)),
    keepItem: (item) => journal.item({ ...item, node_id: node.id }),
    tellItems,
    ...tellingOf(of, { node_id: node.id, attempt, input }),
    spend,
  }
}
