/** Several processes on one PostgreSQL: what one begins another one ends, when the first is killed, stopped, or stands
 *  still for a while. On the embedded database there is only ever one process. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { testModes } from '../db/testing.ts'
import { assertWhole, begin, begunIn, type Ended, endedIn, type Made, prepare } from './crash-testing.ts'
import type { Told } from './process-testing.ts'

const NODES = 12
const blocks = {
  nap: 'export const main = ({ n }) => new Promise((done) => setTimeout(() => done({ n: n + 1 }), 150))',
}
const definition = {
  workflow_type: 'sequential',
  nodes: Array.from({ length: NODES }, (_, i) => ({ id: `n${i}`, type: 'code_block', component_ref: 'nap' })),
}
const skip = testModes.includes('postgres') ? false : 'needs FLOW_TEST_DATABASE_URL'

let made: Made
before(async () => {
  if (!skip) made = await prepare('postgres', blocks, definition)
})
after(() => made?.remove())

async function nextOf(told: AsyncGenerator<Told>, holds: (one: Told) => boolean): Promise<Told> {
  for (;;) {
    const { value, done } = await told.next()
    assert.ok(!done, 'the process has ended')
    if (holds(value)) return value
  }
}
const log = () => readFile(made.log, 'utf8').catch(() => '')

/** A process that has begun an execution and recorded some of it, and another one that waits for its end. */
async function halfWay() {
  const first = begin({ ...made, death: { at: Infinity, when: 'after' } })
  const id = begunIn([await nextOf(first.told, (one) => 'begun' in one)]) ?? ''
  const second = begin({ ...made, finish: id })
  await nextOf(second.told, (one) => 'ready' in one)
  while (!(await log()).includes(`kept ${id}:n3`)) await sleep(5)
  return { first, second, id }
}

async function assertEnded(ended: Ended | undefined): Promise<void> {
  assertWhole(ended, { n: NODES + 3 }, NODES, await log(), 'taken over')
}

test('what a killed process was running goes on in another one', { skip }, async () => {
  const { first, second } = await halfWay()
  first.child.kill('SIGKILL')
  await assertEnded(endedIn([await nextOf(second.told, (one) => 'ended' in one)]))
})

test('a process that stood still and goes on overwrites nothing of what another one has taken over', {
  skip,
}, async () => {
  const { first, second } = await halfWay()
  first.child.kill('SIGSTOP')
  const ended = endedIn([await nextOf(second.told, (one) => 'ended' in one)])
  first.child.kill('SIGCONT')

  await assertEnded(ended)
  // It learns of the end like everybody else, and is alive.
  await assertEnded(endedIn([await nextOf(first.told, (one) => 'ended' in one)]))
})

test('a process that stands still in the middle and comes back in time goes on with its own', { skip }, async () => {
  const { first, second } = await halfWay()
  first.child.kill('SIGSTOP')
  await sleep(1000)
  first.child.kill('SIGCONT')
  await assertEnded(endedIn([await nextOf(second.told, (one) => 'ended' in one)]))
})
