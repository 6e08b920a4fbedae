/** Joins that go on with some of their branches: the first, or so many; what becomes of the others tells them apart. */

import assert from 'node:assert/strict'
import { all, type Driven, edge, hold, type Pattern, task } from './pattern.ts'

/** `count` tasks that are done when they are called, and what starts with some of them. */
const quotes = (...ids: string[]) => ids.map((id) => hold(id))
const into = (target: string, ...ids: string[]) => ids.map((id) => edge(id, target))

/** A second thread comes to the join of the first one while that has not seen all of its branches. */
async function blocks(
  { id, until, call, start, nodes, status, end }: Driven,
  first: string[],
  last: string,
): Promise<void> {
  const second = await start({ line: 'one' })
  for (const node of first) {
    await until(node, 'waiting')
    await call(node)
  }
  await until('order', 'completed', id)
  assert.deepEqual([(await nodes(id))[last], await status(second)], ['waiting', 'queued'])
  await call(last)
  for (const node of [...first, last]) {
    await until(node, 'waiting', second)
    await call(node, null, second)
  }
  assert.equal((await end(second)).status, 'completed')
}

export const joins: Pattern[] = [
  {
    number: 9,
    name: 'Structured Discriminator',
    chapter: 'advanced_branching',
    support: 'direct',
    by: '`join: any`: the branches that come later end without an effect',
    definition: {
      nodes: [...quotes('a', 'b'), task('order', { join: 'any' })],
      edges: into('order', 'a', 'b'),
    },
    async drive({ until, call }) {
      await until('a', 'waiting')
      await call('a')
      await until('order', 'completed')
      await call('b')
    },
    expected: { output: 'order', nodes: all('completed', 'a', 'b', 'order') },
  },
  {
    number: 28,
    name: 'Blocking Discriminator',
    chapter: 'new',
    support: 'composed',
    by:
      'a workflow with `join: any` and `concurrency: {limit: 1, key}`: each thread is an execution, and the next one ' +
      'of the same key begins when all branches of the one before have ended',
    definition: {
      concurrency: { limit: 1, key: 'input.line' },
      nodes: [...quotes('a', 'b'), task('order', { join: 'any' })],
      edges: into('order', 'a', 'b'),
    },
    input: { line: 'one' },
    drive: (at) => blocks(at, ['b'], 'a'),
    expected: { output: 'order', nodes: all('completed', 'a', 'b', 'order') },
  },
  {
    number: 29,
    name: 'Cancelling Discriminator',
    chapter: 'new',
    support: 'direct',
    by: '`join: any` with `cancels`',
    definition: {
      nodes: [...quotes('a', 'b'), task('order', { join: 'any', cancels: ['a', 'b'] })],
      edges: into('order', 'a', 'b'),
    },
    async drive({ until, call }) {
      await until('b', 'waiting')
      await call('b')
      await until('a', 'cancelled')
      assert.equal(await call('a'), 409)
    },
    expected: { output: 'order', nodes: { ...all('completed', 'b', 'order'), a: 'cancelled' } },
  },
  {
    number: 30,
    name: 'Structured Partial Join',
    chapter: 'new',
    support: 'direct',
    by: '`join: {count: n}`',
    definition: {
      nodes: [...quotes('a', 'b', 'c'), task('order', { join: { count: 2 } })],
      edges: into('order', 'a', 'b', 'c'),
    },
    async drive({ until, call, nodes }) {
      await until('c', 'waiting')
      await call('a')
      await until('a', 'completed')
      assert.equal((await nodes()).order, 'pending')
      await call('c')
      await until('order', 'completed')
      await call('b')
    },
    expected: { output: 'order', nodes: all('completed', 'a', 'b', 'c', 'order') },
  },
  {
    number: 31,
    name: 'Blocking Partial Join',
    chapter: 'new',
    support: 'composed',
    by: '`join: {count: n}` and `concurrency: {limit: 1, key}`, as WCP-28',
    definition: {
      concurrency: { limit: 1, key: 'input.line' },
      nodes: [...quotes('a', 'b', 'c'), task('order', { join: { count: 2 } })],
      edges: into('order', 'a', 'b', 'c'),
    },
    input: { line: 'one' },
    drive: (at) => blocks(at, ['a', 'c'], 'b'),
    expected: { output: 'order', nodes: all('completed', 'a', 'b', 'c', 'order') },
  },
  {
    number: 32,
    name: 'Cancelling Partial Join',
    chapter: 'new',
    support: 'direct',
    by: '`join: {count: n}` with `cancels`',
    definition: {
      nodes: [...quotes('a', 'b', 'c'), task('order', { join: { count: 2 }, cancels: ['a', 'b', 'c'] })],
      edges: into('order', 'a', 'b', 'c'),
    },
    async drive({ until, call }) {
      await until('c', 'waiting')
      await call('b')
      await call('c')
    },
    expected: { output: 'order', nodes: { ...all('completed', 'b', 'c', 'order'), a: 'cancelled' } },
  },
]
