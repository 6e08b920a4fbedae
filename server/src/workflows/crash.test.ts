/** `kill -9` at moments of executions' writing: nothing is lost, nothing that is recorded runs again, and the result is
 *  the one it would have been. Each time some of the patterns die one of their deaths, others each time; `npm run
 *  crash-matrix` dies them all. FLOW_CRASH_SEED makes it the same ones again. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testModes } from '../db/testing.ts'
import { crashPatterns } from './crash-patterns-testing.ts'
import { crashRounds } from './crash-rounds-testing.ts'

const PATTERNS = 8
const seed = Number(process.env.FLOW_CRASH_SEED ?? Math.floor(Math.random() * 2 ** 31))

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
function chances(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

for (const mode of testModes) {
  test(`a process that is killed at any writing loses nothing and repeats nothing that is recorded (${mode})`, async () => {
    const chance = chances(seed)
    const some = crashPatterns
      .map((pattern) => ({ pattern, place: chance() }))
      .sort((a, b) => a.place - b.place)
      .slice(0, PATTERNS)
      .map(({ pattern }) => pattern)

    const { rows, left } = await crashRounds(
      mode,
      (deaths) => [deaths[Math.floor(chance() * deaths.length)] ?? []].flat(),
      some,
    )

    const faults = rows.flatMap((row) => Object.values(row.faults).flat())
    assert.deepEqual(faults, [], `FLOW_CRASH_SEED=${seed}`)
    assert.deepEqual(left, { executions: 0, tasks: 0, unbilled: 0, claims: 0 }, `FLOW_CRASH_SEED=${seed}`)
    assert.equal(rows.length, PATTERNS)
  })
}
