/** Random JSON that is the same on every run: a seed in, values out. */

import type { JsonValue } from '@flow/contract/common'

export type Random = { next(): number; below(n: number): number; pick<Item>(from: readonly Item[]): Item }

/** Mulberry32. */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (n: number) => Math.floor(next() * n)
  const pick = <Item>(from: readonly Item[]): Item => {
    const item = from[below(from.length)]
    if (item === undefined) throw new Error('there is nothing to pick')
    return item
  }
  return { next, below, pick }
}

const names = ['id', 'name', 'a', 'b', 'source', 'target', 'x y', '0', '']

export function jsonOf(random: Random, depth = 3): JsonValue {
  const kind = random.below(depth > 0 ? 8 : 5)
  if (kind === 0) return null
  if (kind === 1) return random.next() < 0.5
  if (kind === 2) return random.below(4)
  if (kind < 5) return random.pick(['', 'a', 'b', 'c'])
  if (kind === 5) return Array.from({ length: random.below(4) }, () => jsonOf(random, depth - 1))
  if (kind === 6) {
    return Array.from({ length: random.below(4) }, (_, i) => ({ id: `n${i}`, value: jsonOf(random, depth - 1) }))
  }
  const entries = Array.from(
    { length: random.below(4) },
    () => [random.pick(names), jsonOf(random, depth - 1)] as const,
  )
  return Object.fromEntries(entries)
}
