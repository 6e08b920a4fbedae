/** Skeletons: which components a flowchart becomes, and which workflow its edges become. Decisions without I/O.
 *
 *  The workflow has a node for each component that a workflow can run, and a condition for each decision. What stands
 *  between two of those (a state, a schema, where it begins or ends) is passed over: its neighbours are joined. A
 *  workflow runs in no circles: an edge that closes one is left out, and named. */

import type { ComponentType } from '@flow/contract/components'
import { missing } from '@flow/contract/nodes/later'
import type { Skeleton } from '@flow/contract/solutions'
import type { Flowchart, FlowchartEdge, FlowchartNode } from './flowchart.ts'
import { type Meaning, meaningOf } from './shapes.ts'

/** A component to be made. */
export type Part = { node_id: string; type: ComponentType; name: string; slug: string; label: string }
export type Plan = Pick<Skeleton, 'unknown_shapes'> & { parts: Part[] }

const LABEL_MAX = 200

/** What is to be made of the nodes: of those that `known` does not have. Models come first, since agents name them. */
export function planOf({ nodes }: Flowchart, known: ReadonlySet<string>): Plan {
  const parts: Part[] = []
  const unknown_shapes: Skeleton['unknown_shapes'] = []
  for (const { id, label, shape, classes } of nodes) {
    const meaning = meaningOf({ shape, classes })
    if (meaning === 'unknown') unknown_shapes.push({ node_id: id, shape, label })
    if (known.has(id) || !isComponent(meaning)) continue
    const name = label.slice(0, LABEL_MAX).trim() || id.slice(0, LABEL_MAX)
    parts.push({ node_id: id, type: meaning, name, slug: slugOf(name, id), label: name })
  }
  const isModel = ({ type }: Part) => Number(type === 'model')
  return { parts: parts.toSorted((a, b) => isModel(b) - isModel(a)), unknown_shapes }
}

const isComponent = (meaning: Meaning): meaning is ComponentType =>
  meaning !== 'unknown' && meaning !== 'branch' && meaning !== 'end'

/** The label as a slug; the node's own id where nothing is left of it. */
export function slugOf(label: string, id: string): string {
  const plain = (text: string) =>
    text
      .normalize('NFKD')
      .replace(/\p{M}/gu, '')
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .slice(0, 80)
      .replace(/^-|-$/g, '')
  const slug = plain(label) || plain(id) || 'node'
  return slug.length < 3 ? `node-${slug}` : slug
}

/** The slug, or the first with a number behind it that is not taken. */
export function freeSlug(slug: string, taken: ReadonlySet<string>): string {
  if (!taken.has(slug)) return slug
  for (let number = 2; ; number += 1) {
    const next = `${slug.slice(0, 90).replace(/-$/, '')}-${number}`
    if (!taken.has(next)) return next
  }
}

// ---- the workflow

/** Components that are nodes of a workflow, of the same name. */
const runnable = ['code_block', 'prompt', 'transform', 'validation', 'workflow'] as const
type Runnable = (typeof runnable)[number]
const isRunnable = (meaning: Meaning): meaning is Runnable => runnable.some((each) => each === meaning)

type WorkflowNode =
  | { id: string; type: Runnable; label: string; component_ref: string }
  | { id: string; type: 'condition'; label: string; condition: string }
type WorkflowEdge = { source: string; target: string; condition?: string }
export type FlowchartWorkflow = { nodes: WorkflowNode[]; edges: WorkflowEdge[] }

/** The edges as a workflow; none where nothing that can run is joined with anything. `slugs`: the components by node. */
export function workflowOf(
  { nodes, edges }: Flowchart,
  slugs: ReadonlyMap<string, string>,
): { workflow?: FlowchartWorkflow; left_out: Skeleton['left_out'] } {
  const left_out: Skeleton['left_out'] = []
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const known = edges.filter(({ source, target }) => {
    if (byId.has(source) && byId.has(target)) return true
    left_out.push({ source, target, reason: 'It begins or ends at a subgraph.' })
    return false
  })
  for (const { source, target } of known) {
    const reason = [source, target]
      .map((id) => byId.get(id))
      .map((node) => node && passedOver(node))
      .find(Boolean)
    if (reason) left_out.push({ source, target, reason })
  }
  const isRun = (id: string) => runs(byId.get(id)) && (slugs.has(id) || meaningOf(byId.get(id) ?? none) === 'branch')
  const joined = withoutCircles(joinedOf(known, isRun), left_out)
  if (joined.length === 0) return { left_out }

  const inside = nodes.filter(({ id }) => joined.some(({ source, target }) => source === id || target === id))
  const ids = nodeIds(inside)
  const branches = new Map(
    inside.filter((node) => meaningOf(node) === 'branch').map(({ id }) => [id, answersOf(joined, id)]),
  )
  return {
    left_out,
    workflow: {
      nodes: inside.map((node) => nodeOf(node, ids.get(node.id) ?? '', slugs.get(node.id), branches.get(node.id))),
      edges: joined.map(({ source, target, labels }) => {
        const id = ids.get(source) ?? ''
        const condition = conditionOf(id, labels, branches.get(source))
        return { source: id, target: ids.get(target) ?? '', ...(condition ? { condition } : {}) }
      }),
    },
  }
}

