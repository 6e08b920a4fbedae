/** The embedded adapter: PostgreSQL in a thread of this process, with one session for everybody.
 *
 *  Statements go in the order they were asked. A holder (a transaction) has the session for itself: what others ask
 *  meanwhile waits in `#waiting` and cannot slip in. Guarantees:
 *  - one process owns the directory (lock.ts);
 *  - with `fsync`, an answered commit is on the disk; with `process`, it survives the process but not the machine;
 *  - a statement over its limit ends the thread, which is the only cancel there is: a new one recovers from the log
 *    and goes on; whatever was under way fails as unavailable.
 *
 *  States: `starting` (#open) → `open` → `starting` again when the thread is lost (#lost) → `broken` when it does not
 *  come back; `closed` (close) ends each of them. */

import { join, resolve } from 'node:path'
import type { Adapter, Answer, Reading, Session, Tenant } from './adapter.ts'
import { Conversation } from './conversation.ts'
import { type Database, type Sql, sql } from './db.ts'
import { refuseFullDisk } from './directory.ts'
import { Thread } from './embedded-thread.ts'
import { DatabaseFault, DatabaseUnavailable } from './faults.ts'
import { Hold } from './hold.ts'
import { channelName, Listeners } from './listeners.ts'
import { lockDirectory } from './lock.ts'
import type { Note } from './teller.ts'

export type EmbeddedOptions = {
  directory: string
  durability: Database['durability']
  /** A statement that runs longer is stopped. */
  statement_timeout_ms: number
  /** A transaction that asks nothing for this long while others wait is rolled back. */
  idle_timeout_ms: number
  /** A statement that does not get its turn within this time is refused. */
  wait_timeout_ms: number
}

/** The database's own directory in the data directory. */
const DATABASE = 'postgres'
const GUARD_EVERY_MS = 250
const STARTS_MAX = 3

type Waiting = { since: number; go: () => void; refuse: (fault: Error) => void }

export async function openEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const directory = resolve(options.directory)
  const unlock = lockDirectory(directory)
  try {
    refuseFullDisk(directory, DATABASE)
    const embedded = new Embedded({ ...options, directory }, unlock)
    await embedded.start()
    return embedded
  } catch (error) {
    unlock()
    throw error
  }
}

export class Embedded implements Adapter {
  readonly mode = 'embedded'
  readonly durability: Database['durability']

  #options: EmbeddedOptions
  #unlock: () => void
  #thread: Thread | undefined
  #conversation = new Conversation(() => {})
  #listeners = new Listeners()
  #guard: NodeJS.Timeout | undefined
  #waiting: Waiting[] = []
  #holder: Hold | undefined
  /** The tenant whose rows the session shows once everything asked so far is answered. */
  #tenant: Tenant = ''
  #role: string | undefined
  #state: 'starting' | 'open' | 'broken' | 'closed' = 'starting'

  constructor(options: EmbeddedOptions, unlock: () => void) {
    this.#options = options
    this.durability = options.durability
    this.#unlock = unlock
  }

  async start(): Promise<void> {
    await this.#open()
    this.#guard = setInterval(() => this.#watch(performance.now()), GUARD_EVERY_MS)
    this.#guard.unref()
  }

  /** How much was asked so far, in this thread's life. */
  get answered(): number {
    return this.#conversation.answered
  }

  once(tenant: Tenant, statement: Sql, reading: Reading = 'wire'): Promise<Answer> {
    return this.#turn(() => this.#ask(tenant, statement, reading))
  }

  async hold<Result>(tenant: Tenant, work: (session: Session) => Promise<Result>): Promise<Result> {
    return this.#hold(tenant, work, true)
  }

