/** What clean state for every call costs: a small function with JSON in and out, and one that computes, in the sandbox
 *  and in plain Node; a worker's start and memory; and what a victim feels of eight attackers. */

import { readFile } from 'node:fs/promises'
import { openSandbox } from '../server/src/sandbox/sandbox.ts'
import { rateOf, residentMb, table } from './measure.ts'
import { FOREVER, job, ofOneWorker, SMALL, succeed } from './parts/worker.ts'

const FIB = 'const fib = (n) => (n < 2 ? n : fib(n - 1) + fib(n - 2))\nexport const main = ({ n }) => fib(n)'

const small = ({ a, b }: { a: number; b: number }) => ({ sum: a + b, text: `${a} and ${b}` })
const fib = (n: number): number => (n < 2 ? n : fib(n - 1) + fib(n - 2))

const began = performance.now()
const sandbox = await openSandbox({ workers: 2 })
await succeed(sandbox, job(SMALL, { a: 0, b: 0 }))
const firstAnswer_ms = performance.now() - began
const booted = sandbox.stats().workers
const pid = booted[0]?.pid ?? 0
const idle_mb = await residentMb(pid)
const own_mb = await proportionalMb(pid)

/** What it would give back if it ended: pages shared with others counted by their share. */
async function proportionalMb(of: number): Promise<number | undefined> {
  const rollup = await readFile(`/proc/${of}/smaps_rollup`, 'utf8').catch(() => '')
  const kb = /^Pss:\s+(\d+)/m.exec(rollup)?.[1]
  return kb === undefined ? undefined : Number(kb) / 1024
}

const plain = await rateOf(async (i) => JSON.stringify(small(JSON.parse(JSON.stringify({ a: i, b: 2 })))), 1, 1)
const one = await rateOf((i) => succeed(sandbox, job(SMALL, { a: i, b: 2 })))
const sixteen = await rateOf((i) => succeed(sandbox, job(SMALL, { a: i, b: 2 })), 16)
const fresh = await rateOf((i) => succeed(sandbox, job(`${SMALL}\n// ${i}`, { a: i, b: 2 })), 1, 1)
const typed = await rateOf(
  (i) => succeed(sandbox, job(`${SMALL}\n// ${i}`, { a: i, b: 2 }, { language: 'typescript' })),
  1,
  1,
)
const piped = await ofOneWorker(job(SMALL, undefined), JSON.stringify({ a: 1, b: 2 }), 8)
const plainFib = await rateOf(async () => fib(22), 1, 1)
const sandboxFib = await rateOf(() => succeed(sandbox, job(FIB, { n: 22 }, { tenant: 'computing' })), 1, 2)

const over = new AbortController()
const attack = async () => {
  while (!over.signal.aborted) {
    await sandbox.run(job(FOREVER, {}, { tenant: 'attacker', timeout_ms: 1000, signal: over.signal }))
  }
}
const attacks = Array.from({ length: 8 }, attack)
await new Promise((resolve) => setTimeout(resolve, 300))
const attacked = await rateOf((i) => succeed(sandbox, job(SMALL, { a: i, b: 2 })))
over.abort()
await Promise.all(attacks)
await sandbox.close()

table(
  ['a call', 'per second', 'p50 ms', 'p99 ms', 'against the first of its kind'],
  [
    ['small, plain Node', plain.per_second, plain.p50_ms, plain.p99_ms, ''],
    ['small, one at a time', one.per_second, one.p50_ms, one.p99_ms, against(plain, one)],
    ['small, 16 at a time, 2 workers', sixteen.per_second, sixteen.p50_ms, sixteen.p99_ms, against(plain, sixteen)],
    ['small, 8 in the pipe of 1 worker', piped.per_second, piped.p50_ms, piped.p99_ms, against(plain, piped)],
    ['small, a new source each time', fresh.per_second, fresh.p50_ms, fresh.p99_ms, against(one, fresh)],
    ['small, a new TypeScript each time', typed.per_second, typed.p50_ms, typed.p99_ms, against(one, typed)],
    ['small, beside 8 attackers', attacked.per_second, attacked.p50_ms, attacked.p99_ms, against(one, attacked)],
    ['fib(22), plain Node', plainFib.per_second, plainFib.p50_ms, plainFib.p99_ms, ''],
    ['fib(22)', sandboxFib.per_second, sandboxFib.p50_ms, sandboxFib.p99_ms, against(plainFib, sandboxFib)],
  ],
)
table(
  ['a worker', ''],
  [
    ['isolation', `${sandbox.isolation.level}: ${sandbox.isolation.layers.join(', ')}`],
    ['first answer after opening, ms', firstAnswer_ms],
    ['start, ms', Math.max(...booted.map(({ boot_ms }) => boot_ms ?? 0))],
    ['resident when idle, MB', idle_mb ?? 'unknown'],
    ['of it its own share, MB', own_mb ?? 'unknown'],
  ],
)

function against(peer: { per_second: number }, own: { per_second: number }): string {
  return `1/${(peer.per_second / own.per_second).toPrecision(3)} of the rate`
}
