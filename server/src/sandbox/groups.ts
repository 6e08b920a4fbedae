/** Runs of one kind that may be at work only so many at a time, such as those of one code block: the others wait here,
 *  before the queue, in their order, so that they keep nobody's place in it. */

import { sharing } from './limits.ts'
import { SandboxUnavailable } from './queue.ts'

export type Group = { key: string; runs_max: number }
type State = { runs: number; waiting: { size: number; begin: () => void }[] }

export class Groups {
  readonly #states = new Map<string, State>()
  #waiting = 0
  #size = 0

  /** Runs it when there is room; rejects when too many wait, or with the signal's reason. */
  async within<Result>(
    { key, runs_max }: Group,
    { size, signal }: { size: number; signal: AbortSignal | undefined },
    run: () => Promise<Result>,
  ): Promise<Result> {
    const state = this.#states.get(key) ?? { runs: 0, waiting: [] }
    this.#states.set(key, state)
    if (state.runs >= runs_max) await this.#turn(state, size, signal)
    else state.runs++
    try {
      return await run()
    } finally {
      // The place is handed on; with nobody waiting it is free. A lower limit than before lets it go.
      const next = state.runs <= runs_max ? state.waiting.shift() : undefined
      if (next) next.begin()
      else if (--state.runs === 0) this.#states.delete(key)
    }
  }

  async #turn({ waiting }: State, size: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting >= sharing.queue || this.#size + size > sharing.queue_size) {
      throw new SandboxUnavailable('SANDBOX_FULL', 'The sandbox is full: too many runs wait for their turn.')
    }
    if (waiting.length >= sharing.queue_per_tenant) {
      throw new SandboxUnavailable('SANDBOX_FULL', `${waiting.length} runs of this code block wait for their turn.`)
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const entry = { size, begin: resolve }
    const withdraw = () => {
      const at = waiting.indexOf(entry)
      if (at < 0) return
      waiting.splice(at, 1)
      reject(signal?.reason)
    }
    waiting.push(entry)
    signal?.addEventListener('abort', withdraw, { once: true })
    this.#waiting++
    this.#size += size
    await promise.finally(() => {
      signal?.removeEventListener('abort', withdraw)
      this.#waiting--
      this.#size -= size
    })
  }
}
