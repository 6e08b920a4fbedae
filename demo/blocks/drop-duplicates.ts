/** Drops tickets that were sent twice: same customer, same time, same words. The one with the smallest id stays. */

type Input = { rows: string[][] }

export function main({ rows }: Input) {
  const seen = new Set<string>()
  const kept = [...rows]
    .sort(([a = ''], [b = '']) => Number(a.slice(2)) - Number(b.slice(2)))
    .filter(([, created_at, customer, , , , message]) => {
      const key = `${created_at}|${customer}|${message}`
      if (seen.has(key)) return false
      seen.add(key)
      return true
    })
  const count = (wanted: string) => kept.filter(([, , , , priority]) => priority === wanted).length
  return {
    rows: kept,
    dropped: rows.length - kept.length,
    urgent: count('urgent'),
    high: count('high'),
    normal: count('normal'),
    low: count('low'),
  }
}
