/** Where a call stands in traces (W3C Trace Context): in the client's, in that of the execution whose code calls, or at
 *  the beginning of one of its own. The provider is told of a trace that somebody else began. */

import { createHash } from 'node:crypto'
import type { Asked } from '../front/exchange.ts'
import type { Outgoing } from '../providers/provider.ts'

/** A place in a trace. */
export type Trace = { trace_id: string; span_id: string; is_sampled: boolean }

/** What a `traceparent` says; undefined where it says nothing that counts. */
export function traceOf(traceparent: string | undefined): Trace | undefined {
  if (traceparent === undefined) return undefined
  const [, trace_id, span_id, flags = ''] =
    /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent) ?? []
  if (!trace_id || !span_id) return undefined
  return { trace_id, span_id, is_sampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

/** The trace that a call goes on with; undefined: none. */
export function traceparentOf({ inside, headers }: Pick<Asked, 'inside' | 'headers'>): string | undefined {
  if (inside) return inside.trace?.traceparent
  return traceOf(headers.traceparent) && headers.traceparent
}

/** Ids end in random bits. */
export const spanIdOf = (call_id: string): string => call_id.replaceAll('-', '').slice(-16)

/** Attempts are counted from 1. */
export const attemptSpanIdOf = (call_id: string, attempt: number): string =>
  createHash('sha256').update(`${call_id}:${attempt}`).digest('hex').slice(0, 16)

/** The request with the trace that the call belongs to, below the span of this attempt. */
export function traced(outgoing: Outgoing, asked: Asked, call_id: string, attempt: number): Outgoing {
  if (asked.inside && !asked.inside.trace?.goes_out) return outgoing
  const trace = traceOf(traceparentOf(asked))
  if (!trace) return outgoing
  const traceparent = `00-${trace.trace_id}-${attemptSpanIdOf(call_id, attempt)}-${trace.is_sampled ? '01' : '00'}`
  return { ...outgoing, headers: { ...outgoing.headers, traceparent } }
}
