/** What an observability component has told of executions: metrics that code records, metrics of the executions
 *  themselves, and lines of logs. All of it goes to the operator's collector, beside the execution: none of it can fail
 *  one, but for code that records what was not declared. */

import type { ObservabilityConfig } from '@flow/contract/components/observability'
import { z } from 'zod'
import type { Platform } from '../context.ts'
import { conflict, invalid, notFound } from '../failure.ts'
import { parseShape } from '../shape.ts'
import { isShort, type LogLine, type Metric, type Place, seriesLimits } from '../telemetry/telemetry.ts'
import type { NodeCall } from './nodes/node.ts'
import { Redaction, type Running, recordable } from './redaction.ts'
import type { Snapshot } from './snapshot.ts'
import type * as store from './store.ts'
import { spanIdOf, traceIdOf } from './tracing-rules.ts'

type Told = { telemetry: Platform['telemetry'] }

/** What code says in `flow.metrics.record`. */
export const Recording = z.strictObject({
  name: z.string().max(200),
  value: z.number().default(1),
  labels: z.record(z.string().max(100), z.union([z.string(), z.number(), z.boolean()])).default({}),
})

/** Records what code has measured. Without a component, or with its metrics switched off, nothing is. */
export function record(
  { telemetry }: Told,
  at: Place,
  observability: ObservabilityConfig | undefined,
  args: unknown,
  hide: (text: string) => string,
): void {
  const parsed = parseShape(Recording, args)
  if (parsed.faults) throw invalid(parsed.faults)
  const { name, value, labels } = parsed.value
  if (!observability?.metric_config.enabled) return
  const declared = observability.metric_config.custom_metrics
  const metric = declared.find((one) => one.name === name)
  if (!metric) throw notFound('metric', name.slice(0, 200))
  if (metric.type === 'counter' && value < 0) {
    throw invalid([{ field: 'value', message: 'A counter only grows: it must be 0 or more.' }])
  }
  const told = Object.fromEntries(Object.entries(labels).map(([label, text]) => [label, hide(String(text))]))
  const stray = Object.keys(told).find((label) => !metric.labels.includes(label))
  if (stray !== undefined) {
    throw invalid([{ field: `labels.${stray}`, message: `The metric "${name}" has no label "${stray}".` }])
  }
  const long = Object.keys(told).find((label) => !isShort(told[label] ?? ''))
  if (long !== undefined) {
    throw invalid([{ field: `labels.${long}`, message: `It may have ${seriesLimits.label} characters.` }])
  }
  const { type, description, buckets } = metric
  const isMeasured = telemetry.measure(at, { name, type, description, ...(buckets ? { buckets } : {}) }, value, told)
  if (isMeasured) return
  throw conflict(
    `There are too many metrics: a workspace may have ${seriesLimits.series_per_workspace} combinations of a name with ` +
      'values of labels in a process.',
  )
}

const executions: Metric = {
  name: 'flow.workflow.executions',
  type: 'counter',
  description: 'Executions that have ended, by workflow and status.',
}
const durations: Metric = {
  name: 'flow.workflow.execution.duration',
  type: 'histogram',
  description: 'How long executions took, from their start to their end.',
  unit: 's',
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 86_400],
}

/** Counts an execution that has ended. */
export function measureEnd(
  { telemetry }: Told,
  execution: Place & { workflow_id: string; started_at: string | null },
  observability: ObservabilityConfig | undefined,
  end: { status: string; at: Date },
): void {
  if (!observability?.metric_config.enabled) return
  const { organization_id, workspace_id, workflow_id, started_at } = execution
  const at = { organization_id, workspace_id }
  const labels = { 'flow.workflow_id': workflow_id, 'flow.status': end.status }
  telemetry.measure(at, executions, 1, labels)
  if (started_at) telemetry.measure(at, durations, (end.at.getTime() - Date.parse(started_at)) / 1000, labels)
}

/** What the observability component of a workflow wants told of an attempt of a node. */
export function tellingOf(
  of: Running & { platform: Told; execution: store.ExecutionRow; snapshot: Snapshot },
  { node_id, attempt, input }: { node_id: string; attempt: number; input: unknown },
): Pick<NodeCall, 'tells' | 'measure' | 'log'> {
  const { execution, snapshot, platform } = of
  const { observability } = snapshot
  const { id: execution_id, workflow_id, organization_id, workspace_id } = execution
  const from = { organization_id, workspace_id, execution_id, workflow_id, node_id, attempt }
  const marked = snapshot.secrets?.nodes.get(node_id)?.input
  const hide = (text: string) => {
    const told = recordable(text, of)
    if (!marked) return told
    // What the node itself was given is not in the memory of the execution while it is at work.
    const redaction = new Redaction()
    redaction.learn(marked, input)
    return redaction.message(told)
  }
  const { include_prompts: prompts = false, include_tool_results: tools = false } = observability?.log_config ?? {}
  return {
    tells: { prompts, tools },
    measure: (args) => record(platform, { organization_id, workspace_id }, observability, args, hide),
    log: (lines) => tellLog(platform, from, observability, lines, hide),
  }
}

const levels = ['debug', 'info', 'warn', 'error'] as const
/** Characters of one line. */
const LINE_MAX = 16 * 1024

/** Where a line comes from. */
export type Source = Place & { execution_id: string; workflow_id: string; node_id: string; attempt: number }

/** Tells lines of a node, those of the level and above. */
export function tellLog(
  { telemetry }: Told,
  from: Source,
  observability: ObservabilityConfig | undefined,
  lines: { level: LogLine['level']; text: string; at: number }[],
  hide: (text: string) => string,
): void {
  if (!observability) return
  const { level: least, structured } = observability.log_config
  const { organization_id, workspace_id, execution_id, workflow_id, node_id, attempt } = from
  const attributes = {
    'flow.execution_id': execution_id,
    'flow.workflow_id': workflow_id,
    'flow.node.id': node_id,
    'flow.node.attempt': String(attempt),
  }
  const trace = { trace_id: traceIdOf(execution_id), span_id: spanIdOf(execution_id, node_id, attempt) }
  for (const { level, text, at } of lines) {
    if (levels.indexOf(level) < levels.indexOf(least)) continue
    const told = hide(text.length > LINE_MAX ? `${text.slice(0, LINE_MAX).toWellFormed()}…` : text)
    const line = { organization_id, workspace_id, at, level }
    if (structured) telemetry.log({ ...line, text: told, attributes, trace })
    else telemetry.log({ ...line, text: `${execution_id} ${node_id}: ${told}`, attributes: {} })
  }
}
