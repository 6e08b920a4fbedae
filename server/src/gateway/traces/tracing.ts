/** Where a call stands in traces (W3C Trace Context): in the client's, in that of the execution whose code calls, or at
 *  the beginning of one of its own. The provider is told of a trace that somebody else began. */

import { createHash } from 'node:crypto'
import type { Asked } from '../front/exchange.ts'
import type { Outgoing } from '../providers/provider.ts'

/** A place in a trace. */
export type Trace = { trace_id: string; span_id: string; is_sampled: boolean }

/** A version to come may say more behind what version 00 says. */
const read =
  /^(?:00(?=.{53}$)|(?!00|ff)[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?=-|$)/

/** What a `traceparent` says; undefined where it says nothing that counts. */
export function traceOf(traceparent: string | undefined): Trace | undefined {
  if (traceparent === undefined) return undefined
  const [, trace_id, span_id, flags = ''] = read.exec(traceparent) ?? []
  if (!trace_id || !span_id) return undefined
  return { trace_id, span_id, is_sampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

/** The trace that a call goes on with, as version 00 writes it; undefined: none. */
export function traceparentOf({ inside, headers }: Pick<Asked, 'inside' | 'headers'>): string | undefined {
  if (inside) return inside.trace?.traceparent
  return traceOf(headers.traceparent) && `00-${headers.traceparent?.slice(3, 55)}`
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
  const tracestate = asked.inside ? undefined : tracestateOf(asked)
  return { ...outgoing, headers: { ...outgoing.headers, traceparent, ...(tracestate && { tracestate }) } }
}

/** What other systems of the trace have noted, which travels on as it came. It may be left out when it is longer. */
const STATE_MAX = 512
const tracestateOf = ({ headers: { tracestate = '' } }: Pick<Asked, 'headers'>): string | undefined =>
  tracestate.length <= STATE_MAX && /^[ -~]+$/.test(tracestate) ? tracestate : undefined
