/** Which worker a run goes to. Pure: the pool brings what it knows, and asks again whenever something changes.
 *
 *  One step computes in a worker at a time. Short runs may stand behind short steps, so that no worker idles for a
 *  round trip; nobody stands behind a long one. Runs of tenants known to compute long never take the last worker. */

import { sharing } from './limits.ts'

export type Seat = {
  runs: number
  /** Steps that wait in its pipe, the one that computes included. */
  steps: number
  computing_ms: number
  /** What its waiting runs keep in memory. */
  held_mb: number
  /** What computes in it belongs to a tenant known for long runs. */
  isHeavy: boolean
  runsOfOthers(tenant: string): number
}

export function place<S extends Seat>(seats: S[], run: { tenant: string; isHeavy: boolean }): S | undefined {
  const open = seats.filter((seat) => isOpen(seat, run.isHeavy))
  if (!run.isHeavy)
    return open.reduce(
      fewer((seat) => seat.steps * 1000 + seat.runs),
      undefined,
    )

  const isLastFree = seats.filter((seat) => !isLong(seat)).length <= 1
  if (isLastFree && seats.length > 1) return undefined
  return open.reduce(
    fewer((seat) => seat.runsOfOthers(run.tenant)),
    undefined,
  )
}

/** Nobody's short run can be had before a long one ends. */
export const isCrowded = (seats: Seat[]) => seats.every((seat) => seat.computing_ms > sharing.crowded_ms)

const isLong = (seat: Seat) => seat.steps > 0 && (seat.isHeavy || seat.computing_ms > sharing.long_step_ms)

function isOpen(seat: Seat, isHeavy: boolean): boolean {
  if (seat.runs >= sharing.runs_per_worker || seat.held_mb > sharing.held_mb_per_worker) return false
  if (seat.steps === 0) return true
  return !isHeavy && !isLong(seat) && seat.steps < sharing.pipeline
}

const fewer =
  <S>(count: (seat: S) => number) =>
  (best: S | undefined, seat: S): S =>
    best === undefined || count(seat) < count(best) ? seat : best
