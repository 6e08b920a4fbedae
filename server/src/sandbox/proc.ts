/** What Linux tells and takes about a process in its files. Elsewhere there are none, and nothing is known. */

import { readFileSync, writeFileSync } from 'node:fs'

const PAGE_BYTES = 4096

/** When the machine runs out of memory, this process is what the kernel should take, before the server. */
export function dieFirst(pid: number | undefined): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, '1000')
  } catch {
    // Then it is as likely as any other.
  }
}

/** Resident memory of a process and all it has started: with namespaces the worker is not the process we started. */
export function residentBytes(pid: number | undefined): number | undefined {
  try {
    const own = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
    return children.reduce((sum, child) => sum + (residentBytes(Number(child)) ?? 0), own)
  } catch {
    return undefined
  }
}
