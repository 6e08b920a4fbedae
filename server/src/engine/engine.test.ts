import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { type Clock, newId, type Platform } from '../context.ts'
import { type Database, type Db, sql } from '../db/db.ts'
import { openTestDatabase } from '../db/testing.ts'
import { claimAtOnce } from './claims.ts'
import { defineRun, type Engine, type Outcome, openEngine } from './engine.ts'
import type { Delivery } from './queue.ts'

const log = pino({ level: 'silent' })
let ahead_ms = 0
const clock: Clock = { now: () => new Date(Date.now() + ahead_ms) }
let database: Database
let engine: Engine

before(async () => {
  database = await openTestDatabase()
  engine = await openEngine({ database, log, clock })
  // Runs of these tests use nothing else of the platform.
  await engine.work({ database, log, clock, engine } as Platform)
})
after(async () => {
  await engine.stop(1000)
  await database.close()
})

/** Waits for what will come; the test's own time limit ends it otherwise. */
async function until(holds: () => unknown): Promise<void> {
  while (!(await holds())) await sleep(5)
}

const calls: Record<string, unknown[]> = {}
const called = (name: string) => {
  calls[name] ??= []
  return calls[name]
}

const note = defineRun({
  name: 'test.note',
  work: async (_ctx, input: { to: string }) => void called('note').push(input.to),
})

test('a run starts when its transaction commits, and not when it rolls back', async () => {
  const refused = database.platform.tx(async (db) => {
    await engine.start({ db }, note, { to: 'nobody' })
    throw new Error('no')
  })
  await assert.rejects(refused, /no/)
  await database.platform.tx((db) => engine.start({ db }, note, { to: 'alice' }))
  await engine.start({ db: database.platform }, note, { to: 'bob' })

  await until(() => called('note').length === 2)
  assert.deepEqual([...called('note')].sort(), ['alice', 'bob'])
})

const twiceInVain = defineRun({
  name: 'test.twice-in-vain',
  retry: { backoff_seconds: 0 },
  async work(ctx) {
    called('vain').push(ctx.claim.failures)
    if (ctx.claim.failures < 2) throw new Error('not yet')
  },
})
const alwaysInVain = defineRun({
  name: 'test.always-in-vain',
  retry: { max_attempts: 3, backoff_seconds: 0 },
  async work(ctx) {
    called('always').push(ctx.claim.failures)
    throw new Error('never')
  },
})

test('a run that fails comes back, until it has failed too often', async () => {
  await engine.start({ db: database.platform }, twiceInVain, {})
  await engine.start({ db: database.platform }, alwaysInVain, {})

  await until(() => called('vain').length === 3 && called('always').length === 3)
  await until(async () => (await claimed()) === 0)
  assert.deepEqual(called('vain'), [0, 1, 2])
  assert.deepEqual(called('always'), [0, 1, 2])
  const failed = await database.platform.many<{ data: { run: string } }>(
    sql`select data from pgboss.job where state = 'failed'`,
  )
  assert.deepEqual(
    failed.map(({ data }) => data.run),
    ['test.always-in-vain'],
  )
})

const neverGivenUp = defineRun({
  name: 'test.never-given-up',
  retry: { max_attempts: 2, is_endless: true },
  async work(ctx) {
    called('endless').push(ctx.claim.failures)
    if (called('endless').length < 9) throw new Error('the database is away')
  },
})

test('an endless run comes back however often it throws, each time later, and no time counts as a crash', async () => {
  await engine.start({ db: database.platform }, neverGivenUp, {})
  for (let thrown = 1; thrown < 9; thrown += 1) {
    await until(async () => called('endless').length === thrown && (await claimed()) === 0)
    const { due_at } = await database.platform.one<{ due_at: string }>(
      sql`select due_at from engine_timers where job -> 'message' ->> 'run' = 'test.never-given-up'`,
    )
    const pause = (Date.parse(due_at) - clock.now().getTime()) / 1000
    assert.ok(pause <= Math.min(2 ** (thrown - 1), 60))
    ahead_ms += Math.max(0, pause) * 1000 + 1
  }
  await until(async () => called('endless').length === 9 && (await claimed()) === 0)
  assert.deepEqual(new Set(called('endless')), new Set([0]))
})

