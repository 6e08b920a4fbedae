/** The second half of a worker's start: everything is loaded, nothing of a guest's has been seen. What is given up here
 *  is then tried, each thing that must be refused, and only what was refused is reported as a layer. */

import { spawnSync } from 'node:child_process'
import { openSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { type Kernel, openKernel } from './kernel.ts'
import { filterInside } from './seccomp.ts'

const NOBODY = 65_534

export function lock(): { layers: string[]; gaps: string[] } {
  const layers = ['webassembly', 'memory reset', 'process']
  const gaps: string[] = []
  const claim = (layer: string, gap: string | undefined) => {
    if (gap === undefined) layers.push(layer)
    else gaps.push(gap)
  }
  const kernel = openKernel()

  claim('no user', becomeNobody() ? undefined : 'The worker runs as the user of the server.')
  // Changing the user has taken this back.
  if (kernel?.dieWithParent() && kernel.hideMemory()) layers.push('ends with the server')
  claim('seccomp', filterCalls(kernel))
  for (const scope of ['ffi', 'fs.read'] as const) process.permission.drop(scope)
  claim('permission', isPermissionHolding() ? undefined : "Node's permission model does not hold.")
  return { layers, gaps }
}

/** Puts the filter on and tries it. Answers with why there is none. */
function filterCalls(kernel: Kernel | undefined): string | undefined {
  if (!kernel)
    return `System calls are filtered on x86-64 Linux with glibc, not on ${process.platform} ${process.arch}.`
  if (!opens(kernel)) return 'The worker could not make sure that its filter is what refuses.'
  if (!kernel.filter(filterInside(process.pid))) return 'The kernel took no filter of system calls.'
  const open = openings(kernel)
  return open.length > 0 ? `The filter of system calls lets through: ${open.join(', ')}.` : undefined
}

/** As root one can become nobody; as anybody else one already is who one is. */
function becomeNobody(): boolean {
  if (process.getuid?.() !== 0) return process.platform !== 'win32'
  try {
    process.setgroups?.([])
    process.setgid?.(NOBODY)
    process.setuid?.(NOBODY)
  } catch {
    return false
  }
  return process.getuid?.() === NOBODY
}

const path = (name: string) => Buffer.from(`${name}\0`)

function opens(kernel: Kernel): boolean {
  const fd = kernel.call(2, path('/'), 0)
  if (fd >= 0) kernel.call(3, fd)
  return fd >= 0
}

/** What an intruder would try first, by number. Each answers with less than zero when it is refused, and does no harm
 *  when it is not, except that then there is no lock. */
function openings(kernel: Kernel): string[] {
  const tries: [string, () => number][] = [
    ['open', () => kernel.call(2, path('/'), 0)],
    ['openat', () => kernel.call(257, -100, path('/'), 0)],
    ['stat', () => kernel.call(4, path('/'), Buffer.alloc(256))],
    ['socket', () => kernel.call(41, 2, 1, 0)],
    ['socketpair', () => kernel.call(53, 1, 1, 0, Buffer.alloc(8))],
    ['fork', () => endingChild(kernel, kernel.call(57))],
    ['clone', () => endingChild(kernel, kernel.call(56, 17))],
    ['io_uring_setup', () => kernel.call(425, 1, Buffer.alloc(256))],
    ['ptrace', () => kernel.call(101, 0)],
    ['kill', () => kernel.call(62, process.pid, 0)],
    ['memfd_create', () => kernel.call(319, path('x'), 0)],
    ['dup', () => kernel.call(32, 0)],
    ['getppid', () => kernel.call(110)],
  ]
  return tries.filter(([, attempt]) => attempt() >= 0).map(([what]) => what)
}

function endingChild(kernel: Kernel, child: number): number {
  if (child === 0) kernel.call(231, 0)
  return child
}

/** Node's own permissions stand in front of the kernel's: they refuse by name. */
function isPermissionHolding(): boolean {
  const attempts = [
    () => openSync('/', 'r'),
    () => spawnSync(process.execPath, ['--version']),
    () => new Worker('0', { eval: true }),
  ]
  return attempts.every((attempt) => {
    try {
      attempt()
      return false
    } catch (error) {
      return error instanceof Error && 'code' in error && error.code === 'ERR_ACCESS_DENIED'
    }
  })
}
