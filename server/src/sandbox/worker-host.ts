/** The server's side of one worker process: what is in it, what it computes now, what it says. A worker is believed in
 *  nothing: ids it was not given are ignored, rights are looked up on this side, and one that breaks the protocol or
 *  says too much is killed.
 *
 *  Messages that begin a step stand in `#steps` in the order they were sent, and the worker answers each once, in that
 *  order. So the head of `#steps` is what it computes, and an empty list means that it waits. */

import { type ChildProcess, spawn } from 'node:child_process'
import { answerOf, refusalOf } from './host-call.ts'
import { type Isolation, isReached, type Launch } from './isolation.ts'
import { grace, keeping, limits } from './limits.ts'
import type { Pace, Seat } from './placement.ts'
import { dieFirst, residentBytes } from './proc.ts'
import { Recent } from './recent.ts'
import { Slate } from './slate.ts'
import type { Task } from './task.ts'
import { type FromWorker, sourceSize, type ToWorker } from './wire.ts'

export type WorkerEvents = {
  onUp(worker: WorkerHost): void
  /** A step ended: there may be room. */
  onRoom(): void
  /** What a tenant's waiting runs keep in memory has changed. */
  onHeld(tenant: string, by_mb: number): void
  /** Sent to it but not begun by it: it goes back to where it came from. */
  onReturned(task: Task): void
  /** The process is gone. `culprit` is what it computed; `others` had begun and waited for the host. */
  onGone(worker: WorkerHost, culprit: Task | undefined, others: Task[]): void
}

type Step = { id: number; task: Task; isFirst: boolean; since: number }

/** Why we ended the process. */
type Reason = 'no boot' | 'too weak' | 'timeout' | 'cancelled' | 'misbehaved' | 'closed'

export class WorkerHost implements Seat {
  readonly launch: Launch
  readonly spawned_at = performance.now()
  readonly gone: Promise<void>
  readonly #child: ChildProcess
  readonly #slate = Slate.open()
  readonly #events: WorkerEvents
  readonly #sources = new Recent<true>(keeping.sources_size)
  readonly #tasks = new Map<number, Task>()
  #steps: Step[] = []
  readonly #patience: NodeJS.Timeout
  #rest = ''
  #trouble = ''
  #troubles = 0
  /** What it asked in the name of runs it does not hold (any more). */
  #strays = 0
  reason: Reason | undefined
  isolation: Isolation | undefined
  boot_ms: number | undefined
  idle_since = performance.now()
  isRetiring = false
  /** Told by the pool, which knows the tenants. */
  pace: Pace = 'usual'
  held_mb = 0

