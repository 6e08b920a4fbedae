/** The handles of db.ts on top of an adapter: tenants, rows, transactions and savepoints, once for both. */

import { LRUCache } from 'lru-cache'
import { type Adapter, type Answer, PLATFORM, type Session, type Tenant } from './adapter.ts'
import { bindSession, bossDatabase } from './boss.ts'
import type { Database, Db, Sql, TransactionOptions } from './db.ts'
import { DatabaseFault } from './faults.ts'
import { Gathering } from './gathering.ts'
import type { Note } from './teller.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Handles that are kept, so that those who ask for the same one can ask together. */
const KEPT = 1000

export function openDatabase(adapter: Adapter): Database {
  const known = new LRUCache<string, Db>({ max: KEPT })
  return {
    mode: adapter.mode,
    durability: adapter.durability,
    of(organization_id) {
      // The tenant of the platform is a word of its own: nothing else than an id may get here.
      if (!uuid.test(organization_id)) throw new Error(`"${organization_id}" is not the id of an organization`)
      const tenant = organization_id.toLowerCase()
      const db = known.get(tenant) ?? free(adapter, tenant)
      known.set(tenant, db)
      return db
    },
    platform: free(adapter, PLATFORM),
    listen: (channel, heard, gap) => adapter.listen(channel, heard, gap),
    present: (number) => adapter.present(number),
    bossDatabase: () => bossDatabase(adapter),
    close: () => adapter.close(),
  }
}

/** The handle outside of a transaction: each statement is one. */
function free(adapter: Adapter, tenant: Tenant): Db {
  const gathering = new Gathering(() => db, true)
  const db: Db = {
    ...rows((statement) => adapter.once(tenant, statement)),
    send: async (statement) => void (await adapter.once(tenant, statement)),
    async tx(work, options) {
      const after = new Aftermath()
      let isCommitted = false
      try {
        const result = await adapter.hold(tenant, (session) => transaction(session, work, after, options))
        isCommitted = true
        if (after.told.length > 0) adapter.tell(after.told)
        return result
      } finally {
        after.over(isCommitted)
      }
    },
    tell: (channel, payload) => adapter.tell([{ channel, payload }]),
    gather: (ask, item) => gathering.add(ask, item),
    whenOver: (heard) => heard(true),
  }
  return db
}

async function transaction<Result>(
  session: Session,
  work: (db: Db) => Promise<Result>,
  after: Aftermath,
  options: TransactionOptions = {},
): Promise<Result> {
  const scope = new Scope(session, 0, after)
  // Not waited for: the first statement of `work` travels with it.
  const begun = session.script(
    options.isolation === 'repeatable read' ? 'begin isolation level repeatable read' : 'begin',
  )
  begun.catch(() => {})
  try {
    const result = await work(scope.db)
    await begun
    scope.flush()
    scope.end()
    const [[committed]] = await Promise.all([session.finish('commit'), scope.sent()])
    if (committed?.command === 'ROLLBACK') throw lost()
    return result
  } catch (error) {
    scope.end()
    // After a failed commit there is nothing left to roll back, and the session is no longer ours.
    await session.script('rollback').catch(() => {})
    throw error
  }
}

/** What comes after a transaction or a savepoint: what is told when it is all committed, and who hears of its end. */
class Aftermath {
  readonly told: Note[] = []
  readonly hearing: ((isCommitted: boolean) => void)[] = []

  take(inner: Aftermath): void {
    this.told.push(...inner.told)
    this.hearing.push(...inner.hearing)
  }

  over(isCommitted: boolean): void {
    for (const heard of this.hearing) heard(isCommitted)
  }
}

/** A transaction or a savepoint, and its handle. While a savepoint is open, its handle is the only one that may ask:
 *  a statement through an outer one would be undone with the savepoint, without its author knowing. */
class Scope {
  readonly db: Db
  readonly #after: Aftermath
  readonly #sent: Promise<unknown>[] = []
  #session: Session
  #depth: number
  #inner: Scope | undefined
  #hasEnded = false
  readonly #gathering = new Gathering(() => this.db, false)

  constructor(session: Session, depth: number, after: Aftermath) {
    this.#session = session
    this.#depth = depth
    this.#after = after
    this.db = {
      ...rows(async (statement) => {
        this.#guard()
        return session.query(statement)
      }),
      send: async (statement) => {
        this.#guard()
        const sent = session.query(statement)
        // Its failure is told at the end.
        sent.catch(() => {})
        this.#sent.push(sent)
      },
      tx: (work, options) => this.#savepoint(work, options),
      tell: (channel, payload) => {
        this.#guard()
        this.#after.told.push({ channel, payload })
      },
      gather: (ask, item) => {
        this.#guard()
        return this.#gathering.add(ask, item)
      },
      whenOver: (heard) => {
        this.#guard()
        this.#after.hearing.push(heard)
      },
    }
    bindSession(this.db, () => {
      this.#guard()
      return session
    })
  }

  /** What has been gathered is asked now, as nothing is after this. */
  flush(): void {
    this.#gathering.flush()
  }

  /** Rejects when something that was sent has failed. */
  async sent(): Promise<void> {
    await Promise.all(this.#sent)
  }

  end(): void {
    this.#hasEnded = true
    this.#inner?.end()
  }

  async #savepoint<Result>(work: (db: Db) => Promise<Result>, options: TransactionOptions = {}): Promise<Result> {
    this.#guard()
    if (options.isolation) throw new Error('a transaction within a transaction has the isolation of the outer one')
    this.flush()
    const name = `s${this.#depth}`
    const after = new Aftermath()
    const inner = new Scope(this.#session, this.#depth + 1, after)
    this.#inner = inner
    const begun = this.#session.script(`savepoint ${name}`)
    begun.catch(() => {})
    try {
      const result = await work(inner.db)
      await begun
      inner.flush()
      inner.end()
      await Promise.all([inner.sent(), this.#session.script(`release savepoint ${name}`)])
      this.#after.take(after)
      return result
    } catch (error) {
      inner.end()
      after.over(false)
      await this.#session.script(`rollback to savepoint ${name}; release savepoint ${name}`).catch(() => {})
      throw error
    } finally {
      this.#inner = undefined
    }
  }

  #guard(): void {
    if (this.#hasEnded) throw new Error('this transaction has ended; its handle can no longer be used')
    if (this.#inner) throw new Error('a transaction within this one is open: until it ends, use its handle')
  }
}

function rows(query: (statement: Sql) => Promise<Answer>): Pick<Db, 'many' | 'one' | 'maybe' | 'run'> {
  const ask = async (statement: Sql) => {
    try {
      return await query(statement)
    } catch (error) {
      // The stack so far leads to the reading of an answer; this one leads to who asked.
      if (error instanceof Error) Error.captureStackTrace(error)
      throw error
    }
  }
  // The caller names the type of its rows: it wrote the statement beside it.
  const many = async <Row>(statement: Sql) => (await ask(statement)).rows as Row[]
  return {
    many,
    async maybe<Row>(statement: Sql) {
      return (await many<Row>(statement))[0]
    },
    async one<Row>(statement: Sql) {
      const found = await many<Row>(statement)
      const [row] = found
      if (row === undefined || found.length > 1) throw new Error(`one row was expected, ${found.length} came`)
      return row
    },
    run: async (statement) => (await ask(statement)).changed,
  }
}

const lost = () =>
  new DatabaseFault({
    code: '25P02',
    message: 'A statement of this transaction had failed, so it was rolled back instead of committed.',
  })
