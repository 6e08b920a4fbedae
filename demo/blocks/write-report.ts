/** Puts the branches together. A branch that was not taken has no part. */

type Parts = Record<'escalation' | 'categories' | 'channels' | 'months', unknown>
type Input = {
  parsed: { read: number; rejected: number; reasons: Record<string, number> }
  clean: Record<string, number>
} & Partial<Parts>

export function main({ parsed, clean, ...parts }: Input) {
  const { dropped, urgent = 0, high = 0, normal = 0, low = 0 } = clean
  return {
    rows_read: parsed.read,
    rows_rejected: parsed.rejected,
    why_rejected: parsed.reasons,
    duplicates_dropped: dropped,
    tickets: urgent + high + normal + low,
    by_priority: { urgent, high, normal, low },
    ...parts,
  }
}
