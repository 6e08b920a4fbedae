/** What clean state for every call costs in Python: a small function with JSON in and out, and one that computes, in the
 *  sandbox and in the machine's own CPython, where there is one; the start of the first worker and its memory. */

import { spawnSync } from 'node:child_process'
import { type Job, openSandbox } from '../server/src/sandbox/sandbox.ts'
import { type Rate, rateOf, residentMb, table } from './measure.ts'

const SMALL = 'def main(a, b):\n    return {"sum": a + b, "text": f"{a} and {b}"}'
const ASYNC = 'import asyncio\nasync def main(a, b):\n    await asyncio.sleep(0)\n    return {"sum": a + b}'
const IMPORTS = 'import decimal, email.message, statistics, xml.etree.ElementTree\ndef main(a, b):\n    return a + b'
const FIB = 'def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\ndef main(a, b):\n    return fib(22)'

const sandbox = await openSandbox({ workers: 2 })
const job = (code: string, tenant = 'bench'): Job => ({
  language: 'python',
  code,
  entry_point: 'main',
  input: { a: 1, b: 2 },
  tenant,
  timeout_ms: 10_000,
  memory_mb: 64,
})

async function succeed(one: Job): Promise<void> {
  const verdict = await sandbox.run(one)
  if (verdict.status === 'error') throw new Error(JSON.stringify(verdict.error))
}

const began = performance.now()
await succeed(job(SMALL))
const firstAnswer_ms = performance.now() - began
const [worker] = sandbox.stats().workers
const idle_mb = await residentMb(worker?.pid ?? 0)

/** The same function in a loop, in the machine's own CPython, with the JSON around it. */
function plain(code: string): Rate | undefined {
  const loop = `
import json, sys, time
exec(sys.argv[1])
took, end = [], time.perf_counter() + 2
while time.perf_counter() < end:
    start = time.perf_counter()
    json.dumps(main(**json.loads('{"a": 1, "b": 2}')))
    took.append((time.perf_counter() - start) * 1000)
took.sort()
print(json.dumps({'per_second': len(took) / 2, 'p50_ms': took[len(took) // 2], 'p99_ms': took[len(took) * 99 // 100]}))`
  const { status, stdout } = spawnSync('python3', ['-I', '-c', loop, code], { encoding: 'utf8' })
  return status === 0 ? (JSON.parse(stdout) as Rate) : undefined
}

const rows: (string | number)[][] = []
const add = (name: string, { per_second, p50_ms, p99_ms }: Rate, against: Rate | undefined) => {
  const ratio = against ? `1/${(against.per_second / per_second).toPrecision(3)} of the rate` : ''
  rows.push([name, per_second, p50_ms, p99_ms, ratio])
}

const plainSmall = plain(SMALL)
if (plainSmall) add('small, plain CPython', plainSmall, undefined)
const one = await rateOf(() => succeed(job(SMALL)))
add('small, one at a time', one, plainSmall)
add('small, 8 at a time, 2 workers', await rateOf(() => succeed(job(SMALL)), 8), plainSmall)
add('small, a new source each time', await rateOf((i) => succeed(job(`${SMALL}\n# ${i}`))), one)
add('async', await rateOf(() => succeed(job(ASYNC))), one)
add('four modules imported', await rateOf(() => succeed(job(IMPORTS))), one)
const plainFib = plain(FIB)
if (plainFib) add('fib(22), plain CPython', plainFib, undefined)
add('fib(22)', await rateOf(() => succeed(job(FIB, 'computing'))), plainFib)
await sandbox.close()

table(['a call', 'per second', 'p50 ms', 'p99 ms', 'against the first of its kind'], rows)
table(
  ['a worker', ''],
  [
    ['isolation', sandbox.isolation.level],
    ['first answer, with the worker started for it, ms', firstAnswer_ms],
    ['resident after it, MB', idle_mb ?? 'unknown'],
  ],
)
