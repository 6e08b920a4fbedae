/** A call as spans of a trace: one for the call, and one below it for each attempt. Which calls are told is said by the
 *  trace that they belong to: of a client's trace by its flag, of an execution's by what its workflow says of traces.
 *  Calls that belong to none begin one of their own. Pure. */

import type { RunTrace } from '../../asking.ts'
import type { Span } from '../../telemetry/telemetry.ts'
import type { CallRecord, Policy } from '../policies/policy.ts'
import { genAi, operations, providers } from './gen-ai.ts'
import { attemptSpanIdOf, spanIdOf, traceOf } from './tracing.ts'

/** Characters that a prompt or an answer may have in a span. */
const VALUE_MAX = 16 * 1024

type From = { trace?: RunTrace | undefined } | undefined

export function spansOf(record: CallRecord, nanocredits: number, inside: From, policy: Policy | undefined): Span[] {
  const { id, caller, traceparent } = record
  const parent = traceOf(traceparent ?? undefined)
  // The execution whose code calls is not traced.
  if (!parent && caller.execution_id) return []
  if (parent && !parent.is_sampled) return []

  const place = {
    organization_id: caller.organization_id,
    workspace_id: caller.workspace_id,
    trace_id: parent?.trace_id ?? id.replaceAll('-', ''),
  }
  const began = Date.parse(record.started_at)
  const attempts = record.attempts.map((attempt, index): Span => {
    const { provider, model, http_status, fault, started_ms, duration_ms } = attempt
    return {
      ...place,
      span_id: attemptSpanIdOf(id, index + 1),
      parent_span_id: spanIdOf(id),
      name: `attempt ${provider}/${model}`,
      kind: 'client',
      started_at: began + started_ms,
      duration_ms,
      attributes: {
        'flow.attempt': index + 1,
        'flow.provider': provider,
        'flow.model': model,
        'http.response.status_code': http_status ?? undefined,
        'error.type': fault ?? undefined,
      },
      error: fault ?? undefined,
    }
  })
  const call: Span = {
    ...place,
    span_id: spanIdOf(id),
    parent_span_id: parent?.span_id,
    name: `${operations[record.mouth]} ${record.model.slice(0, NAME_MAX)}`,
    kind: 'client',
    started_at: began,
    duration_ms: record.duration_ms,
    attributes: {
      ...genAiOf(record, policy),
      ...flowOf(record, nanocredits),
      ...(inside?.trace?.inputs ? { 'flow.input': told(record.request) } : {}),
      ...(inside?.trace?.outputs ? { 'flow.output': told(record.answer) } : {}),
    },
    error: record.fault?.message ?? (record.status === 'aborted' ? 'The client went away.' : undefined),
  }
  return [call, ...attempts]
}

const NAME_MAX = 300

function genAiOf(record: CallRecord, policy: Policy | undefined): Span['attributes'] {
  const { mouth, model, provider, provider_model, is_stream, first_chunk_ms, usage } = record
  const kind = provider === null ? undefined : (policy?.providers.get(provider)?.kind ?? 'flow')
  return {
    [genAi.operation]: operations[mouth],
    [genAi.provider]: kind && providers[kind],
    [genAi.request_model]: model.slice(0, NAME_MAX),
    [genAi.is_stream]: is_stream || undefined,
    [genAi.response_model]: provider_model ?? undefined,
    [genAi.first_chunk_seconds]: is_stream && first_chunk_ms !== null ? first_chunk_ms / 1000 : undefined,
    [genAi.input_tokens]: usage.input,
    [genAi.cached_tokens]: usage.cached || undefined,
    [genAi.cache_written_tokens]: usage.cache_written || undefined,
    [genAi.output_tokens]: usage.output,
    [genAi.reasoning_tokens]: usage.reasoning || undefined,
  }
}

const flowOf = (record: CallRecord, nanocredits: number): Span['attributes'] => ({
  'flow.call_id': record.id,
  'flow.request_id': record.request_id,
  'flow.user_id': record.caller.user_id,
  'flow.key_id': record.caller.key_id ?? undefined,
  'flow.agent_id': record.caller.agent_id ?? undefined,
  'flow.workflow_id': record.caller.workflow_id ?? undefined,
  'flow.execution_id': record.caller.execution_id ?? undefined,
  'flow.provider': record.provider ?? undefined,
  'flow.status': record.status,
  'flow.cache': record.cache,
  'flow.credits': nanocredits / 1e9,
  'flow.findings': record.findings.length || undefined,
  'http.response.status_code': record.http_status,
  'error.type': record.fault ? (record.fault.code ?? record.fault.type) : undefined,
})

function told(content: string | Buffer | null): string | undefined {
  if (content === null) return undefined
  const text = content.toString()
  return text.length > VALUE_MAX ? `${text.slice(0, VALUE_MAX).toWellFormed()}…` : text
}
