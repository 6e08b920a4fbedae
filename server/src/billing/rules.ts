/** Decisions about credits, without I/O: amounts, the badge, and what a unit costs where the rate card is silent. */

import type { Badge, ServiceType } from '@flow/contract/billing'

/** A billionth of a credit: amounts are whole numbers of these, so that sums are exact in any order. */
const NANO = 1_000_000_000

export const toNanocredits = (credits: number): number => Math.round(credits * NANO)

/** What stands behind each service type: the unit its quantity counts, and its price until a card says otherwise. */
export const services: Record<ServiceType, { unit: string; credits_per_unit: number }> = {
  llm_call: { unit: 'token', credits_per_unit: 0.000_1 },
  data_transfer: { unit: 'byte', credits_per_unit: 0.000_000_001 },
  agent_runtime: { unit: 'second', credits_per_unit: 0.001 },
  workflow_run: { unit: 'run', credits_per_unit: 0.01 },
  code_run: { unit: 'second', credits_per_unit: 0.001 },
}

const LOW = 0.2
const CRITICAL = 0.05

/** How the balance looks, by what remains of everything ever purchased. */
export function badgeOf(purchased: number, consumed: number): Badge {
  const remaining = purchased - consumed
  if (remaining < 0) return 'overdrawn'
  if (remaining <= purchased * CRITICAL) return 'critical'
  return remaining <= purchased * LOW ? 'low_balance' : 'healthy'
}

/** The calendar month (UTC), named by its first day. */
export const monthOf = (now: string): string => `${now.slice(0, 7)}-01`
