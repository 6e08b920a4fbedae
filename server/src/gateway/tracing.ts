/** The trace that a client began goes on at the provider. */

import type { Outgoing } from './providers/provider.ts'

/** The request with the client's trace, below a span of this call (W3C Trace Context). */
export function traced(outgoing: Outgoing, traceparent: string | undefined, id: string): Outgoing {
  const [, trace, flags] = /^00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})$/.exec(traceparent ?? '') ?? []
  if (!trace) return outgoing
  return {
    ...outgoing,
    headers: { ...outgoing.headers, traceparent: `00-${trace}-${id.replaceAll('-', '').slice(-16)}-${flags}` },
  }
}
