/** What the benches share: how a rate, a middle and a ratio are taken and told. */

export type Rate = { per_second: number; p50_ms: number; p99_ms: number }

/** Calls `work` for `seconds`, so many at a time, after a warm-up of a fifth of that. */
export async function rateOf(work: (i: number) => Promise<unknown>, at_a_time = 1, seconds = 3): Promise<Rate> {
  await repeat(work, at_a_time, seconds / 5)
  const { took_ms, elapsed_ms } = await repeat(work, at_a_time, seconds)
  took_ms.sort((a, b) => a - b)
  return {
    per_second: (took_ms.length / elapsed_ms) * 1000,
    p50_ms: took_ms[Math.floor(took_ms.length * 0.5)] ?? 0,
    p99_ms: took_ms[Math.floor(took_ms.length * 0.99)] ?? 0,
  }
}

async function repeat(work: (i: number) => Promise<unknown>, at_a_time: number, seconds: number) {
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

export const median = (values: number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

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

/** The memory that a process holds, in MB. Linux only; elsewhere undefined. */
export async function residentMb(pid: number): Promise<number | undefined> {
  const { readFile } = await import('node:fs/promises')
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const kb = /VmRSS:\s+(\d+)/.exec(status)?.[1]
  return kb === undefined ? undefined : Number(kb) / 1024
}
