/** Traces: an execution that has ended, told to a collector by OTLP over HTTP, a span for the execution and one for each
 *  of its nodes that began. Sent at least once, with the same ids each time. */

import { type Attributes, type HrTime, type Link, SpanKind, type SpanStatus, SpanStatusCode } from '@opentelemetry/api'
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer'
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources'
import type { RunContext } from '../engine/engine.ts'
import { errorOf, type Hidden, tell } from './present.ts'
import { hiddenNow } from './presenting.ts'
import type { NodeSecrets } from './redaction.ts'
import type { Snapshot } from './snapshot.ts'
import { snapshotOf } from './snapshot.ts'
import * as store from './store.ts'
import { spanIdOf, traceIdOf } from './tracing-rules.ts'

type Span = Parameters<typeof JsonTraceSerializer.serializeRequest>[0][number]

/** Characters of JSON that one input or output may have in a span. */
const VALUE_MAX = 16 * 1024

export async function exportTrace(ctx: RunContext, { execution_id }: { execution_id: string }): Promise<void> {
  const { otlp_endpoint, otlp_headers } = ctx.platform.config
  const db = ctx.platform.database.platform
  const [execution] = await store.load(db, [execution_id])
  // What is gone by now cannot be told any more.
  if (!otlp_endpoint || !execution?.completed_at) return
  const nodes = await store.nodesOf(db, execution_id)
  const snapshot = await snapshotOf(db, execution.organization_id, execution.snapshot)
  const hidden = await hiddenNow(ctx, execution)
  const body = JsonTraceSerializer.serializeRequest(spansOf(execution, nodes, snapshot, hidden))

  const response = await ctx.platform.fetch(`${otlp_endpoint}/v1/traces`, {
    method: 'POST',
    headers: { ...otlp_headers, 'content-type': 'application/json' },
    body: new TextDecoder().decode(body),
    signal: ctx.signal,
  })
  await response.body?.cancel()
  if (response.ok) return
  // By the OTLP specification these may be sent again, and others may not.
  const isPassing = [429, 502, 503, 504].includes(response.status)
  if (isPassing) throw new Error(`the collector of traces answered ${response.status}`)
  ctx.log.warn({ status: response.status, execution_id }, 'the collector of traces refused a trace')
}

export function spansOf(
  execution: store.ExecutionRow,
  nodes: store.StoredNode[],
  { graph, observability }: Pick<Snapshot, 'graph' | 'observability'>,
  hidden?: Hidden,
): Span[] {
  const { include_inputs = false, include_outputs = false } = observability?.trace_config ?? {}
  const { id, organization_id, workspace_id, workflow_id, workflow_version, status, trigger_type, error } = execution
  const resource = resourceFromAttributes({
    'service.name': 'flow',
    'flow.organization_id': organization_id,
    'flow.workspace_id': workspace_id,
  })
  const values = ({ input, output }: { input: unknown; output: unknown }, marked?: NodeSecrets): Attributes => ({
    ...(include_inputs ? { 'flow.input': told(tell(input, hidden, marked?.input)) } : {}),
    ...(include_outputs && output !== null ? { 'flow.output': told(tell(output, hidden, marked?.output)) } : {}),
  })
  const root = span(resource, {
    name: 'workflow',
    span_id: spanIdOf(id),
    execution,
    started_at: execution.started_at ?? execution.created_at,
    completed_at: execution.completed_at,
    error: errorOf(error, hidden),
    attributes: {
      'flow.execution_id': id,
      'flow.workflow_id': workflow_id,
      'flow.workflow_version': workflow_version,
      'flow.status': status,
      'flow.trigger': trigger_type,
      ...values(execution, hidden?.secrets),
    },
  })
  const spans = nodes.flatMap((node) => {
    if (!node.started_at) return []
    const { node_id, attempt, spent_ms } = node
    const attributes = {
      'flow.node.id': node_id,
      'flow.node.type': graph.byId.get(node_id)?.node.type ?? '',
      'flow.node.attempt': attempt,
      'flow.node.status': node.status,
      ...(spent_ms > 0 ? { 'flow.node.code_ms': spent_ms } : {}),
      ...values(node, hidden?.secrets.nodes.get(node_id)),
    }
    const { started_at, completed_at } = node
    const span_id = spanIdOf(id, node_id, attempt)
    const error = errorOf(node.error, hidden)
    return [span(resource, { name: node_id, span_id, execution, started_at, completed_at, error, attributes })]
  })
  return [root, ...spans]
}

type Told = {
  name: string
  span_id: string
  execution: store.ExecutionRow
  started_at: string
  completed_at: string | null
  error: { code: string; message: string } | null
  attributes: Attributes
}

function span(
  resource: Resource,
  { name, span_id, execution, started_at, completed_at, error, attributes }: Told,
): Span {
  const traceId = traceIdOf(execution.id)
  const contextOf = (spanId: string, trace = traceId) => ({ traceId: trace, spanId, traceFlags: 1 })
  const isRoot = span_id === spanIdOf(execution.id)
  const [start, end] = [Date.parse(started_at), Date.parse(completed_at ?? execution.completed_at ?? started_at)]
  const status: SpanStatus = error
    ? { code: SpanStatusCode.ERROR, message: error.message }
    : { code: SpanStatusCode.UNSET }
  return {
    name,
    kind: SpanKind.INTERNAL,
    spanContext: () => contextOf(span_id),
    ...(isRoot ? {} : { parentSpanContext: contextOf(spanIdOf(execution.id)) }),
    startTime: timeOf(start),
    endTime: timeOf(end),
    duration: timeOf(end - start),
    status,
    attributes: { ...attributes, ...(error ? { 'error.type': error.code } : {}) },
    links: isRoot ? parentOf(execution, contextOf) : [],
    events: [],
    ended: true,
    resource,
    instrumentationScope: { name: 'flow' },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  }
}

/** A child has a trace of its own, which leads to the node that began it. */
function parentOf(
  { parent_execution_id, parent_node_id, parent_attempt }: store.ExecutionRow,
  contextOf: (span_id: string, trace_id: string) => Link['context'],
): Link[] {
  if (!parent_execution_id) return []
  const span_id = spanIdOf(parent_execution_id, parent_node_id ?? '', parent_attempt ?? 1)
  return [{ context: contextOf(span_id, traceIdOf(parent_execution_id)) }]
}

const timeOf = (ms: number): HrTime => [Math.floor(ms / 1000), (ms % 1000) * 1_000_000]

function told(value: unknown): string {
  const text = JSON.stringify(value ?? null)
  return text.length > VALUE_MAX ? `${text.slice(0, VALUE_MAX).toWellFormed()}…` : text
}
