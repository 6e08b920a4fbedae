/** The queue: pg-boss, which distributes. A job says that a run wants attention; it is `active` while somebody gives
 *  it, goes when it is done, and comes back when it is failed. What a run is, and who owns it, is not known here. */

import { PgBoss } from 'pg-boss'
import type { Logger } from 'pino'
import { executor } from '../db/boss.ts'
import type { Database, Db } from '../db/db.ts'

/** Runs of one lane wait for each other; lanes do not. `calls` is for those that wait for somebody outside. */
export type Lane = 'executions' | 'runs' | 'calls'
export const lanes: readonly Lane[] = ['executions', 'runs', 'calls']

/** What a job says. */
export type Message = {
  run: string
  run_id: string
  input: unknown
  organization_id?: string
  workspace_id?: string
  user_id?: string
  /** The key that narrows what the user may. */
  key_id?: string
  request_id?: string
  /** Of an endless run: how often in a row it has thrown. */
  thrown?: number
  /** How often its process was gone before it was ever queued. */
  lost?: number
  /** Higher goes first, each time it is queued. */
  priority?: number
}

/** `is_endless`: what throws comes back for ever, each time later, up to a minute; `max_attempts` then only counts the
 *  processes that ended with it. */
export type Retry = {
  max_attempts: number
  backoff_seconds: number
  max_backoff_seconds: number
  is_endless?: boolean
}

export type Delivery = { lane: Lane; message: Message; retry: Retry }

/** A job in our hands. `failures` counts how often it was before, in vain. One that was never queued has no id. */
export type Job = { id: string | undefined; lane: Lane; message: Message; failures: number }

export type Queued = Job & { id: string }

/** What is known of a job by the claim of its run: where it is in the queue, or, when it never was, all of it. */
export type Claimed = { lane: Lane; job_id: string; job: Delivery | null }

export type Queue = Awaited<ReturnType<typeof openQueue>>

const DAY_SECONDS = 86_400

export async function openQueue(database: Database, log: Logger) {
  const boss = new PgBoss({
    db: database.bossDatabase(),
    schema: 'pgboss',
    backend: database.mode === 'embedded' ? 'pglite' : 'postgres',
    createSchema: false,
    schedule: false,
    registerInstance: false,
    monitorVacuum: false,
    reindex: database.mode === 'postgres',
  })
  boss.on('error', (error) => log.error({ err: error }, 'the queue has a fault'))
  boss.on('warning', ({ message }) => log.warn({ message }, 'the queue warns'))
  await boss.start()
  for (const lane of lanes) {
    // A claim, not the job's age, says that a run is alive; and a job waits for as long as it must.
    await boss.createQueue(lane, { expireInSeconds: DAY_SECONDS, retentionSeconds: 365 * DAY_SECONDS })
  }

  const send = async (db: Db, deliveries: Delivery[]): Promise<void> => {
    for (const lane of lanes) {
      const jobs = deliveries.filter((delivery) => delivery.lane === lane).map(jobOf)
      if (jobs.length > 0) await boss.insert(lane, jobs, { db: executor(db) })
    }
  }

  return {
    /** Puts jobs into the queue, in the transaction. */
    send,
    /** Takes up to `limit` jobs that nobody has, none of these workspaces. */
    async take(db: Db, lane: Lane, limit: number, without: string[]): Promise<Queued[]> {
      const ignoreGroups = without.length > 0 ? without : null
      const jobs = await boss.fetch<Message>(lane, { batchSize: limit, ignoreGroups, db: executor(db) })
      return jobs.map(({ id, data, retryCount }) => {
        return { id, lane, message: data, failures: retryCount + (data.lost ?? 0) }
      })
    },
    /** The jobs are done with. */
    async remove(db: Db, jobs: Pick<Job, 'id' | 'lane'>[]): Promise<void> {
      for (const lane of lanes) {
        const ids = jobs.flatMap((job) => (job.lane === lane && job.id !== undefined ? [job.id] : []))
        if (ids.length > 0) await boss.deleteJob(lane, ids, { db: executor(db) })
      }
    },
    /** The jobs come back, later by their backoff; or, when they have failed too often, stay to be looked at. */
    async fail(db: Db, jobs: Claimed[], reason: string): Promise<void> {
      for (const lane of lanes) {
        const ids = jobs.flatMap((one) => (one.lane === lane && !one.job ? [one.job_id] : []))
        if (ids.length > 0) await boss.fail(lane, ids, { message: reason }, { db: executor(db) })
      }
      const unqueued = jobs.flatMap(({ job }) => (job ? [{ ...job, message: { ...job.message, lost: 1 } }] : []))
      await send(db, unqueued)
    },
    async close(): Promise<void> {
      await boss.stop({ graceful: false, close: false })
    },
  }
}

function jobOf({ lane, message, retry }: Delivery) {
  // Executions are shared out among workspaces; everything else comes in its order.
  const group = lane === 'executions' && message.workspace_id ? { group: { id: message.workspace_id } } : {}
  return {
    data: message,
    ...group,
    ...(message.priority === undefined ? {} : { priority: message.priority }),
    retryLimit: retry.max_attempts - 1,
    retryDelay: Math.ceil(retry.backoff_seconds),
    retryBackoff: retry.backoff_seconds > 0,
    ...(retry.backoff_seconds > 0 ? { retryDelayMax: Math.ceil(retry.max_backoff_seconds) } : {}),
  }
}
