/** `kill -9` at every moment of a firing: each time of a schedule has begun one execution in the end, none twice.
 *  FLOW_CRASH=all dies before every statement instead of some. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { testModes } from '../db/testing.ts'
import { prepare } from '../workflows/crash-testing.ts'
import type { Orders, Told } from './process-testing.ts'

const HOUR_MS = 3_600_000
const definition = {
  trigger_type: 'schedule',
  trigger_config: { cron: '0 * * * *', missed: 'all' },
  nodes: [{ id: 'one', type: 'condition', condition: 'true' }],
}
/** Otherwise before one statement in so many, others each time the tests run. */
const STRIDE = process.env.FLOW_CRASH === 'all' ? 1 : 6
/** And at some moments around the commit. */
const COMMITS = 2

async function live(orders: Orders): Promise<Told[]> {
  const program = join(import.meta.dirname, 'process-testing.ts')
  const child = spawn(process.execPath, ['--no-warnings', program, JSON.stringify(orders)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const told: Told[] = []
  for await (const line of createInterface({ input: child.stdout })) told.push(JSON.parse(line) as Told)
  return told
}

for (const mode of testModes) {
  test(`a process that is killed while it fires loses no time and repeats none (${mode})`, async () => {
    const made = await prepare(mode, {}, definition)
    const first = Math.ceil(Date.now() / HOUR_MS) * HOUR_MS
    // Each round fires two times, dies at it, and the next round goes on.
    const at = (round: number) => new Date(first + (round * 2 + 1) * HOUR_MS + 1000).toISOString()
    const upTo = (round: number) =>
      Array.from({ length: round * 2 + 2 }, (_, i) => new Date(first + i * HOUR_MS).toISOString())
    const orders = { ...made, before: at(0), now: at(1) }
    const told = await live(orders)
    const lived = told.flatMap((one) => ('lived' in one ? [one] : []))[0]
    assert.deepEqual(lived?.lived, upTo(1))

    const statements = lived?.statements ?? 0
    assert.ok(statements > 10, `${statements} statements`)
    const start = 1 + Math.floor(Math.random() * Math.min(STRIDE, statements))
    const deaths: Partial<Orders>[] = []
    for (let dies_at = start; dies_at <= statements; dies_at += STRIDE) deaths.push({ dies_at })
    for (let i = 0; i < COMMITS; i++) deaths.push({ dies_after_ms: Math.random() * 40 })
    for (const [i, death] of deaths.entries()) {
      const round = i + 1
      const [one, more] = await live({ ...made, before: at(round), now: at(round + 1), ...death })

      assert.deepEqual(one && 'undisturbed' in one && one.undisturbed, upTo(round), JSON.stringify(death))
      if (death.dies_at) assert.equal(more, undefined, `${JSON.stringify(death)} should have died`)
    }
    const [end] = await live({ ...made, before: at(deaths.length + 1), now: at(deaths.length + 1) })
    assert.deepEqual(end && 'undisturbed' in end && end.undisturbed, upTo(deaths.length + 1))
    await made.remove()
  })
}
