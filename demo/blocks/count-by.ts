/** Counts rows by a column, and by month. */

const columns = ['ticket_id', 'created_at', 'customer', 'channel', 'priority', 'category', 'message']

export function main({ rows, column }: { rows: string[][]; column: string }) {
  const at = columns.indexOf(column)
  if (at < 0) throw new Error(`There is no column "${column}".`)
  const counts: Record<string, number> = {}
  for (const row of rows) {
    const value = column === 'created_at' ? (row[at] ?? '').slice(0, 7) : (row[at] ?? '')
    counts[value] = (counts[value] ?? 0) + 1
  }
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => a.localeCompare(b)))
}
