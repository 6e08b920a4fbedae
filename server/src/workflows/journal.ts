/** The journal of one execution, for as long as it is owned: what happens is noted here and written in order, one
 *  writing at a time, together with what other executions of the process have to say. What can wait does so for a
 *  moment; `flush` answers when everything noted so far is kept for good. */

import { type Billed, debitAll } from '../billing/billing.ts'
import type { Platform } from '../context.ts'
import type { Database } from '../db/db.ts'
import { type GroupCommit, groupCommit } from '../db/group-commit.ts'
import type { Claim } from '../engine/engine.ts'
import { wantedOf } from '../events/events.ts'
import { type Entry, record } from './journal-store.ts'
import type { Effect } from './nodes/node.ts'
import type * as store from './store.ts'

/** `effects`: what is done in the same transaction, if the execution still belongs to us; `uses`: what is billed there.
 *  `ends`: with it the run is let go of. */
export type Writing = Entry & { claim: Claim; effects: Effect[]; uses: Billed[]; ends: boolean }
/** Whether it is kept (the execution still belongs to us), and whether the run was let go of with it. */
export type Written = { is_kept: boolean; is_let_go: boolean }

/** The writer of a process: one for each database. */
const writers = new WeakMap<Database, GroupCommit<Writing, Written>>()

export function writerOf(platform: Pick<Platform, 'database' | 'engine'>): GroupCommit<Writing, Written> {
  const { database } = platform
  const known = writers.get(database)
  if (known) return known
  const writer = groupCommit<Writing, Written>((writings) => write(platform, writings), { weight })
  writers.set(database, writer)
  return writer
}

const weight = ({ nodes, items }: Writing): number =>
  nodes.reduce((sum, { input, output }) => sum + (input?.length ?? 0) + (output?.length ?? 0), 0) +
  items.reduce((sum, { output }) => sum + (output?.length ?? 0), 0)

async function write(
  { database, engine }: Pick<Platform, 'database' | 'engine'>,
  writings: Writing[],
): Promise<Written[]> {
  if (writings.every(({ effects, uses, ends }) => effects.length + uses.length === 0 && !ends)) {
    const kept = await record(database.platform, writings, wantedOf(database))
    return writings.map(({ execution_id }) => ({ is_kept: kept.has(execution_id), is_let_go: false }))
  }
  return database.platform.tx(async (db) => {
    const kept = await record(db, writings, wantedOf(database))
    const ours = writings.filter(({ execution_id }) => kept.has(execution_id))
    const uses = ours.flatMap(({ uses }) => uses)
    await together([debitAll(db, uses), ...ours.flatMap(({ effects }) => effects.map((effect) => effect(db)))])
    const gone = await engine.letGo(
      db,
      ours.filter(({ ends }) => ends).map(({ claim }) => claim),
    )
    return writings.map(({ execution_id }) => ({ is_kept: kept.has(execution_id), is_let_go: gone.has(execution_id) }))
  })
}

/** Statements that are asked in one turn travel at once. All are answered before the transaction goes on. */
async function together(asked: Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(asked)).find(({ status }) => status === 'rejected')
  if (failed?.status === 'rejected') throw failed.reason
}

/** How long what can wait does. */
const LINGER_MS = 25
/** Characters after which nothing waits any longer. */
const HEAVY = 1024 * 1024

type About = Pick<Writing, 'execution_id' | 'organization_id' | 'token' | 'claim'>
type Told = { type: string; node_id?: string | null; at: string; details?: object }

export class Journal {
  readonly #about: About
  readonly #write: GroupCommit<Writing, Written>
  readonly #onEnd: (error?: unknown) => void
  #seq: number
  /** The execution has ended, and the run was let go of with its last writing. */
  isLetGo = false
  #nodes = new Map<string, store.NodeRow>()
  #items: store.ItemRow[] = []
  #events: store.EventRow[] = []
  #patch: store.Patch | undefined
  #effects: Effect[] = []
  #uses: Billed[] = []
  #ends = false
  #weight = 0
  #linger: NodeJS.Timeout | undefined
  /** How many results counted before they were kept, and how many of those are kept by now. */
  #ahead = 0
  #kept = 0
  /** The writing on its way, and the one that will take what has been noted since. */
  #writing: Promise<boolean> = Promise.resolve(true)
  #next: Promise<boolean> | undefined

