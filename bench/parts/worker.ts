/** What the benches of the sandbox share: programs, runs, and one worker alone, without the pool around it. */

import { launches } from '../../server/src/sandbox/isolation.ts'
import type { Job, Sandbox } from '../../server/src/sandbox/sandbox.ts'
import { Task } from '../../server/src/sandbox/task.ts'
import { WorkerHost } from '../../server/src/sandbox/worker-host.ts'
import { type Rate, rateOf } from '../measure.ts'

// biome-ignore lint/suspicious/noTemplateCurlyInString: a guest's program is text here
export const SMALL = 'export function main({ a, b }) { return { sum: a + b, text: `${a} and ${b}` } }'
export const FOREVER = 'export const main = () => { for (;;) {} }'

export const job = (code: string, input: unknown, more: Partial<Job> = {}): Job => ({
  language: 'javascript',
  code,
  entry_point: 'main',
  input,
  tenant: 'bench',
  timeout_ms: 5000,
  memory_mb: 64,
  ...more,
})

export async function succeed(sandbox: Sandbox, one: Job): Promise<void> {
  const verdict = await sandbox.run(one)
  if (verdict.status === 'error') throw new Error(JSON.stringify(verdict.error))
}

/** How fast one worker answers with this many runs in its pipe; `input` is JSON. */
export async function ofOneWorker(job: Job, input: string, at_a_time: number): Promise<Rate> {
  const [launch] = launches(process.pid, 'process').found
  if (!launch) throw new Error('No worker can be started here.')
  const up = Promise.withResolvers<void>()
  const worker = new WorkerHost(launch, {
    onUp: () => up.resolve(),
    onRoom: () => {},
    onHeld: () => {},
    onReturned: () => {},
    onGone: () => up.reject(new Error('The worker ended.')),
  })
  await up.promise
  const order = { ...job, depth: 0, input }
  const rate = await rateOf(() => {
    const task = new Task(order, () => {})
    worker.begin(task)
    return task.verdict
  }, at_a_time)
  up.promise.catch(() => {})
  worker.retire()
  await worker.gone
  return rate
}