const hangs = defineRun({
  name: 'test.hangs',
  timeout_seconds: 0.05,
  retry: { max_attempts: 1 },
  work: (ctx) => new Promise<void>(() => ctx.signal.addEventListener('abort', () => called('hangs').push('aborted'))),
})

test('a run that takes too long is ended and has failed', async () => {
  await engine.start({ db: database.platform }, hangs, {})
  await until(async () => called('hangs').length === 1 && (await claimed()) === 0)
})

test('a run can be started for later, by a clock that can be set', async () => {
  const at = new Date(clock.now().getTime() + 30 * 86_400_000).toISOString()
  await engine.start({ db: database.platform }, note, { to: 'in a month' }, { at })
  await sleep(600)
  assert.ok(!called('note').includes('in a month'))

  ahead_ms += 31 * 86_400_000
  await until(() => called('note').includes('in a month'))
})

const rests = defineRun({
  name: 'test.rests',
  lane: 'executions',
  async work(ctx, input: { rounds: number }) {
    called(ctx.claim.run_id).push(ctx.claim.token)
    if (called(ctx.claim.run_id).length < input.rounds) {
      return { rest_until: new Date(clock.now().getTime() + 86_400_000).toISOString() }
    }
  },
})

test('a run rests until its time, or until it is poked, and has a new token each time', async () => {
  const id = newId()
  await engine.start({ db: database.platform }, rests, { rounds: 3 }, { id })
  await until(async () => called(id).length === 1 && (await timers()) === 1)

  ahead_ms += 2 * 86_400_000
  await until(async () => called(id).length === 2 && (await timers()) === 1)
  await engine.poke({ db: database.platform }, rests, { rounds: 3 }, id)
  await until(async () => called(id).length === 3 && (await claimed()) === 0)

  assert.equal(await timers(), 0)
  assert.equal(new Set(called(id)).size, 3)
})

const listens = defineRun({
  name: 'test.listens',
  lane: 'executions',
  work: (ctx, input: { looks: number }) =>
    new Promise<void>((resolve) => {
      called(ctx.claim.run_id).push('look')
      if (called(ctx.claim.run_id).length >= input.looks) return resolve()
      ctx.claim.onNews(resolve)
    }),
})

test('a poke while a run is at work is not lost: the run looks again before it ends', async () => {
  const id = newId()
  await engine.start({ db: database.platform }, listens, { looks: 2 }, { id })
  await until(() => called(id).length === 1)
  await engine.poke({ db: database.platform }, listens, { looks: 2 }, id)
  await until(async () => (await claimed()) === 0)
  assert.deepEqual(called(id), ['look', 'look'])
})

const alone = { now: 0, most: 0, calls: 0 }
const isAlone = defineRun({
  name: 'test.is-alone',
  async work() {
    alone.calls += 1
    alone.now += 1
    alone.most = Math.max(alone.most, alone.now)
    await sleep(20)
    alone.now -= 1
  },
})

test('the same run started many times at once is run by one caller at a time', async () => {
  const id = newId()
  for (let i = 0; i < 5; i++) {
    await Promise.all([1, 2, 3].map(() => engine.start({ db: database.platform }, isAlone, {}, { id })))
    await sleep(7)
  }
  await until(async () => alone.calls > 0 && (await claimed()) === 0 && (await waiting()) === 0)
  assert.equal(alone.most, 1)
})

test('a run that nobody has can be held for a transaction; one that somebody has cannot', async () => {
  const id = newId()
  assert.equal(await database.platform.tx((db) => engine.takeForNow(db, id)), true)
  assert.equal(await claimed(), 0)

  await engine.start({ db: database.platform }, listens, { looks: 2 }, { id })
  await until(() => called(id).length === 1)
  assert.equal(await database.platform.tx((db) => engine.takeForNow(db, id)), false)
  await until(async () => (await claimed()) === 0)
})

