/** The trace that a client began goes on at the provider (W3C Trace Context). */

import type { Outgoing } from './providers/provider.ts'

/** A place in a trace. */
export type Trace = { trace_id: string; span_id: string; is_sampled: boolean }

/** What a `traceparent` says; undefined where it says nothing that counts. */
export function traceOf(traceparent: string | undefined): Trace | undefined {
  const [, trace_id, span_id, flags = ''] =
    /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent ?? '') ?? []
  if (!trace_id || !span_id) return undefined
  return { trace_id, span_id, is_sampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

/** Ids end in random bits. */
export const spanIdOf = (call_id: string): string => call_id.replaceAll('-', '').slice(-16)

/** The request with the client's trace, below a span of this call. */
export function traced(outgoing: Outgoing, traceparent: string | undefined, id: string): Outgoing {
  const trace = traceOf(traceparent)
  if (!trace) return outgoing
  const told = `00-${trace.trace_id}-${spanIdOf(id)}-${trace.is_sampled ? '01' : '00'}`
  return { ...outgoing, headers: { ...outgoing.headers, traceparent: told } }
}
