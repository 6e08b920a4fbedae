/** Reads tickets from CSV (RFC 4180) and keeps the rows that can be used; the others are told with their reason. */

type Rejected = { line: number; reason: string }

const columns = ['ticket_id', 'created_at', 'customer', 'channel', 'priority', 'category', 'message']
const priorities = ['urgent', 'high', 'normal', 'low']

export function main({ csv }: { csv: string }) {
  const [header, ...records] = recordsOf(csv)
  if (header?.cells.join() !== columns.join()) throw new Error(`The header must be ${columns.join()}.`)
  const rows: string[][] = []
  const rejected: Rejected[] = []
  for (const { cells, line } of records) {
    const reason = faultOf(cells)
    if (reason) rejected.push({ line, reason })
    if (!reason) rows.push(cells)
  }
  const reasons: Record<string, number> = {}
  for (const { reason } of rejected) reasons[reason] = (reasons[reason] ?? 0) + 1
  return { read: records.length, rows, rejected: rejected.length, reasons, first_rejected: rejected.slice(0, 10) }
}

function faultOf(cells: string[]): string | undefined {
  if (cells.length !== columns.length) return `has ${cells.length < columns.length ? 'too few' : 'too many'} columns`
  const [id = '', created_at = '', , , priority = '', , message = ''] = cells
  if (!/^T-\d+$/.test(id)) return 'has no ticket id'
  if (!/^\d{4}-\d\d-\d\dT/.test(created_at) || Number.isNaN(Date.parse(created_at))) return 'has no valid date'
  if (!priorities.includes(priority)) return 'has an unknown priority'
  if (message.trim() === '') return 'has no message'
  return undefined
}

function recordsOf(csv: string): { cells: string[]; line: number }[] {
  const records: { cells: string[]; line: number }[] = []
  let cells: string[] = []
  let line = 1
  let at = 0
  while (at < csv.length) {
    const quoted = csv[at] === '"'
    const { cell, end } = quoted ? quotedCell(csv, at + 1) : plainCell(csv, at)
    cells.push(cell)
    at = end
    if (csv[at] === ',') {
      at += 1
      continue
    }
    records.push({ cells, line })
    line += 1
    cells = []
    at += csv.startsWith('\r\n', at) ? 2 : 1
  }
  return records
}

function plainCell(csv: string, start: number) {
  let end = start
  while (end < csv.length && csv[end] !== ',' && csv[end] !== '\n' && csv[end] !== '\r') end += 1
  return { cell: csv.slice(start, end), end }
}

function quotedCell(csv: string, start: number) {
  let cell = ''
  let at = start
  while (at < csv.length) {
    const quote = csv.indexOf('"', at)
    if (quote < 0) return { cell: cell + csv.slice(at), end: csv.length }
    cell += csv.slice(at, quote)
    if (csv[quote + 1] !== '"') return { cell, end: quote + 1 }
    cell += '"'
    at = quote + 2
  }
  return { cell, end: at }
}
