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
  const kernel = openKernel()
  const canOpen = kernel ? opens(kernel) : false

  if (becomeNobody()) layers.push('no user')
  // Changing the user has taken this back.
  if (kernel?.dieWithParent() && kernel.hideMemory()) layers.push('ends with the server')
  if (!kernel)
    gaps.push(`System calls are filtered only on x86-64 Linux with glibc, not on ${process.platform} ${process.arch}.`)
  else if (!canOpen) gaps.push('The worker could not make sure that its filter is what refuses.')
  else if (!kernel.filter(filterInside(process.pid))) gaps.push('The kernel took no filter of system calls.')
  else {
    const failing = openings(kernel)
    if (failing.length === 0) layers.push('seccomp')
    else gaps.push(`The filter of system calls lets through: ${failing.join(', ')}.`)
  }

  for (const scope of ['ffi', 'fs.read'] as const) process.permission.drop(scope)
  if (isPermissionHolding()) layers.push('permission')
  else gaps.push("Node's permission model does not hold.")
  return { layers, gaps }
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
