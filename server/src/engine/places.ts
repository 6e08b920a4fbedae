/** The places of a process: how many runs of each lane it may have at a time, how many are free, and which workspaces
 *  have their share of them. */

import type { Job, Lane } from './queue.ts'

const places: Record<Lane, number> = { executions: 100, runs: 16, calls: 48 }
/** The lane whose runs are shared out among workspaces, and need not be queued. */
export const SHARED: Lane = 'executions'
/** A workspace gets another place while it has at most so many times those that are free. So one alone has nearly all,
 *  several have equal shares, and there is always a place for one more. */
const SHARE = 8

export function openPlaces(held: ReadonlyMap<string, { job: Job }>) {
  /** Of the shared lane: claimed in transactions that have not ended, by workspace. */
  const promised = new Map<string, number>()
  /** How many the queue has been asked for, by lane. */
  const asked = new Map<string, number>()

  const left = (lane: Lane): number => {
    let left = places[lane]
    for (const { job } of held.values()) if (job.lane === lane) left -= 1
    if (lane === SHARED) for (const number of promised.values()) left -= number
    return left
  }

  const free = (lane: Lane): number => left(lane) - (asked.get(lane) ?? 0)

  /** The workspaces that have their share of a lane's places. */
  const served = (lane: Lane): string[] => {
    if (lane !== SHARED) return []
    const counts = new Map(promised)
    counts.delete('')
    for (const { job } of held.values()) {
      const { workspace_id } = job.message
      if (job.lane === lane && workspace_id) add(counts, workspace_id, 1)
    }
    const most = SHARE * free(lane)
    return [...counts].filter(([, count]) => count > most).map(([workspace_id]) => workspace_id)
  }

  return {
    free,
    served,
    /** Whether there is one for this workspace within a part of all of them. What the queue is asked for takes nothing
     *  from that part: else whatever is queued for it would ask again, and nothing would begin at once any more. */
    hasRoom: (lane: Lane, workspace_id: string, part: number): boolean =>
      free(lane) > 0 && left(lane) > places[lane] * (1 - part) && !served(lane).includes(workspace_id),
    /** Keeps one until what is given is called. */
    promise(workspace_id: string): () => void {
      add(promised, workspace_id, 1)
      return () => add(promised, workspace_id, -1)
    },
    /** Whether a transaction is open that may yet bring one. */
    arePromised: (): boolean => promised.size > 0,
    /** Keeps as many as the queue may give, until what is given is called. */
    ask(lane: Lane, number: number): () => void {
      add(asked, lane, number)
      return () => add(asked, lane, -number)
    },
  }
}

const add = (counts: Map<string, number>, key: string, by: number): void => {
  const number = (counts.get(key) ?? 0) + by
  if (number === 0) counts.delete(key)
  else counts.set(key, number)
}