  constructor(
    about: About,
    seq: number,
    write: GroupCommit<Writing, Written>,
    /** Nothing more is written: it belongs to somebody else now, or, with an error, the database is not there. */
    onEnd: (error?: unknown) => void,
  ) {
    this.#about = about
    this.#seq = seq
    this.#write = write
    this.#onEnd = onEnd
  }

  node(row: store.NodeRow): void {
    this.#nodes.set(row.node_id, row)
    this.#grow((row.input?.length ?? 0) + (row.output?.length ?? 0))
  }

  item(row: store.ItemRow): void {
    this.#items.push(row)
    this.#grow(row.output?.length ?? 0)
  }

  event({ type, node_id = null, at, details }: Told): void {
    this.#events.push({ seq: ++this.#seq, type, node_id, at, details: details ?? null })
    this.#grow(0)
  }

  execution(patch: store.Patch): void {
    this.#patch = { ...this.#patch, ...patch }
    this.#grow(0)
  }

  /** Done together with what has been noted, if that is kept. */
  effect(effect: Effect): void {
    this.#effects.push(effect)
    this.#grow(0)
  }

  /** Billed together with what is noted last of it. */
  bill(uses: Billed[]): void {
    this.#uses.push(...uses)
  }

  /** Nothing comes after what has been noted. */
  end(): void {
    this.#ends = true
  }

  /** What was noted last counts before it is kept. */
  runAhead(): void {
    this.#ahead += 1
  }

  /** Resolves when everything that counts is kept; false when the execution belongs to somebody else now. */
  async catchUp(): Promise<boolean> {
    return this.#ahead === this.#kept || this.flush()
  }

  /** True when all that was noted is kept; false when the execution belongs to somebody else now. */
  flush(): Promise<boolean> {
    clearTimeout(this.#linger)
    this.#linger = undefined
    if (this.#isEmpty()) return this.#writing
    // One writing at a time: whoever follows the events must not see a later one before an earlier one.
    this.#next ??= this.#writing.then((isKept) => {
      this.#next = undefined
      this.#writing = isKept ? this.#writeAll() : Promise.resolve(false)
      return this.#writing
    })
    return this.#next
  }

  async #writeAll(): Promise<boolean> {
    const writing: Writing = {
      ...this.#about,
      nodes: [...this.#nodes.values()],
      items: this.#items,
      events: this.#events,
      ...(this.#patch ? { patch: this.#patch } : {}),
      effects: this.#effects,
      uses: this.#uses,
      ends: this.#ends,
    }
    this.#nodes = new Map()
    this.#items = []
    this.#events = []
    this.#patch = undefined
    this.#effects = []
    this.#uses = []
    this.#weight = 0
    const ahead = this.#ahead
    const { is_kept, is_let_go } = await this.#write(writing)
    this.isLetGo = is_let_go
    if (is_kept) this.#kept = ahead
    else this.#onEnd()
    return is_kept
  }

  #isEmpty(): boolean {
    return this.#nodes.size + this.#items.length + this.#events.length + this.#effects.length === 0 && !this.#patch
  }

  #grow(characters: number): void {
    this.#weight += characters
    if (this.#weight > HEAVY) this.#flushSoon()
    this.#linger ??= setTimeout(() => this.#flushSoon(), LINGER_MS)
  }

  #flushSoon(): void {
    this.flush().catch((error: unknown) => this.#onEnd(error))
  }

  /** What was not written stays so. */
  close(): void {
    clearTimeout(this.#linger)
  }
}