  constructor(launch: Launch, events: WorkerEvents) {
    this.launch = launch
    this.#events = events
    const slate = this.#slate?.readable ?? 'ignore'
    this.#child = spawn(launch.command, launch.args, {
      stdio: ['pipe', 'pipe', 'pipe', slate],
      env: { TZ: 'UTC' },
      // A group of its own: Ctrl-C in a terminal is told to the server's group, and what runs may end before it.
      detached: true,
    })
    this.#slate?.handedOver()
    dieFirst(this.#child.pid)
    this.#child.stdin?.on('error', () => {})
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#complain(text))
    this.#child.on('error', (error) => this.#complain(error.message))
    const patience = setTimeout(() => this.kill('no boot'), grace.boot_ms)
    this.gone = new Promise((resolve) => {
      // `close` and not `exit`: what it had said before it died has been read by then.
      this.#child.on('close', () => {
        clearTimeout(patience)
        this.#gone()
        resolve()
      })
    })
    this.#patience = patience
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** The last it wrote where nobody writes when all is well. */
  get trouble(): string {
    return this.#trouble
  }

  get isUp(): boolean {
    return this.isolation !== undefined && this.reason === undefined && !this.isRetiring
  }

  get runs(): number {
    return this.#tasks.size
  }

  get steps(): number {
    return this.#steps.length
  }

  get tenant(): string | undefined {
    return this.computing?.tenant
  }

  get computing(): Task | undefined {
    return this.#steps[0]?.task
  }

  #isComputing(task: Task): boolean {
    return this.#steps[0]?.id === task.id
  }

  get computing_ms(): number {
    const head = this.#steps[0]
    return head ? performance.now() - head.since : 0
  }

  runsOfOthers(tenant: string): number {
    let count = 0
    for (const task of this.#tasks.values()) if (task.tenant !== tenant) count++
    return count
  }

  /** Resident memory, where the system tells. */
  get memory_bytes(): number | undefined {
    return residentBytes(this.pid)
  }

  // ---- what the pool asks for

  begin(task: Task): void {
    const { code, modules, language, entry_point, input, memory_mb } = task.order
    const isKept = this.#sources.get(task.key) === true
    const packages = task.order.packages?.map(({ content }) => content)
    if (!isKept) this.#sources.set(task.key, true, sourceSize(code, packages, modules))
    task.sent()
    this.#tasks.set(task.id, task)
    this.#step(task, true, {
      t: 'run',
      id: task.id,
      tenant: task.tenant,
      key: task.key,
      code: isKept ? undefined : code,
      packages: isKept ? undefined : packages,
      modules: isKept ? undefined : modules,
      language,
      entry_point,
      input,
      timeout_ms: task.order.timeout_ms,
      memory_mb,
    })
  }

  /** Takes a run out. What computes can't be taken: it is told to end, and killed with its worker if it does not. */
  withdraw(task: Task): void {
    this.#slate?.write(task.id)
    if (!this.#isComputing(task)) {
      this.#leaves(task)
      this.#write({ t: 'drop', id: task.id })
      return
    }
    const patience_ms = this.#slate ? grace.cancel_ms : 0
    setTimeout(() => {
      if (this.#isComputing(task)) this.kill('cancelled')
    }, patience_ms).unref()
  }

  /** Runs that stand behind a long step go back, in their order, and another worker may have them. */
  reclaim(): void {
    for (const { id, task, isFirst } of this.#steps.slice(1).reverse()) {
      if (!isFirst || !this.#tasks.has(id)) continue
      this.withdraw(task)
      this.#events.onReturned(task)
    }
  }

  /** Takes no more and ends when what it holds has ended. */
  retire(): void {
    this.isRetiring = true
    if (this.#tasks.size === 0) this.#child.stdin?.end()
  }

  kill(reason: Reason): void {
    this.reason ??= reason
    this.#child.kill('SIGKILL')
  }

  // ---- steps

  #step(task: Task, isFirst: boolean, message: ToWorker): void {
    this.#steps.push({ id: task.id, task, isFirst, since: performance.now() })
    if (this.#steps.length === 1) this.#startClock()
    this.#write(message)
  }

  #stepEnded(): void {
    this.#steps.shift()
    const head = this.#steps[0]
    if (!head) {
      this.idle_since = performance.now()
      return
    }
    head.since = performance.now()
    this.#startClock()
  }

  #startClock(): void {
    const head = this.#steps[0]
    if (head?.isFirst && this.#tasks.has(head.id)) head.task.begins(() => this.#deadline(head.task))
  }

  /** The worker interrupts a run at its deadline by itself; here are the waiting ones, and those it can't. */
  #deadline(task: Task): void {
    if (this.#isComputing(task)) {
      task.alarm(grace.watchdog_ms, () => {
        if (this.#isComputing(task)) this.kill('timeout')
        else this.#deadline(task)
      })
      return
    }
    this.withdraw(task)
    task.fail({ code: 'timeout', message: overdue(task) })
    this.#events.onRoom()
  }

  #holds(task: Task, mb: number): void {
    const by_mb = mb - task.held_mb
    if (by_mb === 0) return
    task.held_mb = mb
    this.held_mb += by_mb
    this.#events.onHeld(task.tenant, by_mb)
  }

  #leaves(task: Task): void {
    if (!this.#tasks.delete(task.id)) return
    this.#holds(task, 0)
  }

  // ---- what the worker says

  #complain(text: string): void {
    this.#trouble = (this.#trouble + text).slice(-2000)
    this.#troubles += text.length
    if (this.#troubles > limits.trouble_from_worker) this.kill('misbehaved')
  }

  #read(text: string): void {
    this.#rest += text
    let from = 0
    for (let end = this.#rest.indexOf('\n'); end >= 0; end = this.#rest.indexOf('\n', from)) {
      this.#take(this.#rest.slice(from, end))
      from = end + 1
    }
    this.#rest = this.#rest.slice(from)
    if (this.#rest.length > limits.line_from_worker) this.kill('misbehaved')
  }

  #take(line: string): void {
    if (this.reason !== undefined) return
    try {
      this.#receive(JSON.parse(line))
    } catch {
      this.kill('misbehaved')
    }
  }

  #receive(message: FromWorker): void {
    if (message.t === 'ready') {
      this.#up(message)
      return
    }
    const task = this.#tasks.get(message.id)
    if (message.t === 'call' || message.t === 'sleep') {
      if (task) this.#asked(task, message)
      else if (++this.#strays > limits.host_calls * 10) this.kill('misbehaved')
      return
    }
    const step = this.#steps[0]
    if (step?.id !== message.id) {
      this.kill('misbehaved')
      return
    }
    this.#strays = 0
    this.#stepEnded()
    if (task) this.#stepped(task, message, step.isFirst)
    if (message.t === 'done' && message.retire) this.isRetiring = true
    if (this.isRetiring) this.retire()
    this.#events.onRoom()
  }

  #up({ layers, gaps }: { layers: string[]; gaps: string[] }): void {
    clearTimeout(this.#patience)
    this.boot_ms = performance.now() - this.spawned_at
    if (!isReached(this.launch.level, layers)) {
      this.#complain(gaps.join(' '))
      this.kill('too weak')
      return
    }
    const namespaces = this.launch.level === 'bubblewrap' ? ['namespaces'] : []
    this.isolation = { level: this.launch.level, layers: [...layers, ...namespaces], gaps }
    this.#events.onUp(this)
  }

  #stepped(task: Task, message: Exclude<FromWorker, { t: 'ready' | 'call' | 'sleep' }>, isFirst: boolean): void {
    if (message.t === 'skip') {
      if (!isFirst) return
      this.#leaves(task)
      this.#events.onReturned(task)
      return
    }
    task.spent(message)
    if (message.t === 'wait') {
      this.#holds(task, Math.max(0, message.memory_bytes) / 1024 / 1024)
      return
    }
    this.#leaves(task)
    if (message.error) task.fail(message.error)
    else task.succeed(String(message.output))
  }

  #asked(task: Task, message: Extract<FromWorker, { t: 'call' | 'sleep' }>): void {
    const answer = (ok: boolean, value: string) => this.#answer(message.id, message.call, ok, value)
    if (++task.asked > limits.host_calls + limits.timers) {
      this.kill('misbehaved')
      return
    }
    if (message.t === 'sleep') {
      const ms = Math.min(Math.max(0, Number(message.ms)), limits.timeout_ms_max)
      setTimeout(answer, ms, true, 'null').unref()
      return
    }
    const { host } = task.order
    if (!host) {
      answer(false, refusalOf(new Error('This code has no host to call.')))
      return
    }
    if (++task.calls > limits.host_calls) {
      this.kill('misbehaved')
      return
    }
    answerOf(task, host, message).then(
      (value) => answer(true, value),
      (error: unknown) => answer(false, refusalOf(error)),
    )
  }

  #answer(id: number, call: number, ok: boolean, value: string): void {
    const task = this.#tasks.get(id)
    if (task && !task.isSettled) this.#step(task, false, { t: 'ret', id, call, ok, value })
  }

  #write(message: ToWorker): void {
    if (this.reason === undefined) this.#child.stdin?.write(`${JSON.stringify(message)}\n`)
  }

  #gone(): void {
    this.#slate?.close()
    const culprit = this.#tasks.get(this.#steps[0]?.id ?? 0)
    const unbegun = new Set(this.#steps.slice(1).map((step) => (step.isFirst ? step.id : 0)))
    const held = [...this.#tasks.values()]
    this.#steps = []
    for (const task of held) this.#leaves(task)
    for (const task of held) if (unbegun.has(task.id)) this.#events.onReturned(task)
    const others = held.filter((task) => task !== culprit && !unbegun.has(task.id))
    this.#events.onGone(this, culprit, others)
  }
}

export const overdue = (task: Task) => `It ran longer than ${task.order.timeout_ms} ms and was ended.`
