/** Durable execution: what has been started here runs to its end, whatever happens to processes. The door of the room.
 *
 *  A *run* is a named function with an input, started in the caller's transaction. It is claimed by one process at a
 *  time, with a token: what is written in the name of a run is refused when the token is no longer the newest. A run
 *  may end, fail (and come back), or rest until a time or a poke; a resting run costs a row and no memory. When a
 *  process is gone, what it had claimed is given to others. So a run's function may be called more than once, and a
 *  run that must not repeat itself keeps a journal of its own. The room knows no domain: not what runs do, nor whose
 *  they are.
 *
 *  queue.ts distributes (pg-boss), claims.ts says who owns what, worker.ts calls the functions, replicas.ts notices
 *  who is gone and what is due. */

import type { Logger } from 'pino'
import type { Rights } from '../asking.ts'
import { type Actor, type Clock, type Context, newId, type Platform, type Scope } from '../context.ts'
import { executor } from '../db/boss.ts'
import type { Database, Db } from '../db/db.ts'
import * as claims from './claims.ts'
import { type Delivery, type Lane, openQueue, type Retry } from './queue.ts'
import { openReplica } from './replicas.ts'
import { type Claim, type Outcome, openWorker } from './worker.ts'

export { owned } from './claims.ts'
export type { Claim, Outcome } from './worker.ts'

/** What the function of a run gets: the context of whoever started it, and the hold on the run. */
export type RunContext = Context & { claim: Claim }

/** A function that is done when it returns, or one that says how it ends. */
type Work<Input> =
  | ((ctx: RunContext, input: Input) => Promise<void>)
  | ((ctx: RunContext, input: Input) => Promise<Outcome>)

/** What it takes to start a run: its function may be defined elsewhere, by whoever knows what it does. */
export type RunName<Input> = {
  readonly name: string
  readonly lane: Lane
  readonly retry: Retry
  /** Only for the types: what the function is given. */
  readonly input?: Input
}

export type Run<Input> = RunName<Input> & {
  /** How long one call may take; its signal is aborted then, and nobody waits for it. */
  readonly timeout_seconds?: number
  readonly work: Work<Input>
}

export type StartOptions = {
  /** The run's own id; a poke if it runs already. */
  id?: string
  /** The id was made in this transaction, so nobody else can know it. */
  is_fresh?: boolean
  /** Not before this time (ISO 8601). */
  at?: string
  /** Higher goes first. */
  priority?: number
}

/** Who starts a run: its transaction, and in whose name. */
export type Starter = { db: Db } & Partial<Pick<Scope, 'organization_id' | 'workspace_id'>> & {
    actor?: Pick<Actor, 'user_id'> & Partial<Pick<Actor, 'kind' | 'id'>>
    request_id?: string
    rights?: Rights
  }

export type Engine = {
  /** Starts a run if and only if the transaction commits. */
  start<Input>(at: Starter, run: RunName<Input>, input: Input, options?: StartOptions): Promise<void>
  /** Makes a run look at its news: whoever has it, or whoever takes it next. */
  poke<Input>(at: Starter, run: RunName<Input>, input: Input, id: string): Promise<void>
  /** Holds a run that nobody has until the transaction ends, so that the caller may end it; false (and a poke) when
   *  somebody has it. */
  takeForNow(db: Db, run_id: string): Promise<boolean>
  /** Lets go of runs that are done with, in a transaction of their own; their calls then end with `let_go`. Gives the
   *  ids of those: the others have news, or belong to others. */
  letGo(db: Db, claims: Claim[]): Promise<Set<string>>
  /** Begins to claim runs. The platform is what their contexts carry. */
  work(platform: Platform): Promise<void>
  /** Claims nothing more, lets what is at hand come to a stop, and gives the rest to others at the deadline. */
  stop(deadline_ms: number): Promise<void>
}

const known = new Map<string, Run<unknown>>()

const RETRY: Retry = { max_attempts: 10, backoff_seconds: 2, max_backoff_seconds: 300 }

