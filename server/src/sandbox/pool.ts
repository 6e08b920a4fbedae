/** The workers and who may use them when. */

import type { Isolation, IsolationLevel } from './isolation.ts'
import { launches } from './isolation.ts'
import { sharing } from './limits.ts'
import { FairQueue } from './queue.ts'
import type { Log, Verdict } from './sandbox.ts'
import { type Order, Task } from './task.ts'
import { timedOut, WorkerHost } from './worker-host.ts'

export type PoolStats = {
  workers: { pid: number | undefined; runs: number; boot_ms: number | undefined }[]
  queued: number
  running: number
  respawned: number
}

export class Pool {
  readonly #size: number
  readonly #log: Log | undefined
  readonly #queue = new FairQueue<Task>()
  readonly #workers = new Set<WorkerHost>()
  readonly #workerOf = new Map<Task, WorkerHost>()
  readonly #inFlight = new Map<string, number>()
  readonly #launches
  readonly #up = Promise.withResolvers<void>()
  #isClosed = false
  #failures = 0
  #respawned = 0
  #sweep: NodeJS.Timeout | undefined

  constructor(options: { workers: number; floor?: IsolationLevel; log?: Log }) {
    this.#size = Math.max(1, options.workers)
    this.#log = options.log
    this.#launches = launches()
    this.#up.promise.catch(() => {})
    for (let i = 0; i < this.#size; i++) this.#spawn()
  }

  get isolation(): Isolation {
    for (const worker of this.#workers) if (worker.isolation) return worker.isolation
    return { level: 'process', layers: [], gaps: ['No worker is up yet.'] }
  }

  firstWorker(): Promise<void> {
    return this.#up.promise
  }

  stats(): PoolStats {
    const workers = [...this.#workers].map(({ pid, runs, boot_ms }) => ({ pid, runs, boot_ms }))
    return { workers, queued: this.#queue.length, running: this.#workerOf.size, respawned: this.#respawned }
  }

  submit(order: Order): Promise<Verdict> {
    if (this.#isClosed) return Promise.reject(new Error('The sandbox is closed.'))
    const task = new Task(order, (settled) => this.#settled(settled))
    try {
      this.#queue.add(task)
    } catch (full) {
      return Promise.reject(full)
    }
    const { signal } = order
    if (signal) {
      const cancel = () => this.#cancel(task)
      signal.addEventListener('abort', cancel, { once: true })
      task.verdict.then(() => signal.removeEventListener('abort', cancel))
    }
    this.#dispatch()
    return task.verdict
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearInterval(this.#sweep)
    const gone = [...this.#workers].map((worker) => worker.gone)
    for (let task = this.#queue.take(() => true); task; task = this.#queue.take(() => true)) this.#closed(task)
    for (const worker of this.#workers) worker.kill('closed')
    await Promise.all(gone)
  }

  #closed(task: Task): void {
    task.fail({ code: 'cancelled', message: 'The sandbox was closed.' })
  }

  #cancel(task: Task): void {
    const worker = this.#workerOf.get(task)
    const isOut = worker ? worker.withdraw(task) : this.#queue.remove(task)
    if (!isOut) worker?.kill('cancelled')
    task.fail({ code: 'cancelled', message: 'It was cancelled.' })
    this.#dispatch()
  }

  #settled(task: Task): void {
    if (this.#workerOf.delete(task)) this.#count(task.tenant, -1)
  }

  #count(tenant: string, by: number): void {
    const count = (this.#inFlight.get(tenant) ?? 0) + by
    if (count > 0) this.#inFlight.set(tenant, count)
    else this.#inFlight.delete(tenant)
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const worker = this.#freest()
      if (!worker) return
      const task = this.#queue.take(
        (tenant) => (this.#inFlight.get(tenant) ?? 0) < this.#size * sharing.runs_per_worker,
      )
      if (!task) return
      this.#workerOf.set(task, worker)
      this.#count(task.tenant, 1)
      worker.begin(task)
    }
  }

  #freest(): WorkerHost | undefined {
    let freest: WorkerHost | undefined
    for (const worker of this.#workers) {
      if (!worker.isUp || worker.runs >= sharing.runs_per_worker) continue
      if (worker.steps > 0 && worker.computing_ms > sharing.long_step_ms) continue
      if (!freest || worker.steps < freest.steps) freest = worker
    }
    return freest
  }

  #spawn(): void {
    const launch = this.#launches[0]
    if (!launch || this.#isClosed) return
    const worker = new WorkerHost(launch, {
      onRoom: (of) => {
        if (of.isolation) this.#up.resolve()
        this.#failures = 0
        this.#dispatch()
      },
      onReturned: (task) => this.#again(task),
      onEnd: (of, culprit, others) => this.#ended(of, culprit, others),
    })
    this.#workers.add(worker)
  }

  #again(task: Task): void {
    this.#settled(task)
    if (task.isSettled) return
    if (this.#isClosed) return this.#closed(task)
    task.begun_again()
    this.#queue.addFirst(task)
    this.#dispatch()
  }

  #ended(worker: WorkerHost, culprit: Task | undefined, others: Task[]): void {
    this.#workers.delete(worker)
    if (culprit && worker.reason === 'timeout') culprit.fail({ code: 'timeout', message: timedOut(culprit) })
    for (const task of culprit ? [culprit, ...others] : others) {
      const isClean = task.calls === 0 && task.attempts < sharing.attempts && task.left_ms > 0
      if (isClean) this.#again(task)
      else
        task.fail({
          code: 'crashed',
          message: 'The worker it ran in ended. What it had asked of the host may have happened.',
        })
    }
    if (this.#isClosed) return
    this.#respawned++
    if (worker.isolation) return this.#spawn()
    this.#failures++
    this.#log?.warn({ trouble: worker.trouble }, 'a sandbox worker did not start')
    setTimeout(() => this.#spawn(), Math.min(5000, 100 * 2 ** this.#failures)).unref()
  }
}
