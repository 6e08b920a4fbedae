/** What is asked of a handle in one turn of the loop: each function is asked once, for all who asked. */

import type { Db, Gathered } from './db.ts'

type Waiting = { item: unknown; resolve(answer: unknown): void; reject(error: unknown): void }

export class Gathering {
  readonly #db: () => Db
  readonly #waiting = new Map<Gathered<unknown, unknown>, Waiting[]>()

  constructor(db: () => Db) {
    this.#db = db
  }

  add<Item, Answer>(ask: Gathered<Item, Answer>, item: Item): Promise<Answer> {
    // The turn is over when all that its answers have set going has asked.
    if (this.#waiting.size === 0) queueMicrotask(() => process.nextTick(() => this.flush()))
    return new Promise<Answer>((resolve, reject) => {
      // Under one function there are its own items and answers alone.
      const key = ask as unknown as Gathered<unknown, unknown>
      const all = this.#waiting.get(key) ?? []
      this.#waiting.set(key, all)
      all.push({ item, resolve: resolve as Waiting['resolve'], reject })
    })
  }

  /** Asks now what has been gathered. */
  flush(): void {
    const asking = [...this.#waiting]
    this.#waiting.clear()
    for (const [ask, all] of asking) void answer(ask, this.#db(), all)
  }
}

async function answer(ask: Gathered<unknown, unknown>, db: Db, all: Waiting[]): Promise<void> {
  try {
    const items = all.map(({ item }) => item)
    const answers = await ask(db, items)
    for (const [i, { resolve }] of all.entries()) resolve(answers[i])
  } catch (error) {
    for (const { reject } of all) reject(error)
  }
}

/** A question that several may ask alike: those of one turn that are about the same have one answer, which none of them
 *  may change. */
export const asOne =
  <About extends object, Answer>(ask: (db: Db, about: About) => Promise<Answer>): Gathered<About, Answer> =>
  (db, all) => {
    const answers = new Map<string, Promise<Answer>>()
    const answerTo = (about: About): Promise<Answer> => {
      const name = JSON.stringify(about)
      const answer = answers.get(name) ?? ask(db, about)
      answers.set(name, answer)
      return answer
    }
    return Promise.all(all.map(answerTo))
  }