test('a claim that nobody attends to goes back into the queue', async () => {
  const id = newId()
  await engine.start({ db: database.platform }, note, { to: 'carol' }, { id })
  await until(async () => called('note').includes('carol') && (await claimed()) === 0)
  // As a commit leaves it whose answer was lost: the job is taken, the run is claimed, and nobody knows of it.
  await database.platform.tx(async (db) => {
    await engine.start({ db }, note, { to: 'dave' }, { id })
    await db.run(sql`update pgboss.job set state = 'active', started_on = now() where data ->> 'run_id' = ${id}`)
    await db.run(sql`
      insert into engine_claims (run_id, replica_id, token, lane, job_id)
      select ${id}, r.id, nextval('engine_tokens'), 'runs', j.id
      from engine_replicas r, pgboss.job j where j.data ->> 'run_id' = ${id}`)
  })
  await until(() => called('note').includes('dave'))
})

const atOnce = defineRun({
  name: 'test.at-once',
  lane: 'executions',
  async work(ctx, input: { to: string }) {
    called('at once').push([input.to, ctx.claim.failures, ctx.claim.job.id !== undefined])
    await until(() => ctx.signal.aborted || called('at once may end').length > 0)
  },
})

test('what there is a place for begins with the commit and is never queued, and the claim keeps its job', async () => {
  // A process that shares its database looks first whether all others know how.
  await sleep(600)
  await until(async () => (await claimed()) + (await waiting()) === 0)
  const id = newId()
  for (let round = 0; round < 5; round++) {
    const refused = database.platform.tx(async (db) => {
      for (let i = 0; i < 20; i++) await engine.start({ db }, atOnce, { to: 'nobody' })
      throw new Error('no')
    })
    await assert.rejects(refused, /no/)
  }
  await database.platform.tx((db) => engine.start({ db }, atOnce, { to: 'erin' }, { id, is_fresh: true }))
  await until(() => called('at once').length === 1)

  assert.deepEqual(called('at once'), [['erin', 0, false]])
  assert.equal(await waiting(), 0)
  const { job } = await database.platform.one<{ job: { message: object } }>(
    sql`select job from engine_claims where run_id = ${id}`,
  )
  assert.deepEqual(job.message, { run: 'test.at-once', run_id: id, input: { to: 'erin' } })
  called('at once may end').push(true)
  await until(async () => (await claimed()) === 0)
})

test('what was claimed at once and is attended to by nobody goes into the queue, which counts as a failure', async () => {
  const run_id = newId()
  const message = { run: 'test.at-once', run_id, input: { to: 'frank' } }
  const job: Delivery = { lane: 'executions', message, retry: atOnce.retry }
  // As a commit leaves it whose answer was lost.
  const { id } = await database.platform.one<{ id: string }>(sql`select id from engine_replicas`)
  assert.ok(await database.platform.gather(claimAtOnce, { replica_id: id, job }))

  await until(() => called('at once').length === 2)
  assert.deepEqual(called('at once')[1], ['frank', 1, true])
  await until(async () => (await claimed()) === 0 && (await waiting()) === 0)
})

const wakes = defineRun({ name: 'test.wakes', lane: 'executions', work: async () => {} })

test('transactions that wake the same runs in another order never wait for each other', async (t) => {
  if (database.mode === 'embedded') return t.skip('its transactions come one after the other')
  const [first, second] = [newId(), newId()]
  const halfway = [gate(), gate()]
  const waking = (i: number, ids: string[]) =>
    database.platform.tx(async (db) => {
      for (const id of ids) {
        await engine.start({ db }, wakes, {}, { id })
        halfway[i]?.open()
        await halfway[1 - i]?.opened
      }
    })

  await Promise.all([waking(0, [first, second]), waking(1, [second, first])])

  await until(async () => (await claimed()) === 0 && (await waiting()) === 0)
})

const counts = defineRun({
  name: 'test.counts',
  lane: 'executions',
  work: async (ctx) => void called('counts').push(ctx.claim.failures),
})

