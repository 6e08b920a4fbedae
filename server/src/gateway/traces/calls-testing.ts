/** A call as it is written, for tests of where it is written. */

import { newId, systemClock } from '../../context.ts'
import type { Caller, CallRecord } from '../policies/policy.ts'

export const callAs = (caller: Caller, more: Partial<CallRecord>): CallRecord => ({
  id: newId(),
  caller,
  request_id: newId(),
  mouth: 'chat',
  model: 'flow/echo',
  provider: 'flow',
  provider_model: 'echo',
  status: 'completed',
  http_status: 200,
  fault: null,
  is_stream: false,
  cache: 'off',
  usage: { input: 1, cached: 2, cache_written: 3, output: 4, reasoning: 5 },
  is_estimated: false,
  attempts: [{ provider: 'flow', model: 'echo', http_status: 200, fault: null, started_ms: 1, duration_ms: 1.5 }],
  started_at: systemClock.now().toISOString(),
  first_chunk_ms: 1.25,
  duration_ms: 2.5,
  traceparent: null,
  request: '{"model":"flow/echo"}',
  answer: null,
  findings: [],
  ...more,
})
