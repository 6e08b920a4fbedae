/** What an organization has said about its gateway, compiled, as the data plane reads it: in memory, without a
 *  question to the database. Whoever changes a setting tells all processes, which load it anew. */

import type { MouthName } from '../hub.ts'
import type { Account } from '../providers/provider.ts'

/** Nanocredits for one token, and for one call besides. */
export type Price = { input: number; cached: number; cache_written: number; output: number; call: number }

export type Target = { provider: string; model: string; weight: number }

/** How long is waited, in milliseconds. */
export type Timeouts = { connect: number; first_chunk: number; between_chunks: number; total: number }

/** A name that clients call instead of a model, and where it leads. A plain `provider/model` is a route with one
 *  target and the defaults. */
export type Route = {
  name: string
  /** `ordered`: the next when the one before fails. `weighted`: by chance. `fastest`: by the time to the first chunk
   *  of late. The others follow as fallbacks in the same order. */
  strategy: 'ordered' | 'weighted' | 'fastest'
  targets: Target[]
  /** Attempts at one target. */
  attempts_max: number
  timeouts: Timeouts
  /** A second target is asked, too, when the first has not answered for so long. */
  hedge_after_ms: number | null
  /** Seconds that an answer to the same request is kept; null: not at all. */
  cache_seconds: number | null
  /** Guardrails by id, in their order. */
  guardrails: string[]
}

export type Provider = Account & {
  id: string
  /** The first part of its models' ids. */
  name: string
  /** Models that may be called, `*` for any ending; empty: all. */
  models: string[]
}

/** Whom a limit or a budget is about; `id` null: each of them by itself. `model` is by `provider/model`. */
export type Subject = { kind: 'organization' | 'workspace' | 'user' | 'key' | 'model'; id: string | null }

export type Limit = {
  id: string
  subject: Subject
  requests_per_minute: number | null
  tokens_per_minute: number | null
  /** At the same time. */
  concurrent: number | null
}

export type Budget = {
  id: string
  subject: Subject
  nanocredits: number
  /** Begins anew at midnight, on Monday, or on the first, UTC. */
  period: 'day' | 'week' | 'month'
  /** `warn` lets calls pass and says so in a header. */
  mode: 'hard' | 'warn'
}

export type Policy = {
  organization_id: string
  /** Grows with each change. */
  version: number
  /** By name. */
  providers: ReadonlyMap<string, Provider>
  /** By name. */
  routes: ReadonlyMap<string, Route>
  limits: readonly Limit[]
  budgets: readonly Budget[]
  /** The organization's own budget of a month, for everything that costs; null: none. */
  month_nanocredits: number | null
  /** Of any model: what nobody has priced costs what the rate card says of every model. */
  priceOf(provider: string, model: string): Price
  /** By id. */
  guardrails: ReadonlyMap<string, Guardrail>
  /** Part of the name of what is cached: another one after the cache was cleared. */
  cache_epoch: number
  /** Whether prompts and answers are kept with the trace, and for how many days. */
  traces: { keep_content: boolean; retention_days: number }
}

export type Guardrail = {
  id: string
  name: string
  /** Holds for every call, and not only for those whose route names it. These come first, by name. */
  always: boolean
  /** Of the prompt, of the answer, or both. */
  side: 'input' | 'output' | 'both'
  action: 'block' | 'redact' | 'flag'
  rule:
    | { type: 'regex'; patterns: string[] }
    | { type: 'pii'; kinds: string[] }
    | { type: 'json_schema'; schema: unknown }
    | { type: 'topics'; topics: { name: string; examples: string[] }[]; threshold: number; model: string }
    | { type: 'code_block'; component_id: string }
}

/** Who calls, as the data plane knows it. */
export type Caller = {
  organization_id: string
  workspace_id: string
  user_id: string
  /** The API key's own id; null for whoever signed in. */
  key_id: string | null
  /** On whose behalf Flow itself calls: the ledger names them. */
  agent_id?: string | null
  workflow_id?: string | null
  execution_id?: string | null
}

/** What is written of a call when it is over, into the ledger and as its trace. */
export type CallRecord = {
  id: string
  caller: Caller
  request_id: string
  mouth: MouthName
  /** As the client asked. */
  model: string
  /** Who answered in the end; null: nobody. */
  provider: string | null
  provider_model: string | null
  status: 'completed' | 'failed' | 'refused' | 'aborted' | 'cut_off'
  http_status: number
  fault: { type: string; code: string | null; message: string } | null
  is_stream: boolean
  cache: 'hit' | 'miss' | 'off'
  usage: { input: number; cached: number; cache_written: number; output: number; reasoning: number }
  /** The usage was counted here, because the provider did not say. */
  is_estimated: boolean
  attempts: {
    provider: string
    model: string
    http_status: number | null
    fault: string | null
    started_ms: number
    duration_ms: number
  }[]
  started_at: string
  first_chunk_ms: number | null
  duration_ms: number
  traceparent: string | null
  /** What was asked and answered, as JSON text or the bytes of it; null where it is not kept. */
  request: string | Buffer | null
  answer: string | Buffer | null
  findings: { guardrail: string; action: string; side: 'input' | 'output' }[]
}

/** What is known of a call before it is made. Should the process end in the middle of it, its trace says so much. */
export type CallStart = Pick<CallRecord, 'id' | 'request_id' | 'mouth' | 'model' | 'is_stream'>

/** What a call may cost at most, if it goes to this target. Bytes bound tokens: no tokenizer makes more of a text. */
export type Estimate = {
  /** `provider/model`. */
  model: string
  price: Price
  input_tokens_max: number
  /** Null: as many as the model likes. */
  output_tokens_max: number | null
  /** How many are written; the bound is that of all together. */
  answers: number
}

/** The leave to make a call. Whoever has one gives it back by `settle`, once. */
export type Ticket = {
  /** The provider is asked for no more output than this; null: no bound. */
  output_tokens_max: number | null
  /** What the client is told of budgets that only warn, and of limits: header fields in lower case. The call's own from
   *  here on, which adds to them. */
  headers: Record<string, string>
  /** Whether this target of the estimates may be asked: a limit or budget of its model may be used up where another's
   *  is not. */
  allows(model: string): boolean
  /** Whether this much output is still paid for. Asked as a stream goes on; false cuts it off. */
  covers(output_tokens: number): boolean
  /** What the call used is written down for good, and what was reserved too much is free again. `noted`: findings may come
   *  until then, and it is written down when they are there. */
  settle(record: CallRecord, noted?: Promise<void>): Settled
}
export type Settled = { nanocredits: number }

export type Governor = {
  /** Reserves for the dearest of the targets, in every limit and budget that the caller is subject to. Throws a
   *  `Refusal` (mouths/mouth.ts) with 429 or 402. A promise only when something must be fetched. */
  admit(policy: Policy, caller: Caller, call: CallStart, estimates: Estimate[]): Ticket | Promise<Ticket>
}