/** Names a run that is defined elsewhere, with the same name. */
export const nameRun = <Input>(run: { name: string; lane?: Lane; retry?: Partial<Retry> }): RunName<Input> => ({
  lane: 'runs',
  ...run,
  retry: { ...RETRY, ...run.retry },
})

/** Defines a run: `work` is called at least once, again after a failure (up to `max_attempts`, the pauses doubling), and
 *  again when its process is gone. Call it where a module is loaded, once for each name. */
export function defineRun<Input>(run: {
  name: string
  lane?: Lane
  retry?: Partial<Retry>
  input?: Input
  timeout_seconds?: number
  work: Work<Input>
}): Run<Input> {
  if (known.has(run.name)) throw new Error(`two runs are named "${run.name}"`)
  const defined: Run<Input> = { ...run, ...nameRun<Input>(run) }
  // Its input is what `start` was given under this name.
  known.set(run.name, defined as Run<unknown>)
  return defined
}

export type EngineParts = { database: Database; log: Logger; clock: Clock }

export async function openEngine({ database, log, clock }: EngineParts): Promise<Engine> {
  const queue = await openQueue(database, log)
  const replica = openReplica({ database, log, clock, queue })
  const worker = openWorker({ database, log, clock, queue, replica, runOf: (name) => known.get(name) })
  let unlisten: (() => Promise<void>) | undefined

  const enqueue = async (db: Db, delivery: Delivery, at?: string, isFresh = false) => {
    if (at !== undefined && at > clock.now().toISOString()) {
      await claims.setTimers(db, [{ run_id: delivery.message.run_id, due_at: at, delivery }])
      return
    }
    if (isFresh && (await worker.takeAtOnce(db, delivery))) return
    await queue.send(db, [delivery])
    claims.tell(db, delivery.lane)
  }

  return {
    start: (at, run, input, { id, is_fresh = id === undefined, at: time, priority } = {}) =>
      inTransaction(at.db, (db) => enqueue(db, deliveryOf(at, run, input, id ?? newId(), priority), time, is_fresh)),
    poke: (at, run, input, id) =>
      inTransaction(at.db, async (db) => {
        await claims.removeTimer(db, id)
        if ((await claims.poke(db, id)) > 0) claims.tell(db, `news ${id}`)
        else await enqueue(db, deliveryOf(at, run, input, id))
      }),
    async takeForNow(db, run_id) {
      if (await claims.takeForNow(db, run_id)) {
        await claims.removeTimer(db, run_id)
        return true
      }
      claims.tell(db, `news ${run_id}`)
      return false
    },
    async letGo(db, held) {
      const tokens = held.map(({ token }) => token)
      const rows = await claims.release(
        db,
        held.map(({ run_id }) => run_id),
        tokens,
      )
      const gone = new Set(rows.map(({ run_id }) => run_id))
      await queue.remove(
        db,
        held.filter(({ run_id }) => gone.has(run_id)).map(({ job }) => job),
      )
      return gone
    },
    async work(platform) {
      await replica.join(worker.lose)
      worker.begin(platform)
      unlisten = await database.listen('flow_engine', worker.heard, worker.wake)
      worker.wake()
    },
    async stop(deadline_ms) {
      await unlisten?.()
      await worker.stop(deadline_ms)
      await replica.leave()
      await queue.close()
    },
  }
}

function deliveryOf<Input>(
  at: Starter,
  run: RunName<Input>,
  input: Input,
  run_id: string,
  priority?: number,
): Delivery {
  const { organization_id, workspace_id, request_id, actor, rights } = at
  const user_id = actor?.user_id
  const isKey = actor?.kind === 'api_key' || actor?.kind === 'service_token'
  const key_id = rights ? (rights.key_id ?? undefined) : isKey ? actor.id : undefined
  const message = { run: run.name, run_id, input, organization_id, workspace_id, request_id, user_id, key_id, priority }
  return { lane: run.lane, message, retry: run.retry }
}

/** A job is enqueued in a transaction; a caller without one gets one of its own. */
function inTransaction<Result>(db: Db, work: (db: Db) => Promise<Result>): Promise<Result> {
  try {
    executor(db)
  } catch {
    return db.tx(work)
  }
  return work(db)
}