test('what was claimed before a process was given up does not begin there when it is committed after', async (t) => {
  if (database.mode === 'embedded') return t.skip('nobody gives up the only process')
  // It has looked by now whether all others know how.
  await sleep(600)
  const { id } = await database.platform.one<{ id: string }>(sql`select id from engine_replicas`)
  await database.platform.tx(async (db) => {
    await engine.start({ db }, counts, {}, { id: newId(), is_fresh: true })
    // As the others do with whoever was silent for too long. It learns of it and begins anew.
    await database.platform.run(sql`update engine_replicas set seen_at = '-infinity'`)
    await until(async () => (await replicas()).some((one) => one.id !== id))
  })
  await until(async () => called('counts').length > 0 && (await claimed()) === 0)
  await until(async () => (await replicas()).length === 1)

  assert.deepEqual(called('counts'), [1])
  assert.ok(!(await replicas()).some((one) => one.id === id))
})

test('a claim of which not even the process is known any longer goes back into the queue', async () => {
  const run_id = newId()
  const message = { run: 'test.counts', run_id, input: {} }
  await database.platform.run(sql`
    insert into engine_claims (run_id, replica_id, token, lane, job_id, job)
    values (${run_id}, ${newId()}, nextval('engine_tokens'), 'executions', ${run_id},
      ${JSON.stringify({ lane: 'executions', message, retry: counts.retry })}::jsonb)`)
  const before = called('counts').length

  await until(() => called('counts').length > before)
  assert.deepEqual(called('counts').slice(before), [1])
  await until(async () => (await claimed()) === 0)
})

test('a process that stands still in the middle of a claim is given up all the same', async (t) => {
  if (database.mode === 'embedded') return t.skip('nobody gives up the only process')
  const [replica_id, run_id] = [newId(), newId()]
  const message = { run: 'test.counts', run_id, input: {} }
  await database.platform.run(sql`
    insert into engine_replicas (id, knows_jobs, seen_at) values (${replica_id}, true, now() - interval '1 minute')`)
  const before = called('counts').length
  await database.platform.tx(async (db) => {
    const job: Delivery = { lane: 'executions', message, retry: counts.retry }
    await database.platform.tx((other) => other.gather(claimAtOnce, { replica_id, job }))
    await db.one(sql`select id from engine_replicas where id = ${replica_id} for key share`)
    await until(() => called('counts').length > before)
    assert.equal((await replicas()).length, 2)
  })

  assert.deepEqual(called('counts').slice(before), [1])
  await until(async () => (await replicas()).length === 1 && (await claimed()) === 0)
})

const replicas = () => database.platform.many<{ id: string }>(sql`select id from engine_replicas`)

function gate(): { open(): void; opened: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { open: resolve, opened: promise }
}

test('what is started in a part of a transaction that is undone does not begin, and the rest does', async () => {
  const begun = called('parts')
  for (let round = 0; round < 5; round++) {
    await database.platform.tx(async (db) => {
      const undone = db.tx(async (part) => {
        for (let i = 0; i < 20; i++) await engine.start({ db: part }, parts, { of: 'undone' })
        throw new Error('no')
      })
      await assert.rejects(undone, /no/)
      await db.tx((part) => engine.start({ db: part }, parts, { of: `kept ${round}` }))
    })
  }
  await until(async () => begun.length >= 5 && (await claimed()) + (await waiting()) === 0)

  assert.deepEqual([...begun].sort(), ['kept 0', 'kept 1', 'kept 2', 'kept 3', 'kept 4'])
})

const parts = defineRun({
  name: 'test.parts',
  lane: 'executions',
  work: async (_ctx, input: { of: string }) => void called('parts').push(input.of),
})

const heeds = defineRun({
  name: 'test.heeds',
  lane: 'executions',
  async work(ctx): Promise<Outcome> {
    called('heeds').push(ctx.claim.failures)
    return ctx.claim.stopping.aborted ? { hand_over: true } : undefined
  },
})

