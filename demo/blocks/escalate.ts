/** Who has to be called first: the customers with the most urgent tickets, and the ticket that waits longest. */

export function main({ rows }: { rows: string[][] }) {
  const urgent = rows.filter(([, , , , priority]) => priority === 'urgent')
  const byCustomer: Record<string, number> = {}
  for (const [, , customer = ''] of urgent) byCustomer[customer] = (byCustomer[customer] ?? 0) + 1
  const first_calls = Object.entries(byCustomer)
    .sort(([a, n], [b, m]) => m - n || a.localeCompare(b))
    .slice(0, 5)
    .map(([customer, tickets]) => ({ customer, tickets }))
  const [oldest] = [...urgent].sort(([, a = ''], [, b = '']) => a.localeCompare(b))
  return { urgent: urgent.length, first_calls, waits_longest: oldest?.[0], since: oldest?.[1] }
}
