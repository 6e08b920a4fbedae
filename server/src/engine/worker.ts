/** Calls the functions of runs: takes jobs as places become free, claims their runs, calls, and lets go. Lettings go
 *  are written together, like everything that happens often. */

import type { Logger } from 'pino'
import { type Actor, type Clock, contextOf, type Platform } from '../context.ts'
import type { Database, Db } from '../db/db.ts'
import { groupCommit } from '../db/group-commit.ts'
import * as claims from './claims.ts'
import type { Run, RunContext } from './engine.ts'
import { openPlaces, SHARED } from './places.ts'
import { type Delivery, type Job, type Lane, lanes, type Queue } from './queue.ts'
import type { Replica } from './replicas.ts'

/** How a call ends: done with, or resting until a time (at the latest; a poke comes earlier) or, with `null`, until a
 *  poke, or to be gone on with by whoever is next, or let go of already, in a transaction of its own. A call that throws has failed and comes back by
 *  the run's `retry`. */
export type Outcome = undefined | { rest_until: string | null } | { hand_over: true } | { let_go: true }

/** The hold on a run. */
export type Claim = {
  run_id: string
  token: number
  /** What it was claimed by. */
  job: Pick<Job, 'id' | 'lane'>
  /** How often the run was called before, in vain: it failed, or its process was gone. */
  failures: number
  /** Aborted when the process is about to end: begin nothing new, come to a stop, hand over. */
  stopping: AbortSignal
  /** Resolves while the run is ours for sure, rejects when it belongs to another process: to be asked before something
   *  is done that no database can refuse. */
  sure(): Promise<void>
  /** Calls whenever there may be news for the run. */
  onNews(heard: () => void): void
}

const POLL_MS = 1000
/** Looking past what a crowd has in line takes the longer the more there is: it is not done more often, and the database
 *  is at it for a tenth of the time at most. */
const SIFT_MS = 50
const SIFT_SHARE = 10
/** How often claims are looked for that nobody attends to. */
const STRAYS_MS = 2000
/** How long a run that is not known here rests, so that others get to take it. */
const UNKNOWN_MS = 2000
/** The longest pause after an endless run has thrown. */
const THROWN_SECONDS_MAX = 60

type Held = { run_id: string; token: number; job: Job; abort: AbortController; heard: () => void; has_news: boolean }
/** `has_more`: when it was last looked, jobs were left for which there was no place. `sift_at`: when it may be looked
 *  again for jobs of others than those who have their share; `later` does. */
type Taking = { is_on: boolean; again: boolean; has_more: boolean; sift_at: number; later?: NodeJS.Timeout }
type Letting = { held: Held; outcome: Outcome }
export type Worker = ReturnType<typeof openWorker>

type Parts = {
  database: Database
  log: Logger
  clock: Clock
  queue: Queue
  replica: Replica
  runOf(name: string): Run<unknown> | undefined
}

