import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Recent } from './recent.ts'

test('what was used last stays, as much as there is room for', () => {
  const recent = new Recent<number>(3)
  for (const [key, size] of [
    ['a', 1],
    ['b', 1],
    ['c', 1],
  ] as const)
    recent.set(key, size, size)
  recent.get('a')
  recent.set('d', 4, 1)
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((key) => recent.get(key)),
    [1, undefined, 1, 4],
  )
  recent.set('e', 5, 2)
  assert.deepEqual(
    ['a', 'c', 'd', 'e'].map((key) => recent.get(key)),
    [undefined, undefined, 4, 5],
  )
})

test('what is larger than the room is not kept', () => {
  const recent = new Recent<number>(3)
  recent.set('a', 1, 4)
  assert.equal(recent.get('a'), undefined)
})

test('setting a key again gives its old room back', () => {
  const recent = new Recent<number>(3)
  for (let i = 0; i < 9; i++) recent.set('a', i, 2)
  recent.set('b', 1, 1)
  assert.deepEqual([recent.get('a'), recent.get('b')], [8, 1])
})
