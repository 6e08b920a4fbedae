/** One worker of the sandbox alone, without the pool around it. */

import { launches } from '../../server/src/sandbox/isolation.ts'
import type { Job } from '../../server/src/sandbox/sandbox.ts'
import { Task } from '../../server/src/sandbox/task.ts'
import { WorkerHost } from '../../server/src/sandbox/worker-host.ts'
import { type Rate, rateOf } from '../measure.ts'

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
