/** How long a start takes until the first answer, on a fresh directory and on an existing one, and what the server
 *  holds at rest. The peer is the same Node starting an empty HTTP server. */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { median, residentMb, table } from './measure.ts'

const RUNS = 5
const PORT = 18_080 + (process.pid % 1000)
const main = join(import.meta.dirname, '../server/src/main.ts')
const empty = `require('node:http').createServer((_, r) => r.end('ok')).listen(${PORT})`

const room = await mkdtemp(join(tmpdir(), 'flow-bench-'))

const bare = await series(() => start(['-e', empty]))
const fresh = await series(async (run) => start([main], { FLOW_DATA_DIR: join(room, `fresh-${run}`) }))
const again = await series(async () => start([main], { FLOW_DATA_DIR: join(room, 'fresh-0') }))

const peer = median(bare.map(({ ms }) => ms))
const rows = (
  [
    ['an empty Node server', bare],
    ['Flow, fresh directory', fresh],
    ['Flow, existing directory', again],
  ] as const
).map(([name, runs]) => {
  const ms = median(runs.map((run) => run.ms))
  return [name, ms, ms / peer, median(runs.map((run) => run.mb)), median(runs.map((run) => run.children_mb))]
})
table(['start to first answer', 'ms', '× the empty server', 'MB at rest', 'MB of its children'], rows)
await rm(room, { recursive: true, force: true })

async function series(once: (run: number) => Promise<Start>): Promise<Start[]> {
  const runs: Start[] = []
  for (let run = 0; run < RUNS; run += 1) runs.push(await once(run))
  return runs
}

type Start = { ms: number; mb: number; children_mb: number }

async function start(args: string[], env: Record<string, string> = {}): Promise<Start> {
  const began = performance.now()
  const child = spawn(process.execPath, ['--no-warnings', ...args], {
    stdio: 'ignore',
    env: { PATH: process.env.PATH, PORT: String(PORT), FLOW_LOG_LEVEL: 'silent', ...env },
  })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  while (
    !(await fetch(`http://127.0.0.1:${PORT}/readyz`).then(
      (answer) => answer.ok,
      () => false,
    ))
  ) {
    if (child.exitCode !== null) throw new Error('the server ended at its start')
    await new Promise((go) => setTimeout(go, 5))
  }
  const ms = performance.now() - began
  await new Promise((go) => setTimeout(go, 1000))
  const memory = await restOf(child)
  child.kill('SIGTERM')
  await exited
  return { ms, ...memory }
}

async function restOf({ pid = 0 }: ChildProcess): Promise<{ mb: number; children_mb: number }> {
  let children_mb = 0
  for (const entry of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(entry)) continue
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '')
    if (Number(/\) \S (\d+)/.exec(stat)?.[1]) === pid) children_mb += (await residentMb(Number(entry))) ?? 0
  }
  return { mb: (await residentMb(pid)) ?? 0, children_mb }
}