  /** Runs `work` as the owner of everything and without a limit of time: migrations and upkeep. */
  async asOwner<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    const owned = async (session: Session) => {
      if (this.#role) await session.script('reset role')
      try {
        return await work(session)
      } finally {
        // Outside of a transaction by now or not, the role of the next holder must not be the owner's.
        if (this.#role) await session.script(`rollback; set role ${this.#role}`)
      }
    }
    return this.#hold('*', owned, false)
  }

  /** From now on statements run as `role`, which row-level security applies to. */
  async become(role: string): Promise<void> {
    await this.hold('*', (session) => session.script(`set role ${role}`))
    this.#role = role
  }

  async listen(channel: string, heard: (payload: string) => void, gap: () => void = () => {}) {
    const remove = this.#listeners.add(channel, heard, gap)
    await this.hold('*', (session) => session.script(`listen ${channelName(channel)}`))
    return async () => {
      if (!remove() || this.#state === 'closed') return
      await this.hold('*', (session) => session.script(`unlisten ${channelName(channel)}`))
    }
  }

  /** Nobody else has this database, so whoever listens is here. */
  tell(notes: Note[]): void {
    for (const { channel, payload } of notes) this.#listeners.notified(channel, payload)
  }

  /** The lock of the directory says so already. */
  async present(): Promise<void> {}

  async close(): Promise<void> {
    if (this.#state === 'closed') return
    // Behind everything that was asked before, transactions included.
    await this.#turn(async () => {}).catch(() => {})
    this.#state = 'closed'
    clearInterval(this.#guard)
    this.#refuseWaiting(() => closed())
    await this.#thread?.close()
    this.#unlock()
  }

  /** Calls `take` when the session is free, at once if it is: `take` must ask or hold before it returns. */
  #turn<Result>(take: () => Result | Promise<Result>): Promise<Result> {
    if (this.#state === 'open' && !this.#holder && this.#waiting.length === 0) return Promise.try(take)
    if (this.#state === 'closed') return Promise.reject(closed())
    if (this.#state === 'broken') return Promise.reject(broken())
    return new Promise((resolve, refuse) => {
      this.#waiting.push({ since: performance.now(), go: () => resolve(Promise.try(take)), refuse })
    })
  }

  async #ask(tenant: Tenant, statement: Sql, reading: Reading): Promise<Answer> {
    this.#enter(tenant)
    try {
      return await this.#conversation.query(statement, reading)
    } catch (error) {
      // The schema changed behind a prepared statement; the refusal left nothing done.
      if (!(error instanceof DatabaseFault && error.code === '0A000')) throw error
      return this.#turn(() => {
        this.#enter(tenant)
        return this.#conversation.query(statement, reading)
      })
    }
  }

  async #hold<Result>(tenant: Tenant, work: (session: Session) => Promise<Result>, hasLimit: boolean): Promise<Result> {
    const seize = () => {
      const hold: Hold = new Hold(this.#conversation, hasLimit, () => this.#release(hold))
      this.#holder = hold
      this.#enter(tenant)
      const result = Promise.try(work, hold)
      result.catch(() => {})
      return { hold, result }
    }
    const { hold, result } = await this.#turn(seize)
    try {
      return await result
    } finally {
      hold.end()
    }
  }

  #release(hold: Hold): void {
    if (this.#holder !== hold) return
    this.#holder = undefined
    this.#serveWaiting()
  }

  #serveWaiting(): void {
    while (this.#state === 'open' && !this.#holder) {
      const next = this.#waiting.shift()
      if (!next) return
      next.go()
    }
  }

  /** Makes the session show the tenant's rows. A message of its own in front of what follows, so that no rollback
   *  takes it back. */
  #enter(tenant: Tenant): void {
    if (tenant === this.#tenant) return
    this.#tenant = tenant
    const entered = this.#conversation.query(sql`select set_config('app.org', ${tenant}, false)`)
    // What follows would run for somebody else: nothing of it may be answered.
    entered.catch((fault) => this.#restart(`The session did not change its tenant: ${fault.message}`))
  }

  async #open(): Promise<void> {
    const { directory, durability } = this.#options
    const conversation = new Conversation((bytes) => this.#thread?.send(bytes))
    conversation.onNotification = (channel, payload) => this.#listeners.notified(channel, payload)
    this.#thread = await Thread.start(
      { directory: join(directory, DATABASE), durability },
      { answered: (bytes) => conversation.received(bytes), lost: (reason) => this.#lost(reason) },
    )
    this.#conversation = conversation
    this.#tenant = ''
    if (this.#role) await conversation.script(`set role ${this.#role}`)
    for (const channel of this.#listeners.channels) await conversation.script(`listen ${channelName(channel)}`)
    if (this.#state !== 'starting') return
    this.#state = 'open'
    this.#serveWaiting()
  }

  /** Ends the thread as a crash would. */
  #restart(reason: string, fault?: Error): void {
    if (this.#state !== 'open') return
    const thread = this.#thread
    this.#fail(reason, fault)
    thread?.kill().then(() => this.#reopen(reason))
  }

  #lost(reason: string): void {
    if (this.#state !== 'open') return
    this.#fail(reason)
    this.#reopen(reason)
  }

  #fail(reason: string, fault?: Error): void {
    this.#state = 'starting'
    const unavailable = new DatabaseUnavailable(reason)
    const holder = this.#holder
    this.#holder = undefined
    holder?.lose(unavailable)
    this.#conversation.fail(unavailable, fault)
  }

  async #reopen(reason: string): Promise<void> {
    for (let starts = 0; starts < STARTS_MAX && this.#state === 'starting'; starts++) {
      const isOpen = await this.#open().then(
        () => true,
        () => false,
      )
      if (isOpen) return this.#listeners.missed()
    }
    if (this.#state !== 'starting') return
    this.#state = 'broken'
    this.#refuseWaiting(() => new DatabaseUnavailable(reason))
  }

  #watch(now: number): void {
    if (this.#state === 'open' && this.#conversation.runningFor(now) > this.#options.statement_timeout_ms) {
      const fault = { code: '57014', message: 'The statement took longer than it may and was stopped.' }
      this.#restart(
        'A statement took longer than it may; the embedded database starts again.',
        new DatabaseFault(fault),
      )
    }
    if (this.#holder && this.#waiting.length > 0 && this.#holder.idleFor(now) > this.#options.idle_timeout_ms) {
      this.#holder.expire()
    }
    while (this.#waiting[0] && now - this.#waiting[0].since > this.#options.wait_timeout_ms) {
      this.#waiting.shift()?.refuse(new DatabaseUnavailable('The embedded database has more to do than it can.'))
    }
  }

  #refuseWaiting(fault: () => Error): void {
    for (const { refuse } of this.#waiting.splice(0)) refuse(fault())
  }
}

const closed = () => new DatabaseUnavailable('The database is closed.')
const broken = () => new DatabaseUnavailable('The embedded database broke and did not start again.')
