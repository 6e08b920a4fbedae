import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sharing } from './limits.ts'
import { FairQueue } from './queue.ts'

const item = (tenant: string, name: string, size = 1, depth = 0) => ({ tenant, name, size, depth })
const any = () => true

test('tenants take turns, each in the order of their own', () => {
  const queue = new FairQueue<ReturnType<typeof item>>()
  for (const name of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) queue.add(item(name.charAt(0), name))
  const order = Array.from({ length: 6 }, () => queue.take(any)?.name)
  assert.deepEqual(order, ['a1', 'b1', 'c1', 'a2', 'b2', 'a3'])
  assert.equal(queue.take(any), undefined)
})

test('who may not go keeps their turn', () => {
  const queue = new FairQueue<ReturnType<typeof item>>()
  for (const name of ['a1', 'b1', 'b2']) queue.add(item(name.charAt(0), name))
  assert.equal(queue.take((tenant) => tenant !== 'a')?.name, 'b1')
  assert.equal(queue.take(any)?.name, 'a1')
})

test('what came back stands before its tenant’s others', () => {
  const queue = new FairQueue<ReturnType<typeof item>>()
  queue.add(item('a', 'a2'))
  queue.addFirst(item('a', 'a1'))
  assert.equal(queue.take(any)?.name, 'a1')
})

test('a queue is bounded for each, for all, and by what it holds', () => {
  const full = { code: 'SANDBOX_FULL' }
  const queue = new FairQueue<ReturnType<typeof item>>()
  for (let i = 0; i < sharing.queue_per_tenant; i++) queue.add(item('a', `a${i}`))
  assert.throws(() => queue.add(item('a', 'one more')), full)
  for (let i = queue.length; i < sharing.queue; i++) queue.add(item(`t${i}`, 'x'))
  assert.throws(() => queue.add(item('b', 'b1')), full)

  const heavy = new FairQueue<ReturnType<typeof item>>()
  const half = item('a', 'a1', sharing.queue_size / 2 + 1)
  heavy.add(half)
  assert.throws(() => heavy.add(item('b', 'b1', half.size)), full)
  assert.equal(heavy.remove(half), true)
  heavy.add(item('b', 'b1', half.size))
})

test('only what waits can be removed', () => {
  const queue = new FairQueue<ReturnType<typeof item>>()
  const first = item('a', 'a1')
  queue.add(first)
  queue.take(any)
  assert.equal(queue.remove(first), false)
  assert.equal(queue.length, 0)
})

test('what other code waits for goes before what nobody waits for', () => {
  const queue = new FairQueue<ReturnType<typeof item>>()
  for (const [name, depth] of [
    ['a0', 0],
    ['a1', 1],
    ['a9', 9],
  ] as const)
    queue.add(item('a', name, 1, depth))
  queue.add(item('b', 'b0'))
  assert.equal(queue.take((_, depth) => depth === 0)?.name, 'a0')
  assert.deepEqual([queue.take(any)?.name, queue.take(any)?.name, queue.take(any)?.name], ['b0', 'a9', 'a1'])
  assert.equal(queue.length, 0)
})
