/** One submitted run, from the queue to its verdict. Whatever happens to workers, it is settled exactly once. */

import { hash } from 'node:crypto'
import { limits } from './limits.ts'
import type { Package } from './packages.ts'
import {
  FAULT_CODES,
  type Fault,
  type HostCall,
  type Language,
  type LogEntry,
  levelOf,
  type Module,
  type Verdict,
} from './verdict.ts'
import type { Spending } from './wire.ts'

export type Order = {
  code: string
  packages?: Package[]
  modules?: Module[]
  language: Language
  entry_point: string
  tenant: string
  depth: number
  timeout_ms: number
  memory_mb: number
  /** JSON text. Left out, the module is only loaded and its entry point looked for. */
  input?: string
  signal?: AbortSignal
  host?: HostCall
}

let lastId = 0

export class Task {
  /** Another one for every attempt: what is said about an attempt that was taken back concerns no other. */
  id = 0
  readonly order: Order
  readonly tenant: string
  readonly depth: number
  /** Equal sources are read and loaded once in each worker, whoever sends them. */
  readonly key: string
  readonly verdict: Promise<Verdict>
  /** How often the worker it computed in was lost. */
  losses = 0
  /** Calls and timers, together bounded. */
  asked = 0
  /** Calls to the host. Their effects can't be taken back: after the first, the run is never begun a second time. */
  calls = 0
  /** Characters of all calls to the host, with their answers. */
  crossed = 0
  /** What it keeps in memory while it waits for the host. */
  held_mb = 0
  cpu_ms = 0
  /** It was seen to compute for long. */
  isLong = false
  isSettled = false
  /** When its turn in a worker came. */
  #began: number | undefined
  #timer: NodeJS.Timeout | undefined
  #logs: LogEntry[] = []
  #logRoom: number = 2 * limits.log
  #memory_bytes: number | undefined
  #resolve: (verdict: Verdict) => void = () => {}
  readonly #onSettled: (task: Task) => void

  constructor(order: Order, onSettled: (task: Task) => void) {
    this.order = order
    this.tenant = order.tenant
    this.depth = order.depth
    const digests = order.packages?.map(({ digest }) => `${digest}\n`).join('') ?? ''
    const modules = order.modules?.length ? `${JSON.stringify(order.modules)}\n` : ''
    this.key = hash('sha256', `${order.language}\n${digests}${modules}${order.code}`, 'base64')
    this.#onSettled = onSettled
    this.verdict = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** What it takes in the queue. */
  get size(): number {
    const modules = this.order.modules?.reduce((sum, { code }) => sum + code.length, 0) ?? 0
    return this.order.code.length + modules + (this.order.input?.length ?? 0)
  }

  /** It goes to a worker. */
  sent(): void {
    this.id = ++lastId
  }

  /** Its turn has come. */
  begins(onDeadline: () => void): void {
    this.#began = performance.now()
    this.alarm(this.order.timeout_ms, onDeadline)
  }

  alarm(ms: number, action: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(action, ms)
  }

  /** It will be begun again: neither what the lost attempt printed nor its time is the next one's. */
  returns(): void {
    clearTimeout(this.#timer)
    this.#began = undefined
    this.#logs = []
    this.held_mb = 0
  }

  spent(spending: Spending): void {
    for (const { level, message, at_ms } of spending.logs ?? []) {
      this.#logRoom -= message.length + 16
      if (this.#logRoom > 0) this.#logs.push({ level: levelOf(level), message: String(message), at_ms: Number(at_ms) })
    }
    this.cpu_ms = Number(spending.cpu_ms)
    this.#memory_bytes = Number(spending.memory_bytes)
  }

  succeed(output: string): void {
    try {
      this.#settle({ status: 'success', output: parsed(output), ...this.#spending() })
    } catch {
      this.fail({ code: 'not_json', message: 'The result is not JSON.' })
    }
  }

  fail(error: Fault): void {
    this.#settle({ status: 'error', error: trimmed(error), ...this.#spending() })
  }

  #spending() {
    const duration_ms = this.#began === undefined ? 0 : performance.now() - this.#began
    return {
      logs: this.#logs,
      duration_ms: rounded(duration_ms),
      cpu_ms: rounded(this.cpu_ms),
      memory_bytes: this.#memory_bytes,
    }
  }

  #settle(verdict: Verdict): void {
    if (this.isSettled) return
    this.isSettled = true
    clearTimeout(this.#timer)
    this.#onSettled(this)
    this.#resolve(verdict)
  }
}

/** A stranger's JSON: a key that others might take for an object's prototype is left out. */
export function parsed(json: string): unknown {
  const isPlain = !/__proto__|\\u005f/i.test(json)
  return isPlain ? JSON.parse(json) : JSON.parse(json, (key, value) => (key === '__proto__' ? undefined : value))
}

const rounded = (ms: number) => Math.round(ms * 1000) / 1000

/** A worker is not believed either: what leaves the room has the shape and the size it should have. */
function trimmed({ code, message, line, column, stack }: Fault): Fault {
  return {
    code: FAULT_CODES.includes(code) ? code : 'crashed',
    message: String(message).slice(0, limits.error_message + 200),
    ...(typeof line === 'number' && { line }),
    ...(typeof column === 'number' && { column }),
    ...(typeof stack === 'string' && { stack: stack.slice(0, limits.error_stack) }),
  }
}
