/** The workers: how many there are, which run goes where, and what becomes of the runs of one that is lost. */

import { type EngineName, type Isolation, type IsolationLevel, type Launch, launches } from './isolation.ts'
import { grace, sharing } from './limits.ts'
import { isCrowded, place } from './placement.ts'
import { FairQueue, SandboxUnavailable } from './queue.ts'
import { type Order, Task } from './task.ts'
import { Tenants } from './tenants.ts'
import type { Verdict } from './verdict.ts'
import { overdue, WorkerHost } from './worker-host.ts'

export type Log = {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export type PoolStats = {
  workers: { pid?: number; runs: number; boot_ms?: number; memory_bytes?: number }[]
  queued: number
  running: number
  /** Workers that died or had to be killed since the start. */
  lost: number
}

export class Pool {
  readonly #size: number
  readonly #log: Log | undefined
  /** Whoever stops the server may have told its workers so, too. */
  readonly #stopping: AbortSignal | undefined
  readonly #floor: IsolationLevel
  readonly #engine: EngineName
  readonly #queue = new FairQueue<Task>()
  readonly #tenants: Tenants
  readonly #workers = new Set<WorkerHost>()
  readonly #workerOf = new Map<Task, WorkerHost>()
  readonly #first = Promise.withResolvers<void>()
  readonly #warmUp: NodeJS.Timeout | undefined
  #sweeper: NodeJS.Timeout | undefined
  #respawn: NodeJS.Timeout | undefined
  #calm: NodeJS.Timeout | undefined
  /** Ways to start a worker that have not failed yet; once one has worked, only that one. */
  #launches: Launch[]
  #isolation: Isolation = { level: 'process', layers: [], gaps: ['No worker is up yet.'] }
  #gaps: string[]
  /** Somebody waits who has not had their share. */
  #isShort = false
  #hasWorked = false
  #failures = 0
  #lostWorkers = 0
  #isClosed = false

  /** Of JavaScript a worker is started soon, and one is kept; others have none until they are asked for. */
  constructor(options: {
    engine: EngineName
    workers: number
    runs_per_tenant?: number
    floor: IsolationLevel
    log?: Log
    stopping?: AbortSignal
  }) {
    // With one worker at most, everybody would have to wait for a long run.
    this.#size = Math.max(2, options.workers)
    this.#log = options.log
    this.#stopping = options.stopping
    this.#floor = options.floor
    this.#engine = options.engine
    this.#tenants = new Tenants(this.#size, options.runs_per_tenant)
    const { found, gaps } = launches(process.pid, options.floor, options.engine)
    this.#launches = found
    this.#gaps = gaps
    this.#first.promise.catch(() => {})
    this.#warmUp =
      options.engine === 'javascript' ? setTimeout(() => this.#wake(), grace.warm_up_ms).unref() : undefined
  }

  get isolation(): Isolation {
    return this.#isolation
  }

  get hasWorked(): boolean {
    return this.#hasWorked
  }

  /** Rejects when no worker as strong as the floor can be started here. */
  firstWorker(): Promise<void> {
    this.#wake()
    return this.#first.promise
  }

  stats(): PoolStats {
    const workers = [...this.#workers].map(({ pid, runs, boot_ms, memory_bytes }) => {
      return { pid, runs, boot_ms, memory_bytes }
    })
    return { workers, queued: this.#queue.length, running: this.#workerOf.size, lost: this.#lostWorkers }
  }

  async submit(order: Order): Promise<Verdict> {
    if (this.#isClosed) throw new SandboxUnavailable('SANDBOX_CLOSED', 'The sandbox is closed.')
    if (this.#isDown) throw new SandboxUnavailable('SANDBOX_DOWN', 'No worker of the sandbox can be started.')
    const task = new Task(order, (settled) => this.#leave(settled))
    this.#queue.add(task)
    const cancel = () => this.#cancel(task)
    order.signal?.addEventListener('abort', cancel, { once: true })
    this.#wake()
    this.#dispatch()
    try {
      return await task.verdict
    } finally {
      order.signal?.removeEventListener('abort', cancel)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#warmUp)
    clearTimeout(this.#respawn)
    clearTimeout(this.#calm)
    clearInterval(this.#sweeper)
    this.#failQueued({ code: 'cancelled', message: 'The sandbox was closed.' })
    for (const worker of this.#workers) worker.kill('closed')
    await Promise.all([...this.#workers].map((worker) => worker.gone))
  }

  // ---- runs

  #cancel(task: Task): void {
    this.#queue.remove(task)
    this.#workerOf.get(task)?.withdraw(task)
    task.fail({ code: 'cancelled', message: 'It was cancelled.' })
    this.#dispatch()
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const seats = this.#seats()
      let seat: WorkerHost | undefined
      let mayStandBehind = true
      this.#isShort = false
      const task = this.#queue.take((tenant, depth) => {
        if (!this.#tenants.mayGo(tenant, depth)) return false
        const pace = this.#tenants.pace(tenant)
        const found = place(seats, { tenant, pace, mayStandBehind, seats_max: this.#size })
        if (found === 'soon') mayStandBehind = false
        if (found === 'soon' || found === 'later') this.#isShort = true
        if (typeof found === 'string') return false
        seat = found
        return true
      })
      if (!task || !seat) break
      this.#workerOf.set(task, seat)
      this.#tenants.enters(task.tenant)
      seat.begin(task)
    }
    this.#sweeper ??= setInterval(() => this.#sweep(), sharing.sweep_ms).unref()
  }

  #seats(): WorkerHost[] {
    const seats: WorkerHost[] = []
    for (const worker of this.#workers) {
      if (!worker.isUp) continue
      if (worker.computing) worker.pace = this.#tenants.pace(worker.computing.tenant)
      seats.push(worker)
    }
    return seats
  }

  /** While anybody computes or waits: who computes long is known, and nobody stands behind them. */
  #sweep(): void {
    let isBusy = this.#queue.length > 0
    for (const worker of this.#workers) {
      const { computing, computing_ms } = worker
      if (!computing) continue
      isBusy = true
      if (computing_ms < sharing.long_step_ms) continue
      if (!computing.isLong && this.#workerOf.get(computing) === worker) {
        computing.isLong = true
        this.#tenants.computesLong(computing.tenant)
      }
      worker.reclaim()
    }
    if (isBusy) {
      this.#grow()
      return
    }
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
    this.#calm ??= setTimeout(() => this.#shrink(), grace.idle_worker_ms).unref()
  }

  /** Somebody waits: one more worker, up to the pool's size; and up to twice that for a while, when long runs have
   *  taken all of them. One at a time: the next may not be needed. */
  #grow(): void {
    const isStarting = this.#failures > 0 || [...this.#workers].some(({ isolation }) => !isolation)
    if (this.#queue.length === 0 || !this.#isShort || isStarting) return
    const isFull = this.#workers.size >= this.#size
    if (!isFull || (this.#workers.size < 2 * this.#size && isCrowded(this.#seats()))) this.#spawn()
  }

  /** One worker is kept for whoever comes next. */
  #shrink(): void {
    this.#calm = undefined
    const idle = this.#seats().filter((worker) => worker.runs === 0)
    const surplus = idle.filter((worker) => performance.now() - worker.idle_since >= grace.idle_worker_ms)
    for (const worker of surplus.slice(this.#seats().length === surplus.length ? 1 : 0)) worker.retire()
    if (this.#workers.size > 1) this.#calm = setTimeout(() => this.#shrink(), grace.idle_worker_ms).unref()
  }

  #leave(task: Task): void {
    if (!this.#workerOf.delete(task)) return
    if (task.isLong || task.isSettled) this.#tenants.computed(task.tenant, task.cpu_ms, task.isLong)
    task.isLong = false
    this.#tenants.leaves(task.tenant)
  }

  #again(task: Task): void {
    this.#leave(task)
    task.returns()
    if (task.isSettled) return
    this.#queue.addFirst(task)
    if (this.#isClosed) this.#failQueued({ code: 'cancelled', message: 'The sandbox was closed.' })
    else queueMicrotask(() => this.#dispatch())
  }

  #failQueued(error: { code: 'cancelled' | 'crashed'; message: string }): void {
    for (let task = this.#queue.take(() => true); task; task = this.#queue.take(() => true)) task.fail(error)
  }

  // ---- workers

  get #isDown(): boolean {
    return this.#launches.length === 0
  }

  #wake(): void {
    if (this.#isDown) this.#giveUp()
    if (this.#workers.size === 0 && this.#failures === 0) this.#spawn()
  }

  #spawn(): void {
    const [launch] = this.#launches
    if (!launch || this.#isClosed) return
    this.#workers.add(
      new WorkerHost(launch, {
        onUp: (worker) => this.#up(worker),
        onRoom: () => this.#dispatch(),
        onHeld: (tenant, by_mb) => this.#tenants.holds(tenant, by_mb),
        onReturned: (task) => this.#again(task),
        onGone: (worker, culprit, others) => this.#gone(worker, culprit, others),
      }),
    )
  }

  #up(worker: WorkerHost): void {
    this.#failures = 0
    if (!this.#hasWorked && worker.isolation) {
      // From now on nothing weaker is started, whatever happens.
      this.#hasWorked = true
      this.#launches = [worker.launch]
      const { level, layers, gaps } = worker.isolation
      this.#isolation = { level, layers, gaps: [...this.#gaps, ...gaps] }
      this.#log?.info(
        { engine: this.#engine, isolation: this.#isolation, boot_ms: worker.boot_ms },
        'the sandbox is up',
      )
      this.#first.resolve()
    }
    this.#dispatch()
  }

  #gone(worker: WorkerHost, culprit: Task | undefined, others: Task[]): void {
    this.#workers.delete(worker)
    if (culprit && worker.reason === 'timeout') culprit.fail({ code: 'timeout', message: overdue(culprit) })
    if (culprit) culprit.losses++
    for (const task of culprit ? [culprit, ...others] : others) this.#lost(task)
    if (this.#isClosed) return
    if (worker.isolation) this.#replace(worker)
    else this.#failed(worker)
  }

  /** A run without effects so far is begun again, unless its worker is lost too often while it computes. */
  #lost(task: Task): void {
    if (task.calls === 0 && task.losses < sharing.losses) {
      this.#again(task)
      return
    }
    const after = task.calls > 0 ? ' What it had asked of the host has happened all the same.' : ''
    task.fail({ code: 'crashed', message: `The worker it ran in ended.${after}` })
  }

  #replace(worker: WorkerHost): void {
    if (!worker.isRetiring) {
      this.#lostWorkers++
      this.#tell({ reason: worker.reason, trouble: worker.trouble }, 'a sandbox worker ended')
    }
    const isMissed = this.#workers.size === 0 || (this.#queue.length > 0 && this.#workers.size < this.#size)
    if (isMissed) this.#spawn()
    this.#dispatch()
  }

  /** Of a worker's trouble, as long as nobody has wished for it. */
  #tell(fields: object, message: string): void {
    if (this.#stopping?.aborted) this.#log?.info(fields, message)
    else this.#log?.warn(fields, message)
  }

  /** It did not come up. A way that has never worked is given up; one that has is tried again. */
  #failed(worker: WorkerHost): void {
    this.#failures++
    const { level } = worker.launch
    const trouble = worker.trouble.trim().slice(0, 500) || worker.reason || 'it ended without a word'
    this.#tell({ level, trouble }, 'a sandbox worker did not start')
    // One that was only slow, as on a machine that has too much to do, says nothing against its level.
    const isImpossible = worker.reason !== 'no boot' || this.#failures >= grace.boots
    if (!this.#hasWorked && isImpossible) {
      this.#launches = this.#launches.slice(1)
      this.#gaps.push(`No worker could be started at the level ${level}: ${trouble}`)
    }
    if (this.#isDown) {
      this.#giveUp()
      return
    }
    const delay_ms = this.#hasWorked ? Math.min(5000, 50 * 2 ** this.#failures) : 0
    this.#respawn = setTimeout(() => this.#spawn(), delay_ms)
  }

  /** Nothing as strong as the floor can be started here. */
  #giveUp(): void {
    this.#isolation = { level: 'process', layers: [], gaps: this.#gaps }
    this.#failQueued({ code: 'crashed', message: 'No worker of the sandbox can be started.' })
    const sentence = `No sandbox worker reaches the level "${this.#floor}" here. ${this.#gaps.join(' ')}`
    this.#first.reject(new SandboxUnavailable('SANDBOX_DOWN', sentence))
    this.#respawn = setTimeout(() => this.#tryAgain(), grace.down_ms).unref()
  }

  /** What was in the way may be gone: memory, processes, a program that was being replaced. */
  #tryAgain(): void {
    const { found, gaps } = launches(process.pid, this.#floor, this.#engine)
    this.#launches = found
    this.#gaps = gaps
    this.#failures = 0
    this.#wake()
  }
}
