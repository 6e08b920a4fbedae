/** What was used last, as much of it as there is room for. Both ends of a pipe keep one and touch it in the order of
 *  the messages, so the server knows exactly which sources a worker still has, without asking. */
export class Recent<Value> {
  readonly #entries = new Map<string, { value: Value; size: number }>()
  readonly #room: number
  #taken = 0

  constructor(room: number) {
    this.#room = room
  }

  get(key: string): Value | undefined {
    const entry = this.#entries.get(key)
    if (!entry) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry.value
  }

  set(key: string, value: Value, size: number): void {
    this.#remove(key)
    this.#entries.set(key, { value, size })
    this.#taken += size
    for (const oldest of this.#entries.keys()) {
      if (this.#taken <= this.#room) return
      this.#remove(oldest)
    }
  }

  #remove(key: string): void {
    this.#taken -= this.#entries.get(key)?.size ?? 0
    this.#entries.delete(key)
  }
}
