/** What an execution that is taken up again keeps of the one before. Decisions without I/O. */

import type { Graph, GraphEdge, GraphNode } from '../components/workflow-rules.ts'
import { rerunOf, type States } from './rules.ts'
import type { Kept } from './store.ts'

type Before = {
  graph: Graph
  states: States
  /** The node that the execution failed by: it is run again even where it gave a result, for an edge of it was at fault. */
  failed_by: string | null
}

/** The results that count in `graph`, when `from_node` and what comes after it is run again; without it whatever did not
 *  complete. */
export function keptOf(before: Before, graph: Graph, from_node?: string): Kept[] {
  const states = carriedOver(before, graph)
  if (before.failed_by !== null) states.delete(before.failed_by)
  const again = rerunOf(graph, states, from_node)
  return [...states].flatMap(([node_id, { taken }]) => (again.has(node_id) ? [] : [{ node_id, taken }]))
}

/** Of another definition, the results of those nodes that are there under the same id, do the same kind of thing and
 *  lead on by the same edges: what they decided can be said in its words. */
function carriedOver({ graph: old, states }: Before, graph: Graph): States {
  if (old === graph) return new Map(states)
  const carried: States = new Map()
  for (const [id, state] of states) {
    const [was, is] = [old.byId.get(id), graph.byId.get(id)]
    if (!was || !is || was.node.type !== is.node.type || !leadOnAlike(was, is)) continue
    const places = new Map(is.outgoing.map((edge) => [nameOf(edge), edge.index]))
    const names = was.outgoing.filter(({ index }) => state.taken.includes(index)).map(nameOf)
    carried.set(id, { ...state, taken: names.flatMap((name) => places.get(name) ?? []) })
  }
  return carried
}

const leadOnAlike = (was: GraphNode, is: GraphNode): boolean =>
  was.outgoing.map(nameOf).sort().join('\n') === is.outgoing.map(nameOf).sort().join('\n')

const nameOf = ({ target, on, condition }: GraphEdge): string => JSON.stringify([target, on, condition ?? null])
