/** Makes `demo/tickets.csv`: a year of support tickets of a made-up shop, always the same ones. Among the good rows
 *  are tickets that were sent twice and rows that nobody can use: bad dates, unknown priorities, missing columns,
 *  empty messages, stray quotes. */

import { writeFileSync } from 'node:fs'

const SEED = 20260301
const TICKETS = 5_000
const DUPLICATES = 260
const DIRTY = 1_000

/** A small generator with a seed (mulberry32), so that the file never changes. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const random = generator(SEED)
const pick = <Item>(items: readonly [Item, ...Item[]]): Item => items[Math.floor(random() * items.length)] ?? items[0]

const channels = ['email', 'chat', 'phone', 'web'] as const
const priorities = ['low', 'low', 'normal', 'normal', 'normal', 'normal', 'high', 'high', 'urgent'] as const
const messages = {
  billing: ['I was charged twice this month', 'The invoice, please, needs our VAT number', 'My refund has not arrived'],
  delivery: ['The parcel is late', 'The box arrived open and one item is missing', 'Please change the address'],
  account: ['I cannot sign in', 'The reset link says "expired"', 'Please delete my account'],
  product: ['The app closes when I export', 'The lamp flickers after an hour', 'Does it work with 230 V?'],
  praise: ['Thank you, that was quick', 'Great help from your team, again'],
} as const
const categories = Object.keys(messages) as [keyof typeof messages]

type Ticket = [
  id: string,
  created_at: string,
  customer: string,
  channel: string,
  priority: string,
  category: string,
  message: string,
]

function ticket(number: number): Ticket {
  const start = Date.UTC(2025, 10, 1)
  const at = new Date(start + Math.floor(random() * 365 * 86_400_000))
  const category = pick(categories)
  const said = pick(messages[category] as unknown as readonly [string])
  const message = `${said} (order ${10_000 + Math.floor(random() * 80_000)})`
  return [
    `T-${10_000 + number}`,
    at.toISOString().replace(/\.\d+Z/, 'Z'),
    `c${1 + Math.floor(random() * 900)}`,
    pick(channels),
    pick(priorities),
    category,
    message,
  ]
}

/** What goes wrong between people and forms. Each leaves a row that must be refused. */
const spoil: readonly [(row: Ticket) => string, ...((row: Ticket) => string)[]] = [
  ([id, , ...rest]) => line([id, '2026-13-45', ...rest]),
  ([id, at, by, via, , ...rest]) => line([id, at, by, via, 'whenever', ...rest]),
  (row) => line(row.slice(0, 4)),
  ([id, at, by, via, priority, category]) => line([id, at, by, via, priority, category, '   ']),
  ([, ...rest]) => line(['', ...rest]),
  (row) => `${line(row)},and one more`,
]

const line = (cells: string[]) =>
  cells.map((cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')

function make(): string {
  const tickets = Array.from({ length: TICKETS }, (_, i) => ticket(i))
  const rows = tickets.map(line)
  for (let i = 0; i < DUPLICATES; i += 1) {
    const [, ...rest] = pick(tickets as [Ticket])
    rows.push(line([`T-${20_000 + i}`, ...rest]))
  }
  for (let i = 0; i < DIRTY; i += 1) rows.push(pick(spoil)(ticket(30_000 + i)))
  for (let i = rows.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1))
    const [a = '', b = ''] = [rows[i], rows[j]]
    rows[i] = b
    rows[j] = a
  }
  return `${['ticket_id,created_at,customer,channel,priority,category,message', ...rows].join('\n')}\n`
}

writeFileSync(new URL('./tickets.csv', import.meta.url), make())
