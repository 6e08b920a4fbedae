/** Group commit: what is given within one turn of the event loop is written in one batch, and at most two batches are
 *  on their way. A commit costs about the same for one row as for a hundred, so under load each row costs little, and
 *  without load nothing waits. A batch that fails is written again one by one: nobody fails for a neighbour. */

export type GroupCommit<Item, Result> = (item: Item) => Promise<Result>

type Waiting<Item, Result> = { item: Item; resolve(result: Result): void; reject(error: unknown): void }

export type GroupCommitOptions<Item> = {
  /** Batches on their way at a time. */
  in_flight_max?: number
  items_max?: number
  /** What an item weighs, such as its characters, and how much a batch may. */
  weight?: (item: Item) => number
  weight_max?: number
}

/** `write` gives one result for each item, in their order. */
export function groupCommit<Item, Result>(
  write: (items: Item[]) => Promise<Result[]>,
  { in_flight_max = 2, items_max = 500, weight = () => 0, weight_max = 8 * 1024 * 1024 }: GroupCommitOptions<Item> = {},
): GroupCommit<Item, Result> {
  const waiting: Waiting<Item, Result>[] = []
  let in_flight = 0
  let is_scheduled = false

  const take = (): Waiting<Item, Result>[] => {
    let total = 0
    const end = waiting.findIndex(({ item }, i) => {
      total += weight(item)
      return i >= items_max || (i > 0 && total > weight_max)
    })
    return waiting.splice(0, end < 0 ? waiting.length : end)
  }

  const go = (): void => {
    is_scheduled = false
    while (waiting.length > 0 && in_flight < in_flight_max) {
      const batch = take()
      in_flight += 1
      void settle(batch).finally(() => {
        in_flight -= 1
        go()
      })
    }
  }

  const settle = async (batch: Waiting<Item, Result>[]): Promise<void> => {
    try {
      const results = await write(batch.map(({ item }) => item))
      for (const [i, { resolve }] of batch.entries()) resolve(results[i] as Result)
    } catch (error) {
      if (batch.length === 1) return batch[0]?.reject(error)
      for (const one of batch) await settle([one])
    }
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject })
      if (is_scheduled || in_flight >= in_flight_max) return
      is_scheduled = true
      // After this turn of the loop: everything that became ready in it goes along.
      setImmediate(go)
    })
}
