/** The embedded session in the hands of one holder, until it ends, is lost or idles for too long. */

import type { Answer, Reading, Session } from './adapter.ts'
import type { Conversation } from './conversation.ts'
import type { Sql } from './db.ts'
import { DatabaseFault } from './faults.ts'

export class Hold implements Session {
  #conversation: Conversation
  #hasLimit: boolean
  #release: () => void
  #since = performance.now()
  /** Why nothing more can be asked here. */
  #end: Error | undefined

  constructor(conversation: Conversation, hasLimit: boolean, release: () => void) {
    this.#conversation = conversation
    this.#hasLimit = hasLimit
    this.#release = release
  }

  async query(statement: Sql, reading: Reading = 'wire'): Promise<Answer> {
    if (this.#end) throw this.#end
    return this.#conversation.query(statement, reading, this.#hasLimit)
  }

  async script(text: string, reading: Reading = 'wire'): Promise<Answer[]> {
    if (this.#end) throw this.#end
    return this.#conversation.script(text, reading, this.#hasLimit)
  }

  async finish(text: string): Promise<Answer[]> {
    const answers = this.script(text)
    this.#close(new Error('The transaction has ended.'))
    return answers
  }

  /** Gives the session back. Statements that nobody waited for are answered first, so what they left is rolled back. */
  end(): void {
    if (this.#end) return
    const isClean = this.#conversation.isQuiet && this.#conversation.status === 'I'
    if (!isClean) this.#conversation.script('rollback').catch(() => {})
    this.#close(new Error('The transaction has ended.'))
  }

  /** The session is gone, with everything that was done in it. */
  lose(fault: Error): void {
    this.#end ??= fault
  }

  idleFor(now: number): number {
    if (!this.#hasLimit || !this.#conversation.isQuiet) return 0
    return now - Math.max(this.#since, this.#conversation.quietSince)
  }

  /** Takes the session away from a holder that neither asks nor ends. */
  expire(): void {
    if (this.#end) return
    this.#conversation.script('rollback').catch(() => {})
    this.#close(
      new DatabaseFault({
        code: '25P03',
        message:
          'The transaction asked nothing for too long while others waited, and was rolled back. Inside a transaction ' +
          'use its own handle, and wait for nothing outside of the database.',
      }),
    )
  }

  #close(reason: Error): void {
    this.#end = reason
    this.#release()
  }
}