const none = { shape: '', classes: [] }

const runs = (node: FlowchartNode | undefined): boolean =>
  node !== undefined && (isRunnable(meaningOf(node)) || meaningOf(node) === 'branch')

/** Why a node of the flowchart is none of the workflow, where one could think that it is. */
function passedOver(node: FlowchartNode): string | undefined {
  const meaning = meaningOf(node)
  if (runs(node) || meaning === 'end') return undefined
  if (meaning === 'unknown') return `The shape of "${node.id}" means no component.`
  if (Object.hasOwn(missing, meaning)) return `"${node.id}" is passed over: workflows run no ${meaning}s yet.`
  return `"${node.id}" is passed over: a ${meaning.replace('_', ' ')} is no node of a workflow.`
}

/** `labels`: what is written at the ways from the one to the other; with an empty one among them it is taken always. */
type Joined = { source: string; target: string; labels: string[] }

/** The edges between nodes that run, over those that don't: each once, with the labels it begins with. */
function joinedOf(edges: FlowchartEdge[], isRun: (id: string) => boolean): Joined[] {
  const outgoing = Map.groupBy(edges, ({ source }) => source)
  const joined = new Map<string, Joined>()
  for (const { source, target, label } of edges) {
    if (!isRun(source)) continue
    const seen = new Set<string>()
    const ahead = [target]
    for (let id = ahead.pop(); id !== undefined; id = ahead.pop()) {
      if (seen.has(id)) continue
      seen.add(id)
      if (!isRun(id)) {
        ahead.push(...(outgoing.get(id) ?? []).map((next) => next.target))
        continue
      }
      const key = JSON.stringify([source, id])
      joined.set(key, { source, target: id, labels: [...(joined.get(key)?.labels ?? []), label] })
    }
  }
  return [...joined.values()]
}

/** Without the edges that lead back to where one comes from. */
function withoutCircles(edges: Joined[], left_out: Skeleton['left_out']): Joined[] {
  const kept: Joined[] = []
  const after = new Map<string, string[]>()
  const leads = (from: string, to: string): boolean => {
    const seen = new Set([from])
    for (const id of seen) for (const next of after.get(id) ?? []) seen.add(next)
    return seen.has(to)
  }
  for (const edge of edges) {
    const { source, target } = edge
    if (leads(target, source)) {
      left_out.push({ source, target, reason: 'It would close a circle: a workflow runs in none.' })
      continue
    }
    kept.push(edge)
    after.set(source, [...(after.get(source) ?? []), target])
  }
  return kept
}

/** The ids as a workflow has them: letters, digits and "_", each once. */
function nodeIds(nodes: FlowchartNode[]): Map<string, string> {
  const ids = new Map<string, string>()
  const taken = new Set<string>()
  for (const { id } of nodes) {
    const plain = id.replace(/[^A-Za-z0-9_]/g, '_').slice(0, 80)
    const begun = /^[A-Za-z_]/.test(plain) ? plain : `n${plain}`
    let free = begun
    for (let number = 2; taken.has(free); number += 1) free = `${begun}_${number}`
    taken.add(free)
    ids.set(id, free)
  }
  return ids
}

/** The answers at the edges out of a decision. */
const answersOf = (edges: Joined[], id: string): string[] => [
  ...new Set(edges.flatMap(({ source, labels }) => (source === id ? labels.filter(Boolean) : []))),
]

const spoken: Record<string, boolean> = { yes: true, true: true, y: true, no: false, false: false, n: false }
const isBoolean = (label: string) => Object.hasOwn(spoken, label.toLowerCase())

function nodeOf(node: FlowchartNode, id: string, slug: string | undefined, answers: string[] = []): WorkflowNode {
  const label = node.label.slice(0, LABEL_MAX)
  const meaning = meaningOf(node)
  if (slug !== undefined && isRunnable(meaning)) return { id, type: meaning, label, component_ref: slug }
  // Whoever fills the skeleton writes the question here; until then the first answer is given.
  const [first] = answers
  const condition = first === undefined || answers.every(isBoolean) ? 'true' : JSON.stringify(first)
  return { id, type: 'condition', label, condition }
}

/** When an edge out of a decision is taken: where the decision comes to an answer that is written at it. */
function conditionOf(id: string, labels: string[], answers: string[] | undefined): string | undefined {
  const isAlways = labels.includes('') || answers?.every((answer) => labels.includes(answer))
  if (answers === undefined || isAlways) return undefined
  const output = `nodes[${JSON.stringify(id)}].output`
  if (answers.every(isBoolean)) return spoken[labels[0]?.toLowerCase() ?? ''] ? output : `!${output}`
  return [...new Set(labels)].map((label) => `${output} == ${JSON.stringify(label)}`).join(' || ')
}
