/** What was used last, up to a count. Both ends of a pipe keep one and touch it in the order of the messages, so the
 *  server knows exactly which sources a worker still has, without asking. */
export class Recent<Value> {
  readonly #entries = new Map<string, Value>()
  readonly #room: number

  constructor(room: number) {
    this.#room = room
  }

  get(key: string): Value | undefined {
    const value = this.#entries.get(key)
    if (value === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, value)
    return value
  }

  set(key: string, value: Value): void {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size <= this.#room) return
    const oldest = this.#entries.keys().next()
    if (!oldest.done) this.#entries.delete(oldest.value)
  }
}
