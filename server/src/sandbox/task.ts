/** One submitted run, from the queue to its verdict. Whatever happens to workers, it is settled exactly once. */

import { hash } from 'node:crypto'
import { limits } from './limits.ts'
import type { Fault, HostCall, Language, LogEntry, Verdict } from './sandbox.ts'
import type { Spending } from './wire.ts'

export type Order = {
  code: string
  language: Language
  entry_point: string
  tenant: string
  timeout_ms: number
  memory_mb: number
  /** JSON text. Left out, the module is only loaded. */
  input?: string
  signal?: AbortSignal
  host?: HostCall
}

let lastId = 0

export class Task {
  readonly id = ++lastId
  readonly order: Order
  readonly tenant: string
  /** Equal sources are read and loaded once in each worker, whoever sends them. */
  readonly key: string
  readonly verdict: Promise<Verdict>
  attempts = 0
  /** Calls whose effects nobody can take back: after the first, the run is never begun a second time. */
  calls = 0
  isSettled = false
  /** When its turn in a worker came. */
  #began: number | undefined
  #timer: NodeJS.Timeout | undefined
  #logs: LogEntry[] = []
  #cpu_ms: number | undefined
  #memory_bytes: number | undefined
  #resolve: (verdict: Verdict) => void = () => {}
  readonly #onSettled: (task: Task) => void

  constructor(order: Order, onSettled: (task: Task) => void) {
    this.order = order
    this.tenant = order.tenant
    this.key = hash('sha256', `${order.language}\n${order.code}`, 'base64')
    this.#onSettled = onSettled
    this.verdict = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  get hasBegun(): boolean {
    return this.#began !== undefined
  }

  /** Milliseconds it has left; its clock runs on through a second attempt. */
  get left_ms(): number {
    if (this.#began === undefined) return this.order.timeout_ms
    return this.order.timeout_ms - (performance.now() - this.#began)
  }

  begin(onDeadline: () => void): void {
    this.#began ??= performance.now()
    clearTimeout(this.#timer)
    this.#timer = setTimeout(onDeadline, Math.max(1, this.left_ms))
  }

  postpone(ms: number, onDeadline: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(onDeadline, ms)
  }

  /** What the lost attempt printed is not the second one's. */
  begun_again(): void {
    this.#logs = []
    clearTimeout(this.#timer)
  }

  spend(spending: Spending): void {
    if (spending.logs) this.#logs.push(...spending.logs)
    this.#cpu_ms = spending.cpu_ms
    this.#memory_bytes = spending.memory_bytes
  }

  succeed(output: string): void {
    let value: unknown
    try {
      value = JSON.parse(output)
    } catch {
      return this.fail({ code: 'not_json', message: 'The result is not JSON.' })
    }
    this.#settle({ status: 'success', output: value, ...this.#spent() })
  }

  fail(error: Fault): void {
    this.#settle({ status: 'error', error: trimmed(error), ...this.#spent() })
  }

  #spent() {
    const duration_ms = this.#began === undefined ? 0 : Math.round((performance.now() - this.#began) * 1000) / 1000
    return { logs: this.#logs, duration_ms, cpu_ms: this.#cpu_ms, memory_bytes: this.#memory_bytes }
  }

  #settle(verdict: Verdict): void {
    if (this.isSettled) return
    this.isSettled = true
    clearTimeout(this.#timer)
    this.#onSettled(this)
    this.#resolve(verdict)
  }
}

/** A worker is not believed either: nothing longer than it should be leaves the room. */
function trimmed(error: Fault): Fault {
  const { code, line, column } = error
  return {
    code,
    message: String(error.message).slice(0, limits.error_message + 200),
    ...(typeof line === 'number' && { line }),
    ...(typeof column === 'number' && { column }),
    ...(typeof error.stack === 'string' && { stack: error.stack.slice(0, limits.error_stack) }),
  }
}
