/** What the benches share: how a rate, a middle and a ratio are taken and told. */

import { readFile } from 'node:fs/promises'

export type Rate = { per_second: number; p50_ms: number; p99_ms: number }

/** How long calls took, and all of them together. */
export type Sample = { took_ms: number[]; elapsed_ms: number }

/** Calls `work` for `seconds`, so many at a time, after a warm-up of a fifth of that. */
export async function rateOf(work: (i: number) => Promise<unknown>, at_a_time = 1, seconds = 3): Promise<Rate> {
  return rateFrom([await sample(work, at_a_time, seconds)])
}

export async function sample(work: (i: number) => Promise<unknown>, at_a_time: number, seconds: number) {
  await repeat(work, at_a_time, seconds / 5)
  return repeat(work, at_a_time, seconds)
}

/** The rate of those who worked side by side. */
export function rateFrom(samples: Sample[]): Rate {
  const took_ms = samples.flatMap((one) => one.took_ms)
  return {
    per_second: samples.reduce((sum, one) => sum + (one.took_ms.length / one.elapsed_ms) * 1000, 0),
    p50_ms: quantile(took_ms, 0.5),
    p99_ms: quantile(took_ms, 0.99),
  }
}

export const quantile = (values: number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0

async function repeat(work: (i: number) => Promise<unknown>, at_a_time: number, seconds: number): Promise<Sample> {
  const took_ms: number[] = []
  const began = performance.now()
  const end = began + seconds * 1000
  let next = 0
  const one = async () => {
    while (performance.now() < end) {
      const start = performance.now()
      next += 1
      await work(next)
      took_ms.push(performance.now() - start)
    }
  }
  await Promise.all(Array.from({ length: at_a_time }, one))
  return { took_ms, elapsed_ms: performance.now() - began }
}

export const median = (values: number[]): number => quantile(values, 0.5)

/** A table for people: every row a name and its cells. */
export function table(head: string[], rows: (string | number)[][]): void {
  const cells = [head, ...rows].map((row) => row.map((cell) => (typeof cell === 'number' ? round(cell) : cell)))
  const widths = head.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)))
  const line = (row: string[]) =>
    `| ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ')} |`
  const [first = [], ...others] = cells
  console.log(
    [line(first), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...others.map(line)].join('\n'),
  )
}

const round = (value: number) => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3))

/** The processor time that a process has used, its threads included, in seconds. Linux only; elsewhere undefined. */
export async function processorSeconds(pid: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const [user, system] = stat.slice(stat.lastIndexOf(')')).split(' ').slice(12, 14).map(Number)
  // In hundredths of a second: that is so on every Linux that Node runs on.
  return user === undefined || system === undefined ? undefined : (user + system) / 100
}

/** The memory that a process holds, in MB. Linux only; elsewhere undefined. */
export async function residentMb(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const kb = /VmRSS:\s+(\d+)/.exec(status)?.[1]
  return kb === undefined ? undefined : Number(kb) / 1024
}