export function openWorker({ database, log, clock, queue, replica, runOf }: Parts) {
  const held = new Map<string, Held>()
  const places = openPlaces(held)
  const stopping = new AbortController()
  const taking = new Map<Lane, Taking>(
    lanes.map((lane) => [lane, { is_on: false, again: false, has_more: false, sift_at: 0 }]),
  )
  let platform: Platform | undefined
  let timers: NodeJS.Timeout[] = []
  let strays = new Set<number>()

  /** Fills the free places of a lane. One filling at a time: what is heard meanwhile makes it look again. */
  const fill = async (lane: Lane): Promise<void> => {
    const state = taking.get(lane)
    if (!state || !platform || stopping.signal.aborted) return
    state.again = true
    if (state.is_on) return
    state.is_on = true
    try {
      while (state.again && !stopping.signal.aborted) {
        state.again = false
        const limit = batchOf(places.free(lane))
        const served = places.served(lane)
        if (limit === 0 || (served.length > 0 && isTooSoon(lane, state))) {
          state.has_more = true
          break
        }
        const began = performance.now()
        const answered = places.ask(lane, limit)
        const count = await take(lane, limit, served).finally(answered)
        const took_ms = performance.now() - began
        if (served.length > 0) state.sift_at = performance.now() + Math.max(SIFT_MS, SIFT_SHARE * took_ms)
        state.has_more = count === limit || served.length > 0
        if (count === limit) state.again = true
      }
    } catch (err) {
      log.error({ err }, 'the engine could not take runs from the queue')
    }
    state.is_on = false
  }

  /** Claims a run that is new for this process, in the transaction that starts it, when there is a place and nobody waits in line:
   *  nothing is queued, fetched and removed then, and it begins with the commit. Whether it need not be queued. */
  const takeAtOnce = async (db: Db, delivery: Delivery): Promise<boolean> => {
    const { lane, message } = delivery
    const { workspace_id = '' } = message
    if (lane !== SHARED || !platform || stopping.signal.aborted || taking.get(lane)?.has_more) return false
    if (!places.hasRoom(lane, workspace_id, replica.share())) return false
    const replica_id = replica.id()
    let arrived = () => {}
    let token: number | undefined
    // Said first: what has ended already refuses it, and no place is kept then.
    db.whenOver((isCommitted) => {
      arrived()
      if (isCommitted && token !== undefined) begin(replica_id, token, { id: undefined, lane, message, failures: 0 })
      else if (taking.get(lane)?.has_more) void fill(lane)
    })
    arrived = places.promise(workspace_id)
    token = await db.gather(claims.claimAtOnce, { replica_id, job: delivery })
    return token !== undefined
  }

  /** What was claimed in a transaction begins when that is over; unless the others have given this process up meanwhile,
   *  and with it what it claimed. */
  const begin = (replica_id: string, token: number, job: Job): void => {
    if (replica.id() === replica_id) void attend(token, job)
  }

  /** If it is, it is looked again when it no longer is. */
  const isTooSoon = (lane: Lane, state: Taking): boolean => {
    const left_ms = state.sift_at - performance.now()
    if (left_ms <= 0) return false
    state.later ??= setTimeout(() => {
      state.later = undefined
      void fill(lane)
    }, left_ms).unref()
    return true
  }

  const take = async (lane: Lane, limit: number, without: string[]): Promise<number> => {
    const replica_id = replica.id()
    const { jobs, mine } = await database.platform.tx(async (db) => {
      const jobs = await queue.take(db, lane, limit, without)
      const byRun = new Map(jobs.map((job) => [job.message.run_id, job]))
      if (jobs.length === 0) return { jobs, mine: [] }
      // None at all: the others have given this process up, and with it whatever it would claim.
      const job_ids = [...byRun.values()].map(({ id }) => id)
      const rows = await claims.claim(db, replica_id, lane, [...byRun.keys()], job_ids)
      if (rows.length === 0) throw new Error('this process does not count as alive')
      const mine = rows.flatMap((row) => {
        const job = byRun.get(row.run_id)
        return row.is_new && job ? [{ token: row.token, job }] : []
      })
      // A job for a run that somebody has is news for them; the second one in a batch says nothing new.
      const kept = new Set(mine.map(({ job }) => job.id))
      await queue.remove(
        db,
        jobs.filter(({ id }) => !kept.has(id)),
      )
      for (const row of rows) if (!row.is_new && row.replica_id !== replica_id) claims.tell(db, `news ${row.run_id}`)
      for (const row of rows) if (!row.is_new && row.replica_id === replica_id) tell(row.run_id)
      return { jobs, mine }
    })
    for (const { token, job } of mine) begin(replica_id, token, job)
    return jobs.length
  }

  /** Calls the run until it has nothing more to do now, and lets go of it. */
  const attend = async (token: number, job: Job): Promise<void> => {
    const { run_id } = job.message
    const one: Held = { run_id, token, job, abort: new AbortController(), heard: () => {}, has_news: false }
    held.set(run_id, one)
    for (;;) {
      const outcome = await call(one)
      if (one.abort.signal.aborted) break
      if (outcome === 'failed' || (outcome && 'let_go' in outcome)) break
      const isLetGo = await letGo({ held: one, outcome }).catch((err: unknown) => {
        log.error({ err, run_id }, 'a run could not be let go of')
        return true
      })
      if (isLetGo || one.abort.signal.aborted) break
    }
    if (held.get(run_id) === one) held.delete(run_id)
    if (taking.get(job.lane)?.has_more) void fill(job.lane)
  }

  const call = async (one: Held): Promise<Outcome | 'failed'> => {
    const { message } = one.job
    const run = runOf(message.run)
    // Another release may know it: while one replaces the other, both are at work.
    if (!run) return unknown(message.run)
    try {
      const ctx = contextFor(one, run)
      const outcome = await Promise.race([run.work(ctx, message.input), aborted(ctx.signal)])
      return outcome ?? undefined
    } catch (err) {
      if (one.abort.signal.aborted) return 'failed'
      const isLast = one.job.failures + 1 >= run.retry.max_attempts
      log[isLast ? 'error' : 'warn'](
        { err, run: message.run, run_id: one.run_id, failures: one.job.failures + 1 },
        'a run failed',
      )
      await giveBack(one, err).catch((err: unknown) => {
        log.error({ err, run_id: one.run_id }, 'a failed run could not be given back')
      })
      return 'failed'
    }
  }

  const unknown = (name: string): Outcome => {
    log.warn({ run: name }, 'a run that this release does not know is left to others')
    return { rest_until: new Date(clock.now().getTime() + UNKNOWN_MS).toISOString() }
  }

  const giveBack = (one: Held, err: unknown) =>
    database.platform.tx(async (db) => {
      const reason = err instanceof Error ? err.message : String(err)
      if ((await claims.drop(db, one.run_id, one.token)) === 0) return
      if (runOf(one.job.message.run)?.retry.is_endless) return comeBack(db, one)
      const { lane, id } = one.job
      await queue.fail(db, [{ lane, job_id: id ?? one.run_id, job: id ? null : deliveryOf(one) }], reason)
      claims.tell(db, lane)
    })

  const comeBack = async (db: Parameters<Queue['send']>[0], one: Held): Promise<void> => {
    const thrown = (one.job.message.thrown ?? 0) + 1
    const seconds = Math.min(2 ** (thrown - 1), THROWN_SECONDS_MAX)
    const due_at = new Date(clock.now().getTime() + seconds * 1000).toISOString()
    const delivery = deliveryOf(one)
    await queue.remove(db, [one.job])
    await claims.setTimers(db, [
      { run_id: one.run_id, due_at, delivery: { ...delivery, message: { ...delivery.message, thrown } } },
    ])
  }

  /** Looks after what this process has claimed. A commit whose answer was lost, or a letting go that failed, leaves a
   *  claim that nobody here attends to. What is one twice in a row goes back into the queue. */
  const findStrays = async (): Promise<void> => {
    const rows = await claims.claimsOf(database.platform, replica.id())
    // What was told of them may be lost with whoever told it.
    for (const { run_id, poked } of rows) if (poked) tell(run_id)
    const alone = rows.filter(({ run_id, token }) => held.get(run_id)?.token !== token)
    for (const { run_id, token, ...job } of alone.filter(({ token }) => strays.has(token))) {
      await database.platform.tx(async (db) => {
        if ((await claims.drop(db, run_id, token)) === 1) await queue.fail(db, [job], 'Nobody attended to it.')
      })
      log.warn({ run_id }, 'a run that nobody attended to goes back into the queue')
    }
    strays = new Set(alone.map(({ token }) => token))
  }

  const contextFor = (one: Held, run: Run<unknown>): RunContext => {
    if (!platform) throw new Error('the engine has not begun to work')
    const { message, failures } = one.job
    const { organization_id = '', workspace_id = '', user_id = '', key_id = null } = message
    const actor: Actor = { kind: 'system', id: user_id, user_id, name: 'Flow', organization_id, grants: [] }
    const db = organization_id === '' ? database.platform : database.of(organization_id)
    const ctx = contextOf(platform, db, { actor, organization_id, workspace_id })
    const claim: Claim = {
      run_id: one.run_id,
      token: one.token,
      job: one.job,
      failures,
      stopping: stopping.signal,
      async sure() {
        await replica.sure()
        one.abort.signal.throwIfAborted()
      },
      onNews(heard) {
        one.heard = heard
        if (one.has_news) heard()
        one.has_news = false
      },
    }
    return {
      ...ctx,
      ...(user_id === '' ? {} : { rights: { user_id, key_id } }),
      claim,
      request_id: message.request_id ?? ctx.request_id,
      log: log.child({ run: run.name, run_id: one.run_id }),
      signal: signalOf(one, run),
    }
  }

  /** Whether the run is let go of; if not, it is still ours and there is news. */
  const letGo = groupCommit<Letting, boolean>(async (lettings) => {
    return database.platform.tx(async (db) => {
      const run_ids = lettings.map(({ held }) => held.run_id)
      const tokens = lettings.map(({ held }) => held.token)
      const gone = new Set((await claims.release(db, run_ids, tokens)).map((row) => row.run_id))
      const left = lettings.filter(({ held }) => !gone.has(held.run_id))
      const kept = new Set<string>()
      if (left.length > 0) {
        const ours = await claims.unpoke(
          db,
          left.map(({ held }) => held.run_id),
          left.map(({ held }) => held.token),
        )
        for (const row of ours) kept.add(row.run_id)
      }
      const done = lettings.filter(({ held }) => gone.has(held.run_id))
      await queue.remove(
        db,
        done.map(({ held }) => held.job),
      )
      await goOnLater(db, done)
      return lettings.map(({ held }) => !kept.has(held.run_id))
    })
  })

  const goOnLater = async (db: Parameters<Queue['send']>[0], done: Letting[]) => {
    const timers = done.flatMap(({ held, outcome }) =>
      outcome && 'rest_until' in outcome && outcome.rest_until !== null
        ? [{ run_id: held.run_id, due_at: outcome.rest_until, delivery: deliveryOf(held) }]
        : [],
    )
    if (timers.length > 0) await claims.setTimers(db, timers)
    const handed = done.filter(({ outcome }) => outcome && 'hand_over' in outcome)
    if (handed.length === 0) return
    await queue.send(
      db,
      handed.map(({ held }) => deliveryOf(held)),
    )
    for (const lane of lanes) if (handed.some(({ held }) => held.job.lane === lane)) claims.tell(db, lane)
  }

  const deliveryOf = ({ job }: Held): Delivery => {
    const retry = runOf(job.message.run)?.retry ?? { max_attempts: 10, backoff_seconds: 2, max_backoff_seconds: 300 }
    const { thrown: _, lost: __, ...message } = job.message
    return { lane: job.lane, message, retry }
  }

  const tell = (run_id: string) => {
    const one = held.get(run_id)
    if (!one) return
    one.has_news = true
    one.heard()
  }

  const wake = () => {
    for (const lane of lanes) void fill(lane)
  }

  return {
    begin(of: Platform): void {
      platform = of
      const look = () =>
        findStrays().catch((err: unknown) => log.error({ err }, 'the engine could not look for strays'))
      timers = [setInterval(wake, POLL_MS).unref(), setInterval(look, STRAYS_MS).unref()]
    },
    wake,
    takeAtOnce,
    /** What is said on the channel: a lane with new jobs, or a run with news. */
    heard(payload: string): void {
      const [word = '', run_id] = payload.split(' ')
      if (word === 'news' && run_id) tell(run_id)
      const lane = lanes.find((name) => name === word)
      if (lane) void fill(lane)
    },
    /** Everything that is held belongs to others now. */
    lose(): void {
      for (const one of held.values()) one.abort.abort(new Error('the run belongs to another process now'))
      held.clear()
    },
    async stop(deadline_ms: number): Promise<void> {
      for (const timer of timers) clearInterval(timer)
      for (const { later } of taking.values()) clearTimeout(later)
      stopping.abort()
      const until = performance.now() + deadline_ms
      const isTaking = () => places.arePromised() || [...taking.values()].some(({ is_on }) => is_on)
      while ((held.size > 0 || isTaking()) && performance.now() < until) {
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      for (const one of held.values()) one.abort.abort(new Error('the process ends'))
    },
  }
}

/** How many are taken at a time: a power of two, so that there are few different statements. */
const batchOf = (free: number): number => (free < 1 ? 0 : 2 ** Math.floor(Math.log2(free)))

/** The end of a run's call from outside: its process ends, it belongs to another one, or its time is up. */
function signalOf({ abort }: Held, { timeout_seconds }: Run<unknown>): AbortSignal {
  if (timeout_seconds === undefined) return abort.signal
  return AbortSignal.any([abort.signal, AbortSignal.timeout(timeout_seconds * 1000)])
}

/** Whoever does not listen to the signal is not waited for. */
const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const refuse = () => reject(signal.reason)
    if (signal.aborted) refuse()
    signal.addEventListener('abort', refuse, { once: true })
  })
