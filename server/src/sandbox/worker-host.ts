/** The server's side of one worker process: what is in it, what it computes now, what it said. A worker is believed in
 *  nothing: ids it was not given are ignored, whoever says too much is killed, and rights are looked up on this side.
 *
 *  Messages that begin a step stand in `#steps` in the order they were sent; the worker answers each once, in order.
 *  So the head of `#steps` is what it computes, and an empty list means that it waits. */

import { type ChildProcess, spawn } from 'node:child_process'
import type { Isolation, Launch } from './isolation.ts'
import { grace, keeping, limits, sharing } from './limits.ts'
import { Recent } from './recent.ts'
import type { Task } from './task.ts'
import type { FromWorker, ToWorker } from './wire.ts'

export type WorkerEvents = {
  /** A step ended, or the worker came up: there may be room. */
  onRoom(worker: WorkerHost): void
  /** Sent to it but not begun by it: somebody else may have it. */
  onReturned(task: Task): void
  /** The process is gone. `culprit` is what it computed; `others` had begun and waited for the host. */
  onEnd(worker: WorkerHost, culprit: Task | undefined, others: Task[]): void
}

type Step = { task: Task; begins: boolean; since: number }
/** Why we ended the process ourselves. */
type Reason = 'timeout' | 'cancelled' | 'misbehaved' | 'closed' | 'no_boot'

export class WorkerHost {
  readonly launch: Launch
  readonly #child: ChildProcess
  readonly #events: WorkerEvents
  readonly #sources = new Recent<true>(keeping.sources)
  readonly #tasks = new Map<number, Task>()
  #steps: Step[] = []
  #rest = ''
  #trouble = ''
  reason: Reason | undefined
  isolation: Isolation | undefined
  isRetiring = false
  readonly #gone = Promise.withResolvers<void>()
  readonly spawnedAt = performance.now()
  boot_ms: number | undefined

