/** Metrics, logs and spans as OTLP has them in JSON (OpenTelemetry Protocol 1.x, over HTTP): pure forms. */

import { boundsOf, type Labels, type Place, type Series } from './series.ts'

export type LogLine = Place & {
  /** In milliseconds since 1970. */
  at: number
  level: 'debug' | 'info' | 'warn' | 'error'
  text: string
  attributes: Labels
  trace?: { trace_id: string; span_id: string }
}

/** Something that took its time, in a trace (W3C Trace Context). */
export type Span = Place & {
  trace_id: string
  span_id: string
  parent_span_id?: string
  name: string
  kind: keyof typeof kinds
  /** In milliseconds since 1970, with a fraction. */
  started_at: number
  duration_ms: number
  attributes: Record<string, string | number | boolean | undefined>
  /** Why it failed. */
  error?: string
}

const CUMULATIVE = 2
const kinds = { internal: 1, server: 2, client: 3 } as const
const ERROR = 2
const severities = { debug: 5, info: 9, warn: 13, error: 17 } as const
const scope = { name: 'flow' }

const attributesOf = (labels: Labels) =>
  Object.entries(labels).map(([key, stringValue]) => ({ key, value: { stringValue } }))
const nanos = (ms: number) => `${Math.round(ms)}000000`

/** Each workspace is a resource of its own. */
function byPlace<One extends Place>(all: readonly One[]): One[][] {
  const groups = new Map<string, One[]>()
  for (const one of all) groups.set(one.workspace_id, [...(groups.get(one.workspace_id) ?? []), one])
  return [...groups.values()]
}

const resourceOf = (instance_id: string, at: Place | undefined) => ({
  attributes: attributesOf({
    'service.name': 'flow',
    'service.instance.id': instance_id,
    'flow.organization_id': at?.organization_id ?? '',
    'flow.workspace_id': at?.workspace_id ?? '',
  }),
})

export const metricsRequest = (all: readonly Series[], instance_id: string, now: number): object => ({
  resourceMetrics: byPlace(all).map((group) => ({
    resource: resourceOf(instance_id, group[0]),
    scopeMetrics: [{ scope, metrics: group.map((series) => metricOf(series, now)) }],
  })),
})

function metricOf(series: Series, now: number): object {
  const { metric, labels, since, value, count, counts } = series
  const { name, description, unit = '' } = metric
  const point = { attributes: attributesOf(labels), startTimeUnixNano: nanos(since), timeUnixNano: nanos(now) }
  const told = { name, description, unit }
  if (metric.type === 'gauge') return { ...told, gauge: { dataPoints: [{ ...point, asDouble: value }] } }
  if (metric.type === 'counter') {
    const dataPoints = [{ ...point, asDouble: value }]
    return { ...told, sum: { aggregationTemporality: CUMULATIVE, isMonotonic: true, dataPoints } }
  }
  const explicitBounds = boundsOf(metric)
  const dataPoints = [{ ...point, count: `${count}`, sum: value, bucketCounts: counts.map(String), explicitBounds }]
  return { ...told, histogram: { aggregationTemporality: CUMULATIVE, dataPoints } }
}

export const logsRequest = (lines: readonly LogLine[], instance_id: string): object => ({
  resourceLogs: byPlace(lines).map((group) => ({
    resource: resourceOf(instance_id, group[0]),
    scopeLogs: [{ scope, logRecords: group.map(recordOf) }],
  })),
})

const recordOf = ({ at, level, text, attributes, trace }: LogLine) => ({
  timeUnixNano: nanos(at),
  severityNumber: severities[level],
  severityText: level.toUpperCase(),
  body: { stringValue: text },
  attributes: attributesOf(attributes),
  ...(trace ? { traceId: trace.trace_id, spanId: trace.span_id } : {}),
})

export const spansRequest = (all: readonly Span[], instance_id: string): object => ({
  resourceSpans: byPlace(all).map((group) => ({
    resource: resourceOf(instance_id, group[0]),
    scopeSpans: [{ scope, spans: group.map(spanOf) }],
  })),
})

const spanOf = ({ trace_id, span_id, parent_span_id, name, kind, started_at, duration_ms, ...span }: Span) => ({
  traceId: trace_id,
  spanId: span_id,
  ...(parent_span_id ? { parentSpanId: parent_span_id } : {}),
  name,
  kind: kinds[kind],
  startTimeUnixNano: finely(started_at),
  endTimeUnixNano: finely(started_at + duration_ms),
  attributes: Object.entries(span.attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [{ key, value: typed(value) }],
  ),
  status: span.error === undefined ? {} : { code: ERROR, message: span.error },
})

/** Nanoseconds, exact to a thousand of them. */
const finely = (ms: number) => `${Math.round(ms * 1000)}000`

function typed(value: string | number | boolean): object {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  return Number.isSafeInteger(value) ? { intValue: `${value}` } : { doubleValue: value }
}
