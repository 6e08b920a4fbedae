/** The numbers of tool calls in a stream of chats. Clients put the pieces of a call together by its `index`, which some
 *  hosts leave out. */

import type { JsonObject } from '../hub.ts'
import { numberOf, objectOf, objectsOf, textOf } from '../providers/read.ts'

export class CallNumbers {
  /** How many calls each choice has begun. */
  readonly #begun = new Map<number, number>()

  /** Gives numbers to the calls of this chunk that have none. Whether there were such. */
  mend(chunk: JsonObject): boolean {
    let isMended = false
    for (const choice of objectsOf(chunk.choices)) {
      const of = numberOf(choice.index) ?? 0
      for (const call of objectsOf(objectOf(choice.delta).tool_calls)) {
        const begun = this.#begun.get(of) ?? 0
        const told = numberOf(call.index)
        // A piece with an id or a name begins one.
        const isNew = begun === 0 || Boolean(textOf(call.id) || textOf(objectOf(call.function).name))
        const index = told ?? (isNew ? begun : begun - 1)
        this.#begun.set(of, Math.max(begun, index + 1))
        if (told !== undefined) continue
        call.index = index
        isMended = true
      }
    }
    return isMended
  }
}
