/** The first half of a worker's start: gives up for good what has to be given up before Node's event loop exists, then
 *  becomes the worker. Arguments: the parent's process id, then the worker's own arguments to Node. Exits with a
 *  sentence when anything fails: the server then launches a weaker worker, or none. */

import { limits } from '../limits.ts'
import { openKernel } from './kernel.ts'
import { filterBeforeExec } from './seccomp.ts'

const SYS_FCNTL = 72
const F_SETFD = 2
const SLATE = 3

const [parent, ...args] = process.argv.slice(2)
const kernel = openKernel()
const steps: [string, () => boolean][] = [
  ['end with its parent', () => kernel?.dieWithParent() === true],
  // Between the fork and here the parent may have ended already.
  ['have the parent that started it', () => parent === '0' || process.ppid === Number(parent)],
  ['keep other open files from the worker', () => kernel?.closeOnExec(4) === true],
  // Node takes care that nothing it was given goes further.
  ['hand on its slate', () => kernel?.call(SYS_FCNTL, SLATE, F_SETFD, 0) === 0],
  ['limit core dumps', () => kernel?.limit('core', 0) === true],
  ['limit written files', () => kernel?.limit('file_size', 0) === true],
  ['limit open files', () => kernel?.limit('open_files', 64) === true],
  ['limit message queues', () => kernel?.limit('message_queues', 0) === true],
  ['limit its memory', () => kernel?.limit('data', limits.worker_memory_mb * 1024 * 1024) === true],
  ['give up new privileges', () => kernel?.gainNothing() === true],
  ['filter its system calls', () => kernel?.filter(filterBeforeExec()) === true],
]
for (const [what, step] of steps) {
  if (step()) continue
  process.stderr.write(`A worker could not ${what}.`)
  process.exit(1)
}
process.execve?.(process.execPath, [process.execPath, ...args], { TZ: 'UTC' })