  constructor(launch: Launch, events: WorkerEvents) {
    this.launch = launch
    this.#events = events
    this.#child = spawn(launch.command, launch.args, { stdio: ['pipe', 'pipe', 'pipe'], env: launch.env })
    this.#child.stdin?.on('error', () => {})
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#trouble = (this.#trouble + text).slice(-2000)
    })
    this.#child.on('error', (error) => {
      this.#trouble += error.message
    })
    // `close` and not `exit`: what it had said before it died has been read by then.
    this.#child.on('close', () => this.#ended())
    setTimeout(() => this.isolation ?? this.kill('no_boot'), grace.boot_ms).unref()
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  get gone(): Promise<void> {
    return this.#gone.promise
  }

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

  /** Milliseconds since the step it computes now began; 0 when it waits. */
  get computing_ms(): number {
    const head = this.#steps[0]
    return head ? performance.now() - head.since : 0
  }

  // ---- what the pool asks for

  begin(task: Task): void {
    const { order } = task
    const isKept = this.#sources.get(task.key)
    if (!isKept) this.#sources.set(task.key, true)
    task.attempts++
    this.#tasks.set(task.id, task)
    this.#step(task, true, {
      t: 'run',
      id: task.id,
      key: task.key,
      code: isKept ? undefined : order.code,
      language: order.language,
      entry_point: order.entry_point,
      input: order.input,
      timeout_ms: Math.ceil(task.left_ms),
      memory_mb: order.memory_mb,
    })
  }

  /** Takes a run out of the worker, if that can be done without ending the process. */
  withdraw(task: Task): boolean {
    if (this.#steps[0]?.task === task) return false
    this.#tasks.delete(task.id)
    this.#write({ t: 'drop', id: task.id })
    return true
  }

  /** Runs that stand behind a long step go back to the queue. */
  reclaim(): void {
    if (this.computing_ms < sharing.long_step_ms) return
    for (const step of this.#steps.slice(1)) {
      if (!step.begins || !this.#tasks.has(step.task.id)) continue
      this.withdraw(step.task)
      this.#events.onReturned(step.task)
    }
  }

  /** Ends when what it holds has ended. */
  retire(): void {
    this.isRetiring = true
    if (this.#tasks.size === 0) this.#child.stdin?.end()
  }

  kill(reason: Reason): void {
    this.reason ??= reason
    this.#child.kill('SIGKILL')
  }

  // ---- steps

  #step(task: Task, begins: boolean, message: ToWorker): void {
    this.#steps.push({ task, begins, since: performance.now() })
    if (this.#steps.length === 1 && begins) this.#startClock(task)
    this.#write(message)
  }

  #stepEnded(): void {
    this.#steps.shift()
    const head = this.#steps[0]
    if (!head) return
    head.since = performance.now()
    if (head.begins && this.#tasks.has(head.task.id)) this.#startClock(head.task)
  }

  #startClock(task: Task): void {
    task.begin(() => this.#deadline(task))
  }

  /** The worker interrupts a run at its deadline by itself; here are those it can't. */
  #deadline(task: Task): void {
    const isComputing = this.#steps[0]?.task === task
    if (isComputing) return task.postpone(grace.watchdog_ms, () => this.#overdue(task))
    this.withdraw(task)
    task.fail({ code: 'timeout', message: timedOut(task) })
    this.#events.onRoom(this)
  }

  #overdue(task: Task): void {
    if (this.#steps[0]?.task !== task) return this.#deadline(task)
    this.kill('timeout')
  }

  // ---- what the worker says

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
    if (this.reason) return
    try {
      this.#receive(JSON.parse(line) as FromWorker)
    } catch {
      this.kill('misbehaved')
    }
  }

  #receive(message: FromWorker): void {
    if (message.t === 'ready') return this.#up(message.layers, message.gaps)
    const task = this.#tasks.get(message.id)
    if (message.t === 'call') return task && this.#call(task, message)
    if (message.t === 'sleep') return task && this.#sleep(task, message.call, message.ms)

    if (this.#steps[0]?.task.id !== message.id) return this.kill('misbehaved')
    const step = this.#steps[0]
    this.#stepEnded()
    if (message.t === 'skip') {
      if (task && step.begins) this.#returned(task)
    } else if (task) {
      task.spend(message)
      if (message.t === 'done') this.#done(task, message)
    }
    if (message.t === 'done' && message.retire) this.retire()
    if (this.isRetiring && this.#tasks.size === 0) this.retire()
    this.#events.onRoom(this)
  }

  #up(layers: string[], gaps: string[]): void {
    this.boot_ms = performance.now() - this.spawnedAt
    this.isolation = { level: this.launch.level, layers, gaps }
    this.#events.onRoom(this)
  }

  #returned(task: Task): void {
    this.#tasks.delete(task.id)
    this.#events.onReturned(task)
  }

  #done(task: Task, message: Extract<FromWorker, { t: 'done' }>): void {
    this.#tasks.delete(task.id)
    if (message.error) task.fail(message.error)
    else task.succeed(String(message.output))
  }

  #call(task: Task, message: { call: number; method: string; args: string }): void {
    task.calls++
    if (task.calls > limits.host_calls) return this.kill('misbehaved')
    const { host } = task.order
    if (!host) return this.#answer(task, message.call, false, 'This code has no host to call.')
    Promise.resolve()
      .then(() => host(message.method, JSON.parse(message.args)))
      .then((value) => this.#answer(task, message.call, true, answerText(value)))
      .catch((error: unknown) => {
        const said = error instanceof Error ? error.message : 'The call failed.'
        this.#answer(task, message.call, false, said.slice(0, limits.error_message))
      })
  }

  #sleep(task: Task, call: number, ms: number): void {
    setTimeout(
      () => this.#answer(task, call, true, 'null'),
      Math.min(Math.max(0, Number(ms) || 0), limits.timeout_ms_max),
    ).unref()
  }

  #answer(task: Task, call: number, ok: boolean, value: string): void {
    if (task.isSettled || this.#tasks.get(task.id) !== task || this.reason) return
    this.#step(task, false, { t: 'ret', id: task.id, call, ok, value })
  }

  #write(message: ToWorker): void {
    if (!this.reason) this.#child.stdin?.write(`${JSON.stringify(message)}\n`)
  }

  #ended(): void {
    this.reason ??= 'misbehaved'
    const head = this.#steps[0]
    const culprit = head && this.#tasks.get(head.task.id)
    const others: Task[] = []
    const unbegun = new Set(
      this.#steps
        .slice(1)
        .filter((step) => step.begins)
        .map((step) => step.task),
    )
    for (const task of this.#tasks.values()) {
      if (task === culprit) continue
      if (unbegun.has(task)) this.#events.onReturned(task)
      else others.push(task)
    }
    this.#tasks.clear()
    this.#steps = []
    this.#events.onEnd(this, culprit, others)
    this.#gone.resolve()
  }
}

export const timedOut = (task: Task) => `It ran longer than ${task.order.timeout_ms} ms and was ended.`

function answerText(value: unknown): string {
  const text = JSON.stringify(value === undefined ? null : value) ?? 'null'
  if (text.length > limits.input) throw new Error('The answer to this call is too large.')
  return text
}
