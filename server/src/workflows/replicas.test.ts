/** Several processes on one PostgreSQL: what one begins another one ends, when the first is killed or stands still for a
 *  while, wherever in its writing that is. On the embedded database there is only ever one process. */

import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { testModes } from '../db/testing.ts'
import { crashPatterns } from './crash-patterns-testing.ts'
import {
  faultsOf,
  linesOf,
  noDeath,
  orderOf,
  prepareAll,
  treesIn,
  type Undisturbed,
  withoutDeath,
} from './crash-rounds-testing.ts'
import { begin, live, type Made } from './crash-testing.ts'
import type { Death } from './dying-testing.ts'
import type { Orders, Told } from './process-testing.ts'

const skip = testModes.includes('postgres') ? false : 'needs FLOW_TEST_DATABASE_URL'
/** It has a task, a child, a map, retries and a wait of a day in it. */
const everything = crashPatterns.filter(({ slug }) => slug === 'crash')

let made: Made
let wanted: Undisturbed
before(async () => {
  if (skip) return
  made = await prepareAll('postgres')
  const [known] = (await withoutDeath(made, everything)).values()
  assert.ok(known)
  wanted = known
})
after(() => made?.remove())

async function nextOf(told: AsyncGenerator<Told>, holds: (one: Told) => boolean): Promise<Told> {
  for (;;) {
    const { value, done } = await told.next()
    assert.ok(!done, 'the process has ended')
    if (holds(value)) return value
  }
}

/** A process that is gone when the test is over. */
function beside(t: TestContext, orders: Partial<Orders>) {
  const process = begin({ ...made, ...orders })
  t.after(() => process.child.kill('SIGKILL'))
  return process
}

/** A process that begins an execution and stands still in it. */
async function beginning(t: TestContext, death: Death) {
  const [pattern] = everything
  assert.ok(pattern)
  const stops = async () => (await linesOf(made)).filter((line) => line === 'stopped').length
  const stopsBefore = await stops()
  const first = beside(t, { begin: [{ ...orderOf(made, pattern), death }], stay: true })
  const begun = await nextOf(first.told, (one) => 'begun' in one)
  const id = 'begun' in begun ? begun.begun : ''
  const stopped = async () => {
    while ((await stops()) === stopsBefore) await sleep(5)
  }
  return { first, id, stopped }
}

async function assertWhole(id: string): Promise<void> {
  const { told } = await live({ ...made, await: id })
  const [tree = []] = treesIn(told)
  assert.deepEqual(await faultsOf(made, tree, wanted), { lost: [], repeated: [], different: [] })
}

test('what a killed process was running goes on in another one, with its task, its child and its rest', {
  skip,
}, async (t) => {
  const { first, id } = await beginning(t, noDeath)
  const second = beside(t, { finish: { after: id } })
  await nextOf(second.told, (one) => 'ready' in one)
  while (!(await linesOf(made)).some((line) => line.startsWith(`kept ${id}:`))) await sleep(1)
  first.child.kill('SIGKILL')

  await nextOf(second.told, (one) => 'left' in one)
  await assertWhole(id)
})

/** In the middle of a transaction, its locks held; behind one; and where the children and tasks are opened. */
const pauses: Death[] = [
  { at: 4, when: 'before', is_pause: true },
  { at: 7, when: 'after', is_pause: true },
  { at: 13, when: 'before', is_pause: true },
]

for (const pause of pauses) {
  test(`a process that stood still ${pause.when} writing ${pause.at} overwrites nothing of what another one has taken over`, {
    skip,
  }, async (t) => {
    const { first, id, stopped } = await beginning(t, pause)
    await stopped()
    const second = beside(t, { finish: { after: id } })
    const taken = await nextOf(second.told, (one) => 'left' in one)
    const lines = (await linesOf(made)).length - 1
    first.child.kill('SIGCONT')
    // It learns of the end like everybody else, and has had time to say what it still wanted to.
    await nextOf(first.told, (one) => 'ended' in one)
    await sleep(1000)
    assert.equal(first.child.exitCode, null)
    first.child.kill('SIGKILL')

    assert.deepEqual(taken, { left: { executions: 0, tasks: 0, unbilled: 0, claims: 0 } })
    const late = (await linesOf(made)).slice(lines)
    assert.deepEqual(
      late.filter((line) => line.startsWith('call ')),
      [],
    )
    await assertWhole(id)
  })
}

test('a process that stands still in the middle and comes back in time goes on with its own', { skip }, async (t) => {
  const second = beside(t, { stay: true })
  await nextOf(second.told, (one) => 'ready' in one)
  const { first, id, stopped } = await beginning(t, { at: 5, when: 'after', is_pause: true })
  await stopped()
  await sleep(1000)
  first.child.kill('SIGCONT')

  await nextOf(first.told, (one) => 'ended' in one)
  await assertWhole(id)
})
