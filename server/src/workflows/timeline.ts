/** Where the time of an execution went: spans from its events, and the nodes that made it as long as it was. Without I/O.
 *
 *  Of a node: `queue` from when it could begin until it did; for each attempt `run`, then `wait` if it waits for something;
 *  `retry_pause` before the next one. Of the execution as a whole: `queue`, then `run` and `wait` in turn. */

import type { ExecutionError, Timeline, TimelineSpan } from '@flow/contract/workflows'
import type { Graph, GraphNode } from '../components/workflow-rules.ts'
import type { NodeTimes, TimedEvent } from './presenting-store.ts'
import type { ExecutionRow } from './store.ts'

export type Recorded = {
  row: Pick<ExecutionRow, 'id' | 'status' | 'error' | 'created_at' | 'started_at' | 'completed_at'>
  graph: Graph
  nodes: readonly NodeTimes[]
  /** In their order. */
  events: readonly TimedEvent[]
  now: string
}

export function timelineOf(recorded: Recorded): Omit<Timeline, 'is_complete'> {
  const { row, now } = recorded
  const spans = spansOf(recorded)
  const total_ms = between(row.created_at, row.completed_at ?? now)
  const own = (kind: TimelineSpan['kind']) =>
    spans.filter((span) => span.node_id === null && span.kind === kind).reduce((sum, span) => sum + span.duration_ms, 0)
  return {
    execution_id: row.id,
    status: row.status,
    started_at: row.created_at,
    ended_at: row.completed_at,
    total_ms,
    totals: { queue_ms: own('queue'), run_ms: own('run'), wait_ms: own('wait') },
    spans,
    critical_path: criticalPath(recorded, total_ms),
  }
}

// ---- spans

type Details = { attempt?: number; error?: ExecutionError }
/** `place`: as which it began. */
type Open = { place: number; of: Pick<TimelineSpan, 'node_id' | 'attempt' | 'kind' | 'started_at'> }

function spansOf({ row, graph, nodes, events, now }: Recorded): TimelineSpan[] {
  const spans: { place: number; span: TimelineSpan }[] = []
  let place = 0
  const open = new Map<string | null, Open>()
  const timesById = new Map(nodes.map((node) => [node.node_id, node]))

  const close = (id: string | null, at: string, status: TimelineSpan['status'], error?: ExecutionError) => {
    const one = open.get(id)
    open.delete(id)
    if (!one) return
    const ended_at = later(one.of.started_at, at)
    const duration_ms = between(one.of.started_at, ended_at)
    spans.push({ place: one.place, span: { ...one.of, ended_at, duration_ms, status, error: error ?? null } })
  }
  const begin = (id: string | null, kind: TimelineSpan['kind'], at: string, attempt: number | null) =>
    open.set(id, { place: place++, of: { node_id: id, attempt, kind, started_at: at } })

  for (const { type, node_id, at, details } of events) {
    const { attempt, error } = (details ?? {}) as Details
    const before = open.get(node_id)
    const [, what = ''] = type.split('.')
    if (what === 'started' && node_id !== null) {
      if (before) close(node_id, at, before.of.kind === 'run' ? 'interrupted' : 'completed')
      const waited = before ? undefined : queueOf(graph.byId.get(node_id), timesById, row, at)
      if (waited) spans.push({ place: place++, span: waited })
      begin(node_id, 'run', at, attempt ?? 1)
      continue
    }
    const next = following[what]
    close(node_id, at, next ? (what === 'retrying' ? 'failed' : 'completed') : (endings[what] ?? 'completed'), error)
    if (next) begin(node_id, next, at, node_id === null ? null : (attempt ?? before?.of.attempt ?? 1))
  }
  for (const { place, of } of open.values()) {
    const duration_ms = between(of.started_at, now)
    spans.push({ place, span: { ...of, ended_at: null, duration_ms, status: 'open', error: null } })
  }
  spans.sort((a, b) => a.span.started_at.localeCompare(b.span.started_at) || a.place - b.place)
  return spans.map(({ span }) => span)
}

