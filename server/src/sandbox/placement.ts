/** Which worker a run goes to. Pure: the pool brings what it knows, and asks again whenever something changes.
 *
 *  One step computes in a worker at a time. Runs of tenants known for short ones may stand behind each other, so that
 *  no worker idles for a round trip; nobody stands behind anything else. Runs of tenants known for long ones never take
 *  the last worker. Whoever needs a worker for itself gets one: until then nobody queues up in front of it. */

import { sharing } from './limits.ts'

/** What is to be expected of a tenant's runs. */
export type Pace = 'quick' | 'usual' | 'heavy'

export type Seat = {
  runs: number
  /** Steps that wait in its pipe, the one that computes included. */
  steps: number
  computing_ms: number
  /** Whom it computes for, and what is to be expected of them. */
  tenant: string | undefined
  pace: Pace
  /** What its waiting runs keep in memory. */
  held_mb: number
  runsOfOthers(tenant: string): number
}

/** `enough`: the tenant has its share. `later`: somebody's long run has to end first. `soon`: short ones have, and no
 *  more of them should be let in. */
export function place<S extends Seat>(
  seats: S[],
  run: { tenant: string; pace: Pace; mayStandBehind: boolean; seats_max: number },
): S | 'enough' | 'soon' | 'later' {
  const own = seats.filter((seat) => seat.steps > 0 && seat.tenant === run.tenant).length
  if (run.pace !== 'quick' && own >= run.seats_max) return 'enough'

  const passable = seats.filter((seat) => !isLong(seat))
  const free = passable.filter(isRoomy)
  if (free.length === 0 || (run.pace === 'heavy' && passable.length <= 1)) return 'later'

  const isShared = run.pace === 'quick' && run.mayStandBehind
  const burden = (seat: Seat) =>
    run.pace === 'heavy' ? seat.runsOfOthers(run.tenant) : seat.steps * sharing.runs_per_worker + seat.runs
  let best: S | undefined
  for (const seat of free) if (isOpen(seat, isShared) && (!best || burden(seat) < burden(best))) best = seat
  return best ?? 'soon'
}

/** Long runs have had all workers, or all but the one kept for short ones, for a while. */
export function isCrowded(seats: Seat[]): boolean {
  const taken = seats.filter((seat) => seat.computing_ms > sharing.crowded_ms)
  return seats.length - taken.length <= 1
}

const isLong = (seat: Seat) => seat.steps > 0 && (seat.pace === 'heavy' || seat.computing_ms > sharing.long_step_ms)

const isRoomy = (seat: Seat) => seat.runs < sharing.runs_per_worker && seat.held_mb <= sharing.held_mb_per_worker

const isOpen = (seat: Seat, isShared: boolean) =>
  seat.steps === 0 || (isShared && seat.pace === 'quick' && seat.steps < sharing.pipeline)
