/** Looking at texts takes turns with all else that the process does. What is short is looked at at once, as long as others
 *  have not used up the turn; what is long is looked at slice by slice, and whoever has had a turn goes to the end of the
 *  line. All calls of the process stand in the same line: that many come at once makes them slower, and nobody else. */

/** Of one turn of the event loop: so long short texts are looked at, and so long one of those that wait. */
const TURN_MS = 10
/** Of a text, what is looked at without a look at the clock: about 20 ms by the dearest pattern. */
const SLICE_CHARACTERS = 64 * 1024
const SLICE_STEPS = 1_000_000

/** How long a slice is where a character costs so many steps. */
export const sliceOf = (cost: number): number =>
  Math.max(64, Math.min(SLICE_CHARACTERS, Math.floor(SLICE_STEPS / cost)))

let used_ms = 0
let isTurning = false
const line: (() => void)[] = []

function turn() {
  isTurning = false
  used_ms = 0
  const first = line.shift()
  if (line.length > 0) soon()
  first?.()
}

function soon() {
  if (isTurning) return
  isTurning = true
  setImmediate(turn)
}

export const turns = {
  /** Whether something short may be looked at in this turn. */
  get hasRoom(): boolean {
    return used_ms < TURN_MS
  },
  atOnce<Value>(look: () => Value): Value {
    soon()
    const began = performance.now()
    try {
      return look()
    } finally {
      used_ms += performance.now() - began
    }
  },
}

/** Who looks at long texts, for one call. */
export class Looker {
  /** Nobody waits for what it would find. */
  isGone = false
  #until = 0

  /** The slices of a text, each when it may be looked at; no more of them when nobody waits. */
  async *slices(text: string, length: number): AsyncGenerator<string> {
    for (let at = 0; at < text.length && !this.isGone; at += length) {
      if (performance.now() >= this.#until) await this.#turn()
      if (!this.isGone) yield text.slice(at, at + length)
    }
  }

  async #turn() {
    await new Promise<void>((resolve) => {
      line.push(resolve)
      soon()
    })
    this.#until = performance.now() + TURN_MS
  }
}
