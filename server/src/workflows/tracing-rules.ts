/** Which executions are traced, and how what happens in them is named in traces (W3C Trace Context): the same wherever it
 *  is computed, and however often. Decisions without I/O. */

import { createHash } from 'node:crypto'
import type { ObservabilityConfig } from '@flow/contract/components/observability'
import type { RunTrace } from '../asking.ts'

/** An execution's id is its trace's. */
export const traceIdOf = (execution_id: string): string => execution_id.replaceAll('-', '')

/** `node_id`: empty for the execution itself. */
export const spanIdOf = (execution_id: string, node_id = '', attempt = 0): string =>
  createHash('sha256').update(`${execution_id}:${node_id}:${attempt}`).digest('hex').slice(0, 16)

/** Ids end in random bits, so those of one share are picked, and each is picked always or never. */
export function isTraced(execution_id: string, observability: ObservabilityConfig | undefined): boolean {
  if (!observability?.trace_config.enabled) return false
  return Number.parseInt(execution_id.slice(-8), 16) / 2 ** 32 < observability.trace_config.sample_rate
}

/** Where a node stands in its trace, and what calls of it carry outside. */
export function tracingOf(
  execution_id: string,
  node_id: string,
  attempt: number,
  observability: ObservabilityConfig | undefined,
): { trace: RunTrace | undefined; traceparent: string | undefined } {
  if (!observability?.trace_config.enabled) return { trace: undefined, traceparent: undefined }
  const { propagate_context: goes_out, include_inputs: inputs, include_outputs: outputs } = observability.trace_config
  const flags = isTraced(execution_id, observability) ? '01' : '00'
  const traceparent = `00-${traceIdOf(execution_id)}-${spanIdOf(execution_id, node_id, attempt)}-${flags}`
  return { trace: { traceparent, goes_out, inputs, outputs }, traceparent: goes_out ? traceparent : undefined }
}
