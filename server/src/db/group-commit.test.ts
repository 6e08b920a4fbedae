import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DatabaseUnavailable } from './faults.ts'
import { AtFault, groupCommit } from './group-commit.ts'

test('what comes in one turn is written in one batch, and two batches at most are on their way', async () => {
  const batches: number[][] = []
  const open: (() => void)[] = []
  const write = groupCommit<number, number>(async (items) => {
    batches.push(items)
    await new Promise<void>((resolve) => open.push(resolve))
    return items.map((item) => item * 2)
  })

  const results = [write(1), write(2)]
  await turn()
  results.push(write(3))
  await turn()
  results.push(write(4), write(5))
  await turn()
  assert.deepEqual(batches, [[1, 2], [3]])

  open[0]?.()
  await turn()
  assert.deepEqual(batches, [[1, 2], [3], [4, 5]])
  open[1]?.()
  open[2]?.()
  assert.deepEqual(await Promise.all(results), [2, 4, 6, 8, 10])
})

test('an item that cannot be written fails alone', async () => {
  const write = groupCommit<number, number>(async (items) => {
    if (items.includes(3)) throw new Error('three is bad')
    return items
  })
  const results = await Promise.allSettled([1, 2, 3, 4].map(write))
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
  )
})

test('where those at fault are known, the others are written together, and each of them by itself', async () => {
  const batches: number[][] = []
  const write = groupCommit<number, number>(async (items) => {
    batches.push(items)
    const bad = items.flatMap((item, place) => (item % 3 === 0 ? place : []))
    if (items.length > 1 && bad.length > 0) throw new AtFault(new Set(bad), new Error('three'))
    if (items[0] === 3) throw new Error('three is bad')
    return items
  })
  const results = await Promise.allSettled([1, 2, 3, 4, 5, 6].map(write))
  // Six cannot be written beside others only.
  assert.deepEqual(
    results.map((one) => (one.status === 'rejected' ? one.reason.message : one.value)),
    [1, 2, 'three is bad', 4, 5, 6],
  )
  assert.deepEqual(batches, [[1, 2, 3, 4, 5, 6], [1, 2, 4, 5], [3], [6]])
})

test('who has waited too long for the writing to begin is refused', async () => {
  const open: (() => void)[] = []
  const write = groupCommit<number, number>(
    async (items) => {
      await new Promise<void>((resolve) => open.push(resolve))
      return items
    },
    { in_flight_max: 1, wait_ms_max: 20 },
  )
  const first = write(1)
  await turn()
  await assert.rejects(Promise.all([write(2), write(3)]), DatabaseUnavailable)
  open[0]?.()
  assert.equal(await first, 1)
  const next = write(4)
  await turn()
  open[1]?.()
  assert.equal(await next, 4)
})

test('a batch has its limits', async () => {
  const batches: string[][] = []
  const write = groupCommit<string, void>(
    async (items) => {
      batches.push(items)
      return items.map(() => undefined)
    },
    { items_max: 3, weight: (item) => item.length, weight_max: 10 },
  )
  await Promise.all(['a', 'b', 'c', 'd', 'long enough', 'e', '123456', '123456'].map(write))
  assert.deepEqual(batches, [['a', 'b', 'c'], ['d'], ['long enough'], ['e', '123456'], ['123456']])
})

const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
