/** What is asked of a handle in one turn of the loop: each function is asked once, for all who asked. */

import type { Db, Gathered } from './db.ts'
import { DatabaseFault } from './faults.ts'

type Waiting = { item: unknown; resolve(answer: unknown): void; reject(error: unknown): void }
type Ask = Gathered<unknown, unknown>

export class Gathering {
  readonly #db: () => Db
  readonly #isFree: boolean
  readonly #waiting = new Map<Ask, Waiting[]>()

  /** `isFree`: each statement is a transaction of its own, so that what failed was not done and may be asked again. */
  constructor(db: () => Db, isFree: boolean) {
    this.#db = db
    this.#isFree = isFree
  }

  add<Item, Answer>(ask: Gathered<Item, Answer>, item: Item): Promise<Answer> {
    // The turn is over when all that its answers have set going has asked.
    if (this.#waiting.size === 0) queueMicrotask(() => process.nextTick(() => this.flush()))
    const answer = new Promise<Answer>((resolve, reject) => {
      // Under one function there are its own items and answers alone.
      const key = ask as unknown as Ask
      const all = this.#waiting.get(key) ?? []
      this.#waiting.set(key, all)
      all.push({ item, resolve: resolve as Waiting['resolve'], reject })
    })
    // It is asked later: whoever has failed by then does not listen any more.
    answer.catch(() => {})
    return answer
  }

  /** Asks now what has been gathered. */
  flush(): void {
    const asking = [...this.#waiting]
    this.#waiting.clear()
    for (const [ask, all] of asking) void this.#answer(ask, all)
  }

  async #answer(ask: Ask, all: Waiting[]): Promise<void> {
    try {
      const answers = await ask(
        this.#db(),
        all.map(({ item }) => item),
      )
      for (const [i, { resolve }] of all.entries()) resolve(answers[i])
    } catch (error) {
      const isOneAtFault = this.#isFree && all.length > 1 && error instanceof DatabaseFault
      if (isOneAtFault) for (const one of all) void this.#answer(ask, [one])
      else for (const { reject } of all) reject(error)
    }
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
