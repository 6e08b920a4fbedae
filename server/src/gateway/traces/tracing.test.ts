/** What of a trace's headers counts, as the W3C's Trace Context says. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { traceOf, traceparentOf } from './tracing.ts'

const trace_id = 'a'.repeat(32)
const span_id = 'b'.repeat(16)
const place = `${trace_id}-${span_id}`

test('a trace is read as far as its version is understood', () => {
  const sampled = { trace_id, span_id, is_sampled: true }
  for (const [traceparent, expected] of [
    [`00-${place}-01`, sampled],
    [`00-${place}-02`, { ...sampled, is_sampled: false }],
    [`cc-${place}-01`, sampled],
    [`cc-${place}-01-what-will-be-said`, sampled],
    [`00-${place}-01-more`, undefined],
    [`cc-${place}-01more`, undefined],
    [`ff-${place}-01`, undefined],
    [`00-${'0'.repeat(32)}-${span_id}-01`, undefined],
    [`00-${trace_id}-${'0'.repeat(16)}-01`, undefined],
    [`00-${place.toUpperCase()}-01`, undefined],
    ['', undefined],
  ] as const) {
    assert.deepEqual(traceOf(traceparent), expected, traceparent)
  }
})

test('what is kept of a trace is what is understood of it', () => {
  const kept = traceparentOf({ headers: { traceparent: `cc-${place}-01-${'x'.repeat(9_000)}` } })
  assert.equal(kept, `00-${place}-01`)
})
