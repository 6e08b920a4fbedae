import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sharing } from './limits.ts'
import { isCrowded, type Pace, place, type Seat } from './placement.ts'

const seat = (more: Partial<Seat> = {}): Seat => ({
  runs: 0,
  steps: 0,
  computing_ms: 0,
  tenant: undefined,
  pace: 'usual',
  held_mb: 0,
  runsOfOthers: () => 0,
  ...more,
})
const computing = (more: Partial<Seat> = {}) => seat({ runs: 1, steps: 1, computing_ms: 1, pace: 'quick', ...more })
const run = (pace: Pace, mayStandBehind = true) => ({ tenant: 'a', pace, mayStandBehind, seats_max: 2 })

test('a run goes where nothing computes', () => {
  const idle = seat()
  for (const pace of ['quick', 'usual'] as const) assert.equal(place([computing(), idle], run(pace)), idle)
  const emptier = seat({ runs: 1 })
  assert.equal(place([seat({ runs: 3 }), emptier], run('quick')), emptier)
})

test('quick runs stand behind quick ones, and only those', () => {
  const quick = computing()
  assert.equal(place([quick], run('quick')), quick)
  assert.equal(place([quick], run('usual')), 'soon')
  assert.equal(place([computing({ pace: 'usual' })], run('quick')), 'soon')
  assert.equal(place([computing({ steps: sharing.pipeline })], run('quick')), 'soon')
})

test('nobody stands behind a long step', () => {
  const long = computing({ computing_ms: sharing.long_step_ms + 1 })
  assert.equal(place([long], run('quick')), 'later')
  assert.equal(place([computing({ pace: 'heavy' })], run('quick')), 'later')
})

test('nobody steps in front of one who needs a worker for itself', () => {
  assert.equal(place([computing(), computing()], run('quick', false)), 'soon')
  const idle = seat()
  assert.equal(place([computing(), idle], run('quick', false)), idle)
})

test('heavy runs leave one worker to the others, and seek company of their own', () => {
  const heavy = computing({ pace: 'heavy' })
  assert.equal(place([heavy, seat()], run('heavy')), 'later')
  assert.equal(place([seat()], run('heavy')), 'later')
  const alone = seat()
  const amongOthers = seat({ runs: 2, runsOfOthers: () => 2 })
  assert.equal(place([amongOthers, alone], run('heavy')), alone)
})

test('a worker whose waiting runs fill it takes no more', () => {
  assert.equal(place([seat({ runs: sharing.runs_per_worker })], run('quick')), 'later')
  assert.equal(place([seat({ runs: 1, held_mb: sharing.held_mb_per_worker + 1 })], run('quick')), 'later')
})

test('a tenant that is not known for short runs takes no more workers than the pool has', () => {
  const own = computing({ tenant: 'a', pace: 'usual' })
  assert.equal(place([own, own, seat()], run('usual')), 'enough')
  const idle = seat()
  assert.equal(place([own, idle], run('usual')), idle)
})

test('it is crowded when long runs leave one worker at most', () => {
  const long = computing({ computing_ms: sharing.crowded_ms + 1 })
  assert.equal(isCrowded([long, long]), true)
  assert.equal(isCrowded([long, seat()]), true)
  assert.equal(isCrowded([long, seat(), computing()]), false)
})
