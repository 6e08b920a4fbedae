/** How a process dies for the crash tests: at its nth writing of what concerns executions. A writing is what is
 *  committed as one, a transaction or a statement by itself. What it made final is noted when it has been answered. */

import { appendFileSync } from 'node:fs'
import type { Database, Db, Sql } from '../db/db.ts'

/** To die when everything of the nth writing is said but its commit is not sent, while that is on its way, or when it
 *  has been answered. */
export type Death = {
  at: number
  when: 'before' | 'during' | 'after'
  /** Not to die, but to stand still until somebody says otherwise; `stopped` is noted before. */
  is_pause?: boolean
}

/** Executions and what is around them: claims and rests, tasks, what came. */
const isWriting = ({ text }: Sql) =>
  /\b(insert into|update|delete from)\s+(executions?|execution_\w+|engine_claims|engine_timers|tasks)\b/.test(text)

export class Dying {
  #count = 0
  #death: Death | undefined
  readonly #log: string

  constructor(log: string) {
    this.#log = log
  }

  get count(): number {
    return this.#count
  }

  arm(death: Death): void {
    this.#count = 0
    this.#death = death
  }

  /** A writing is sent. Gives what is called when it has been answered, with what it made final. */
  async send(): Promise<(kept: string[]) => void> {
    this.#count += 1
    const death = this.#death?.at === this.#count ? this.#death : undefined
    const end = () => {
      if (!death?.is_pause) die()
      appendFileSync(this.#log, 'stopped\n')
      process.kill(process.pid, 'SIGSTOP')
    }
    // Whatever was let through in this very turn is done before: nobody can stand still between a look and a step.
    if (death?.is_pause) await new Promise((resolve) => setImmediate(resolve))
    if (death?.when === 'before') end()
    if (death?.when === 'during') setTimeout(end, Math.random() * 2)
    return (kept) => {
      for (const line of kept) appendFileSync(this.#log, `${line}\n`)
      if (death?.when === 'after') end()
    }
  }
}

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  // Nothing runs after this.
  for (;;);
}

/** The database, with every writing of its handles going by the one who may die. */
export function watch(database: Database, dying: Dying): Database {
  return {
    ...database,
    platform: free(database.platform, dying),
    of: (organization_id) => free(database.of(organization_id), dying),
  }
}

/** What a transaction has said so far. */
type Said = { is_writing: boolean; kept: string[] }

/** The handle outside of a transaction: each statement is one. */
function free(db: Db, dying: Dying): Db {
  const ask = async <Result>(statement: Sql, send: () => Promise<Result>): Promise<Result> => {
    if (!isWriting(statement)) return send()
    const answered = await dying.send()
    const result = await send()
    answered(keptBy(statement, result))
    return result
  }
  return {
    ...db,
    many: (statement) => ask(statement, () => db.many(statement)),
    one: (statement) => ask(statement, () => db.one(statement)),
    maybe: (statement) => ask(statement, () => db.maybe(statement)),
    run: (statement) => ask(statement, () => db.run(statement)),
    async tx(work, options) {
      const said: Said = { is_writing: false, kept: [] }
      let answered: ((kept: string[]) => void) | undefined
      const result = await db.tx(async (inner) => {
        listen(inner, said)
        const result = await work(inner)
        if (said.is_writing) answered = await dying.send()
        return result
      }, options)
      answered?.(said.kept)
      return result
    },
  }
}

/** The queue knows a transaction by its handle, so the handle itself is changed. */
function listen(db: Db, said: Said): void {
  const { many, one, maybe, run, tx } = db
  const ask = async <Result>(statement: Sql, send: () => Promise<Result>): Promise<Result> => {
    said.is_writing ||= isWriting(statement)
    const result = await send()
    said.kept.push(...keptBy(statement, result))
    return result
  }
  Object.assign(db, {
    many: (statement: Sql) => ask(statement, () => many(statement)),
    one: (statement: Sql) => ask(statement, () => one(statement)),
    maybe: (statement: Sql) => ask(statement, () => maybe(statement)),
    run: (statement: Sql) => ask(statement, () => run(statement)),
    tx: (work: (db: Db) => Promise<unknown>) =>
      tx((inner) => {
        listen(inner, said)
        return work(inner)
      }),
  })
}

/** What a record makes final, by the places of its parameters (see `record` in journal-store.ts): nodes and items that
 *  have ended (`kept`), and attempts that will not be made again (`over`). */
function keptBy({ text, values }: Sql, result: unknown): string[] {
  if (!/^\s*with owned/.test(text)) return []
  // What is refused is not kept: the answer names the executions that were still ours.
  const ours = new Set((result as { run_id: string }[]).map((row) => row.run_id))
  const [ids = [], , nodes = [], statuses = [], attempts = []] = values.slice(2) as (string | null)[][]
  const ended = (values[16] ?? []) as (string | null)[]
  const [item_ids = [], , item_nodes = [], indexes = []] = values.slice(17, 21) as (string | null)[][]
  const kept = ids.flatMap((id, i) => {
    if (!ours.has(id ?? '')) return []
    if (ended[i]) return [`kept ${id}:${nodes[i]}`]
    return statuses[i] === 'retrying' ? [`over ${id}:${nodes[i]}:${attempts[i]}`] : []
  })
  const items = item_ids.flatMap((id, i) => (ours.has(id ?? '') ? [`kept ${id}:${item_nodes[i]}:${indexes[i]}`] : []))
  return [...kept, ...items]
}