test('an engine that stops waits for what is claimed in open transactions, and hands it over', async () => {
  const other = await openTestDatabase()
  const first = await openEngine({ database: other, log, clock })
  await first.work({ database: other, log, clock, engine: first } as Platform)
  const claimedIn = async (db: Db) =>
    (await db.one<{ count: number }>(sql`select count(*)::int as count from engine_claims`)).count
  let stopped: Promise<void> | undefined
  const startAndStop = async (db: Db) => {
    await first.start({ db }, heeds, {})
    if ((await claimedIn(db)) === 0) throw new Error('the engine is busy beginning, so it was queued')
    stopped = first.stop(10_000)
    await sleep(100)
  }
  while (!stopped) await other.platform.tx(startAndStop).catch(() => sleep(50))
  await stopped
  assert.equal(await claimedIn(other.platform), 0)

  const second = await openEngine({ database: other, log, clock })
  await second.work({ database: other, log, clock, engine: second } as Platform)
  await until(() => called('heeds').length === 2)
  assert.deepEqual(called('heeds'), [0, 0])
  await second.stop(1000)
  await other.close()
})

test('work that is begun comes to a stop, or is handed over: a stopped engine leaves nothing claimed', async () => {
  const other = await openTestDatabase()
  const seen: string[] = []
  const stops = defineRun({
    name: 'test.stops',
    retry: { backoff_seconds: 0 },
    lane: 'executions',
    work: (ctx, input: { heeds: boolean }) =>
      new Promise<{ hand_over: true }>((resolve) => {
        seen.push(`begun ${input.heeds}`)
        if (input.heeds) ctx.claim.stopping.addEventListener('abort', () => resolve({ hand_over: true }))
      }),
  })
  const first = await openEngine({ database: other, log, clock })
  await first.work({ database: other, log, clock, engine: first } as Platform)
  await first.start({ db: other.platform }, stops, { heeds: true })
  await first.start({ db: other.platform }, stops, { heeds: false })
  await until(() => seen.length === 2)
  await first.stop(200)
  const { left } = await other.platform.one<{ left: number }>(sql`select count(*)::int as left from engine_claims`)
  assert.equal(left, 0)

  const second = await openEngine({ database: other, log, clock })
  await second.work({ database: other, log, clock, engine: second } as Platform)
  await until(() => seen.length === 4)
  await second.stop(50)
  await other.close()
})

const claimed = async () =>
  (await database.platform.one<{ count: number }>(sql`select count(*)::int as count from engine_claims`)).count
const timers = async () =>
  (await database.platform.one<{ count: number }>(sql`select count(*)::int as count from engine_timers`)).count
const waiting = async () =>
  (
    await database.platform.one<{ count: number }>(
      sql`select count(*)::int as count from pgboss.job where state < 'completed'`,
    )
  ).count

const crowd = defineRun({
  name: 'test.crowd',
  lane: 'executions',
  async work(_ctx, input: { of: string; until: string }) {
    called('crowd').push(input.of)
    await until(() => called(input.until).length > 0)
    called('over').push(input.of)
  },
})

test('a workspace with hundreds of runs in line leaves places for those of others', async () => {
  const [many, one, third] = [newId(), newId(), newId()]
  const start = (workspace_id: string, input: { of: string; until: string }) =>
    engine.start({ db: database.platform, organization_id: newId(), workspace_id }, crowd, input)
  called('now').push(1)
  await database.platform.tx(async (db) => {
    for (let i = 0; i < 300; i++) {
      await engine.start({ db, organization_id: newId(), workspace_id: many }, crowd, { of: 'many', until: 'free' })
    }
  })
  await until(() => called('crowd').length >= 80)

  await start(one, { of: 'one', until: 'now' })
  await until(() => called('over').includes('one'))
  await start(third, { of: 'third', until: 'now' })
  await until(() => called('over').includes('third'))

  assert.equal(called('over').includes('many'), false)
  const atWork = called('crowd').filter((of) => of === 'many').length
  assert.ok(atWork < 100, String(atWork))
  called('free').push(1)
  await until(() => called('over').length === 302)
})
