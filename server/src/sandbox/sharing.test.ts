import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openSandbox, SandboxUnavailable } from './sandbox.ts'
import { faultOf, job, outputOf } from './testing.ts'

const sandbox = await openSandbox({ workers: 2 })
after(() => sandbox.close())

async function until(isSo: () => boolean) {
  while (!isSo()) await sleep(2)
}

const LOOP = 'export const main = () => { for (;;) {} }'
const ADD = 'export const main = ({ x }) => x + 1'
const ASK = 'export const main = ({ x }) => flow.call("ask", x)'

test('others go on while one tenant attacks', async () => {
  const over = new AbortController()
  const attacks = Array.from({ length: 8 }, () =>
    faultOf(sandbox, LOOP, {}, { tenant: 'mallory', timeout_ms: 60_000, signal: over.signal }),
  )
  for (let x = 0; x < 30; x++) assert.equal(await outputOf(sandbox, ADD, { x }, { tenant: 'alice' }), x + 1)
  over.abort()
  for (const { code } of await Promise.all(attacks)) assert.equal(code, 'cancelled')
})

test('others go on while more tenants attack at once than there are workers', async () => {
  const over = new AbortController()
  const attacks = ['trudy', 'eve', 'oscar'].map((tenant) =>
    faultOf(sandbox, LOOP, {}, { tenant, timeout_ms: 60_000, signal: over.signal }),
  )
  await until(() => sandbox.stats().running === 2)
  assert.equal(await outputOf(sandbox, ADD, { x: 1 }, { tenant: 'alice' }), 2)
  over.abort()
  assert.deepEqual(
    (await Promise.all(attacks)).map(({ code }) => code),
    Array(3).fill('cancelled'),
  )
})

test('a run is cancelled while it waits for its turn, for the host, or computes', async () => {
  const { lost } = sandbox.stats()

  const computing = new AbortController()
  const loop = faultOf(sandbox, LOOP, {}, { signal: computing.signal, timeout_ms: 60_000 })
  const asking = new AbortController()
  const asked = Promise.withResolvers<void>()
  const host = async () => {
    asked.resolve()
    return new Promise(() => {})
  }
  const ask = faultOf(sandbox, ASK, {}, { signal: asking.signal, host, tenant: 'bob' })
  await asked.promise
  await sleep(100)
  const queued = new AbortController()
  const waits = Array.from({ length: 6 }, () =>
    faultOf(sandbox, LOOP, {}, { signal: queued.signal, timeout_ms: 60_000 }),
  )
  assert.ok(sandbox.stats().queued > 0)

  for (const controller of [queued, asking, computing]) controller.abort()
  for (const fault of await Promise.all([...waits, ask, loop])) assert.equal(fault.code, 'cancelled')
  assert.equal(await outputOf(sandbox, ADD, { x: 1 }), 2)
  await until(() => sandbox.stats().running === 0)
  assert.equal(sandbox.stats().lost, lost, 'no process had to end for it')
})

test('a run that was cancelled before it began does nothing', async () => {
  assert.equal((await faultOf(sandbox, ADD, { x: 1 }, { signal: AbortSignal.abort() })).code, 'cancelled')
})

test('an answer that comes too late is dropped', async () => {
  const host = async () => sleep(300, 'late')
  assert.equal((await faultOf(sandbox, ASK, {}, { host, timeout_ms: 100 })).code, 'timeout')
  await sleep(300)
  assert.equal(await outputOf(sandbox, ADD, { x: 1 }), 2)
})

test('runs that wait for the host leave the workers to others', async () => {
  const waiting: ((value: number) => void)[] = []
  const host = () => new Promise<number>((resolve) => waiting.push(resolve))
  const asks = Array.from({ length: 20 }, (_, x) => outputOf(sandbox, ASK, { x }, { host, timeout_ms: 20_000 }))
  await until(() => waiting.length === 20)
  assert.equal(await outputOf(sandbox, ADD, { x: 1 }, { tenant: 'bob' }), 2)

  for (const [x, resolve] of waiting.entries()) resolve(x)
  assert.equal(new Set(await Promise.all(asks)).size, 20)
})

test('a worker that is killed takes no run with it that had no effect yet', async () => {
  const slow = 'export const main = ({ x }) => { const until = Date.now() + 20; while (Date.now() < until); return x }'
  const runs = Array.from({ length: 60 }, (_, x) => outputOf(sandbox, slow, { x }, { timeout_ms: 10_000 }))
  const killed = new Set<number>()
  const { lost } = sandbox.stats()
  for (let round = 0; round < 2; round++) {
    await until(() => sandbox.stats().workers.some(({ pid, runs }) => runs > 0 && !killed.has(pid ?? 0)))
    const victim = sandbox.stats().workers.find(({ pid, runs }) => runs > 0 && !killed.has(pid ?? 0))
    killed.add(victim?.pid ?? 0)
    process.kill(victim?.pid ?? 0, 'SIGKILL')
    await sleep(50)
  }
  assert.deepEqual(
    await Promise.all(runs),
    Array.from({ length: 60 }, (_, x) => x),
  )
  assert.ok(sandbox.stats().lost > lost)
})

test('a run that had called the host is not begun again when its worker is lost', async () => {
  let calls = 0
  const host = async () => {
    calls++
    for (const { pid } of sandbox.stats().workers) process.kill(pid ?? 0, 'SIGKILL')
    return 1
  }
  const fault = await faultOf(sandbox, ASK, {}, { host })
  assert.equal(fault.code, 'crashed')
  assert.match(fault.message, /has happened all the same/)
  assert.equal(calls, 1)
  assert.equal(await outputOf(sandbox, ADD, { x: 1 }), 2)
})

