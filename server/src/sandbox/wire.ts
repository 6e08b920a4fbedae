/** What the server and a worker say to each other: one JSON text a line, each way. Guests' values cross as JSON text
 *  inside it and are never looked into on the way. Whatever begins a step in the worker (`run`, `ret`) is answered by
 *  exactly one `done`, `wait` or `skip`, in order: so the server always knows whether the worker computes, and what.
 *  The worker has no timers and no other doings of its own. */

import { keeping } from './limits.ts'
import type { Fault, Language, LogEntry, Module } from './verdict.ts'

export type ToWorker =
  | {
      t: 'run'
      id: number
      /** Whose run it is: between tenants more is wiped than between two runs of one. */
      tenant: string
      key: string
      /** Left out when the worker still keeps the source under this key. */
      code?: string
      /** In base64; they come and are kept with the source. */
      packages?: string[]
      modules?: Module[]
      language: Language
      entry_point: string
      /** Left out, only the module is loaded and its entry point looked for. */
      input?: string
      timeout_ms: number
      memory_mb: number
    }
  /** Of one that is not `ok` the value is a refusal: `{code, message, details}`. */
  | { t: 'ret'; id: number; call: number; ok: boolean; value: string }
  | { t: 'drop'; id: number }

/** What a source counts for among those that are kept; both ends reckon alike. */
export const sourceSize = (code: string, packages: string[] = [], modules: Module[] = []): number =>
  [...packages, ...modules.map((module) => module.code)].reduce(
    (sum, { length }) => sum + length,
    code.length + keeping.source_overhead,
  )

export type FromWorker =
  | { t: 'ready'; layers: string[]; gaps: string[] }
  | { t: 'call'; id: number; call: number; method: string; args: string }
  | { t: 'sleep'; id: number; call: number; ms: number }
  | ({ t: 'wait'; id: number } & Spending)
  /** `retire`: something in the worker broke that does not mend; it takes no more runs. */
  | ({ t: 'done'; id: number; output?: string; error?: Fault; retire?: boolean } & Spending)
  | { t: 'skip'; id: number }

export type Spending = { logs?: LogEntry[]; cpu_ms: number; memory_bytes: number }