/** What begins with an event; with all others something ends. */
const following: Record<string, TimelineSpan['kind']> = {
  queued: 'queue',
  started: 'run',
  resumed: 'run',
  waiting: 'wait',
  retrying: 'retry_pause',
}
const endings: Record<string, TimelineSpan['status']> = {
  failed: 'failed',
  timed_out: 'failed',
  cancelled: 'cancelled',
}

function queueOf(
  at: GraphNode | undefined,
  times: Times,
  row: Recorded['row'],
  until: string,
): TimelineSpan | undefined {
  if (!at) return undefined
  const { ready_at } = readiness(at, times, row)
  const duration_ms = between(ready_at, until)
  if (duration_ms === 0) return undefined
  const span = { node_id: at.node.id, attempt: 1, kind: 'queue' as const, started_at: ready_at }
  return { ...span, ended_at: until, duration_ms, status: 'completed', error: null }
}

// ---- the path

type Times = ReadonlyMap<string, NodeTimes>

/** From its end to its beginning: before each node the one whose end it waited for. */
function criticalPath({ row, graph, nodes, now }: Recorded, total_ms: number): Timeline['critical_path'] {
  const times: Times = new Map(nodes.map((node) => [node.node_id, node]))
  const path: Timeline['critical_path'] = []
  let at = lastOf(graph, times, row)
  while (at) {
    const { ready_at, after } = readiness(at, times, row)
    const own = times.get(at.node.id)
    // What was taken over, or skipped, took no time of this execution; but something decided that it was skipped.
    if (own && !own.reused && own.status !== 'skipped') {
      const duration_ms = between(ready_at, own.completed_at ?? now)
      const share = total_ms > 0 ? Math.min(1, Math.round((duration_ms / total_ms) * 1000) / 1000) : 0
      path.unshift({ node_id: at.node.id, ready_at, ended_at: own.completed_at, duration_ms, share })
    }
    at = after === undefined ? undefined : graph.byId.get(after)
  }
  return path
}

/** The node that everything waited for in the end: the one that it failed by, else what is at work for the longest time,
 *  else what ended last. */
function lastOf(graph: Graph, times: Times, { error, completed_at }: Recorded['row']): GraphNode | undefined {
  const failed = error?.node_id && times.has(error.node_id) ? graph.byId.get(error.node_id) : undefined
  if (failed) return failed
  const begun = graph.nodes.flatMap((at) => {
    const own = times.get(at.node.id)
    return own && !own.reused && own.status !== 'skipped' ? [{ at, own }] : []
  })
  const atWork = begun.filter(({ own }) => own.completed_at === null)
  const first = atWork.toSorted((a, b) => (a.own.started_at ?? '').localeCompare(b.own.started_at ?? ''))[0]
  if (completed_at === null && first) return first.at
  return begun.toSorted((a, b) => (a.own.completed_at ?? '').localeCompare(b.own.completed_at ?? '')).at(-1)?.at
}

/** When a node could begin, and the one whose end it waited for. */
function readiness({ node, incoming }: GraphNode, times: Times, { started_at, created_at }: Recorded['row']) {
  const begun_at = started_at ?? created_at
  const sources = [...new Set(incoming.map(({ source }) => source))]
  const ends = sources.flatMap((id) => {
    const own = times.get(id)
    if (!own?.completed_at) return []
    const isTaken = incoming.some((edge) => edge.source === id && own.taken.includes(edge.index))
    return [{ id, at: own.completed_at, isTaken }]
  })
  ends.sort((a, b) => a.at.localeCompare(b.at))
  const wanted = typeof node.join === 'object' ? node.join.count : 1
  const nth = node.join === 'all' ? undefined : ends.filter(({ isTaken }) => isTaken)[wanted - 1]
  const decisive = nth ?? ends.at(-1)
  return { ready_at: later(begun_at, decisive?.at ?? begun_at), after: decisive?.id }
}

/** Times of the same form sort as text. */
const later = (a: string, b: string): string => (a > b ? a : b)

const between = (from: string, to: string): number => Math.max(0, Date.parse(to) - Date.parse(from))
