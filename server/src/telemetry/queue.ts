/** What waits to be told to the collector, bounded: what comes when it is full is dropped, and so is what the collector
 *  refuses. */

/** What became of a request: `later`, it may be sent again. */
export type Outcome = 'taken' | 'refused' | 'later'

export type Bounds = {
  /** Items and characters that wait. */
  items: number
  characters: number
  /** Items of one request. */
  batch: number
}

export type Queue<Item> = {
  put(item: Item): void
  /** Tells all that there is, until the collector wants no more; does not throw. Gives how many were dropped since the
   *  last time. */
  flush(): Promise<number>
  /** A request could be filled, and the collector took the last one. */
  readonly isFilled: boolean
}

export function openQueue<Item>(
  bounds: Bounds,
  sizeOf: (item: Item) => number,
  send: (batch: Item[]) => Promise<Outcome>,
): Queue<Item> {
  let waiting: Item[] = []
  let characters = 0
  let dropped = 0
  let isAway = false
  let flushing: Promise<void> | undefined

  const sendAll = async () => {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, bounds.batch)
      const outcome = await send(batch)
      isAway = outcome === 'later'
      if (isAway) return
      waiting = waiting.slice(batch.length)
      for (const item of batch) characters -= sizeOf(item)
      if (outcome === 'refused') dropped += batch.length
    }
  }

  return {
    put(item) {
      const size = sizeOf(item)
      if (waiting.length >= bounds.items || characters + size > bounds.characters) {
        dropped += 1
        return
      }
      waiting.push(item)
      characters += size
    },
    async flush() {
      flushing ??= sendAll().finally(() => {
        flushing = undefined
      })
      await flushing
      const count = dropped
      dropped = 0
      return count
    },
    get isFilled() {
      return waiting.length >= bounds.batch && !isAway && !flushing
    },
  }
}
