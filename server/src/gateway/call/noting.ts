/** What is written of a call when it is over. */

import type { Fault, Usage } from '../hub.ts'
import { mostOfEach, type Outline } from '../mouths/outline.ts'
import type { Plane } from '../plane.ts'
import type { CallRecord, Settled, Ticket } from '../policies/policy.ts'
import { spansOf } from '../traces/spans.ts'
import { traceparentOf } from '../traces/tracing.ts'
import { type Counted, nothing, type Used, usedBy } from '../used.ts'
import { type Attempt, withTarget } from './attempt.ts'
import type { Cached } from './cache.ts'
import type { Call } from './call.ts'

/** Of what was asked and of what was answered. */
export const CONTENT_BYTES_MAX = 1024 * 1024

export const countedOf = ({ passage }: Attempt): Omit<Counted, 'isWhole'> => ({
  usage: passage?.usage,
  output_tokens: passage?.output_tokens ?? 0,
})

export function recordOf(
  call: Call,
  status: CallRecord['status'],
  http_status: number,
  fault: Fault | null,
  counted: Counted | undefined,
): CallRecord {
  const { pass, wish, asked, policy } = call
  if (!pass || !wish) throw new Error('a call without a caller is not noted')
  const { winner, attempts = [] } = call.asking ?? {}
  const answerer = call.asking?.workerOf(status)
  // What a guardrail asks is the prompt or the answer of another call, which keeps what may be kept of it.
  const isKept = policy?.traces.keep_content === true && !pass.is_unguarded
  return {
    id: call.id,
    caller: pass.caller,
    request_id: asked.request_id,
    mouth: call.mouth,
    model: wish.outline.model,
    provider: answerer?.errand.stop.provider.name ?? call.cached?.provider ?? null,
    provider_model: answerer?.errand.stop.model ?? call.cached?.model ?? null,
    status,
    http_status,
    fault: fault && { type: fault.type, code: fault.code, message: fault.message },
    is_stream: wish.outline.stream,
    cache: call.cache,
    ...usageOf(call, counted),
    attempts: attempts.map(({ errand, http_status, fault, began, duration_ms }) => ({
      provider: errand.stop.provider.name,
      model: errand.stop.model,
      http_status,
      fault: fault && (fault.code ?? fault.type),
      started_ms: micro(began - asked.began),
      duration_ms: micro(duration_ms),
    })),
    started_at: call.started_at,
    first_chunk_ms: typeof winner?.first_chunk_ms === 'number' ? micro(winner.first_chunk_ms) : null,
    duration_ms: micro(performance.now() - asked.began),
    traceparent: traceparentOf(asked) ?? null,
    request: isKept ? hidden(promptKept(call), call) : null,
    answer: isKept && call.told.length > 0 ? hidden(answerKept(call), call) : null,
    // Not a copy: what only flags may find something yet.
    findings: call.watch?.findings.all ?? [],
  }
}

/** Milliseconds to a thousandth. */
const micro = (ms: number): number => Math.round(ms * 1000) / 1000

export const usageOf = ({ wish }: Call, counted: Counted | undefined): Used =>
  counted ? usedBy(counted, wish?.outline.text_bytes ?? 0) : { usage: nothing, is_estimated: false }

/** Whoever had leave settles by it; what others asked is noted all the same. `noted`: findings may still come until then. */
export function writeDown(
  plane: Plane,
  { asked, policy }: Call,
  record: CallRecord,
  ticket: Ticket | undefined,
  noted: Promise<void> | undefined,
): Settled | undefined {
  const settled = ticket?.settle(record, noted)
  if (!settled) plane.journal.note(record)
  const spans = () => spansOf(record, settled?.nanocredits ?? 0, asked.inside, policy)
  if (noted) void noted.then(() => plane.trace(spans))
  else plane.trace(spans)
  return settled
}

/** An answer as the cache keeps it; undefined: not at all. */
export function cachedOf(
  call: Call,
  attempt: Attempt,
  told: (string | Buffer)[],
  counted: Counted,
  output_tokens_max: number | null,
): Cached | undefined {
  const { provider, model } = attempt.errand.stop
  const { usage, is_estimated } = usageOf(call, counted)
  if (!call.wish || told.length === 0) return undefined
  if (mayBeCut(call.wish.outline, output_tokens_max, usage, is_estimated)) return undefined
  const headers = withTarget({ 'content-type': kindOf(call) }, attempt, call.asking?.attempts.length ?? 0)
  const findings = (call.watch?.findings.all ?? []).filter(({ side }) => side === 'output')
  const [only] = told
  const body = told.length === 1 && only ? only : Buffer.concat(told.map((each) => Buffer.from(each)))
  return { headers, body, provider: provider.name, model, usage, findings }
}

/** By what its caller may still use, where another one may use more. */
function mayBeCut(
  outline: Outline,
  output_tokens_max: number | null,
  { output }: Usage,
  is_estimated: boolean,
): boolean {
  if (output_tokens_max === null) return false
  const most = mostOfEach(outline, output_tokens_max)
  const isBound = outline.output_tokens_max === null || outline.output_tokens_max > most
  return isBound && (is_estimated || output >= most)
}

export const kindOf = ({ wish }: Call) => (wish?.outline.stream ? 'text/event-stream' : 'application/json')

/** As it came, unless a guardrail has changed it. What one has blocked, or has not let pass yet, is kept nowhere. */
function promptKept({ asked, watch }: Call): Buffer | null {
  if (!watch || watch.kept === undefined) return kept([asked.body])
  return watch.kept === null ? null : kept([watch.kept])
}

/** JSON text; a stream is kept as the text of its events. */
const answerKept = ({ told, wish }: Call): string | Buffer | null =>
  wish?.outline.stream ? JSON.stringify({ stream: kept(told)?.toString() ?? null }) : kept(told)

/** Without what is secret where it was asked. */
const hidden = (text: string | Buffer | null, { asked }: Call): string | Buffer | null =>
  text !== null && asked.inside?.hide ? asked.inside.hide(text.toString()) : text

/** Bytes are joined before anybody reads them: a piece may end within a character. */
function kept(pieces: (string | Buffer)[]): Buffer | null {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  if (length > CONTENT_BYTES_MAX) return null
  const [only] = pieces
  if (pieces.length === 1 && Buffer.isBuffer(only)) return only
  return Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece)))
}