test('a full queue refuses at once, and only those who fill it', async () => {
  const runs = Array.from({ length: 1100 }, (_, x) => sandbox.run(job(ADD, { x }, { tenant: 'many' })))
  const refused = (await Promise.allSettled(runs)).filter(({ status }) => status === 'rejected')
  assert.ok(refused.length > 0 && refused.length <= 100, String(refused.length))
  for (const { reason } of refused as PromiseRejectedResult[]) {
    assert.ok(reason instanceof SandboxUnavailable)
    assert.equal(reason.code, 'SANDBOX_FULL')
  }
  assert.equal(await outputOf(sandbox, ADD, { x: 1 }, { tenant: 'few' }), 2)
})

test('one who has a thousand runs in line does not keep another waiting beyond their turn', async () => {
  const ended: string[] = []
  const note = (tenant: string, work: Promise<unknown>) => work.then(() => ended.push(tenant))
  const code = 'export const main = ({ x }) => { let sum = 0; for (let i = 0; i < 2e4; i++) sum += i; return x }'
  const crowd = Array.from({ length: 1000 }, (_, x) =>
    note('crowd', outputOf(sandbox, code, { x }, { tenant: 'crowd', timeout_ms: 60_000 })),
  )
  await until(() => ended.length >= 10)
  const before = ended.length
  await note('one', outputOf(sandbox, code, { x: 1 }, { tenant: 'one' }))
  const passed = ended.slice(before).filter((tenant) => tenant === 'crowd').length
  await Promise.all(crowd)

  // Those that stood in the workers already, and what each of these hands over meanwhile.
  assert.ok(passed <= 100, `${passed} went before`)
  assert.equal(ended.length, 1001)
})

test('no more runs of one tenant are at work at a time than it may have', async () => {
  const narrow = await openSandbox({ workers: 2, runs_per_tenant: 4 })
  let atWork = 0
  let most = 0
  const host = async () => {
    most = Math.max(most, ++atWork)
    await sleep(20)
    atWork--
  }
  await Promise.all(Array.from({ length: 20 }, (_, x) => outputOf(narrow, ASK, { x }, { host, timeout_ms: 20_000 })))
  await narrow.close()
  // Three of the four; the last one is kept for what other code waits for.
  assert.equal(most, 3)
})

test('what other code waits for goes on, however many wait', async () => {
  const narrow = await openSandbox({ workers: 2, runs_per_tenant: 4 })
  const host = () => outputOf(narrow, ADD, { x: 1 }, { depth: 1, timeout_ms: 20_000 })
  const outputs = Array.from({ length: 12 }, () => outputOf(narrow, ASK, {}, { host, timeout_ms: 20_000 }))
  assert.deepEqual(await Promise.all(outputs), Array(12).fill(2))
  await narrow.close()
})

test('of one kind only so many are at work at a time, and the others keep nobody waiting', async () => {
  const waiting: (() => void)[] = []
  let most = 0
  const host = () =>
    new Promise<void>((resolve) => {
      waiting.push(resolve)
      most = Math.max(most, waiting.length)
    })
  const group = { key: 'block', runs_max: 2 }
  const gone = new AbortController()
  const runs = Array.from({ length: 6 }, (_, x) => outputOf(sandbox, ASK, { x }, { host, group, timeout_ms: 20_000 }))
  const cancelled = faultOf(sandbox, ASK, {}, { host, group, signal: gone.signal })
  await until(() => waiting.length === 2)
  assert.equal(await outputOf(sandbox, ADD, { x: 1 }), 2)
  gone.abort()
  assert.equal((await cancelled).code, 'cancelled')
  for (let ended = 0; ended < 6; ended++) {
    await until(() => waiting.length > 0)
    waiting.shift()?.()
  }
  await Promise.all(runs)
  assert.equal(most, 2)
})

test('a tenant whose source breaks the stripper of types hurts only that run', async () => {
  const deep = `export const main = () => ${'('.repeat(20_000)}1${')'.repeat(20_000)}`
  const typed = 'export const main = ({ x }: { x: number }) => x + 1'
  const runs = Array.from({ length: 40 }, (_, x) =>
    x % 8 === 3
      ? faultOf(sandbox, deep, {}, { language: 'typescript', tenant: 'mallory' }).then(({ code }) => code)
      : outputOf(sandbox, `${typed}\n// ${x}`, { x }, { language: 'typescript', timeout_ms: 20_000 }),
  )
  const results = await Promise.all(runs)
  for (const [x, result] of results.entries()) assert.equal(result, x % 8 === 3 ? 'syntax' : x + 1)
})

test('closing ends what runs and what waits, and every process', async () => {
  const closing = await openSandbox({ workers: 2 })

  await outputOf(closing, ADD, { x: 0 })
  const runs = Array.from({ length: 5 }, () => faultOf(closing, LOOP, {}, { timeout_ms: 60_000 }))
  const pids = closing.stats().workers.map(({ pid }) => pid ?? 0)
  await closing.close()

  assert.deepEqual(
    (await Promise.all(runs)).map(({ code }) => code),
    Array(5).fill('cancelled'),
  )
  for (const pid of pids) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
  await assert.rejects(closing.run(job(ADD)), { code: 'SANDBOX_CLOSED' })
})
