/** Executions that this process has just made: who takes one up with the commit that made it need not read it again. */

import { LRUCache } from 'lru-cache'
import type { Context } from '../context.ts'
import type { RunContext } from '../engine/engine.ts'
import type { ExecutionRow } from './store.ts'

const CHARACTERS = 8 * 1024 * 1024
const KEPT_MS = 10_000

const made = new LRUCache<string, ExecutionRow>({ maxSize: CHARACTERS, ttl: KEPT_MS })

/** Keeps what is given to the function when the transaction has committed. Asked for before the execution is started, so
 *  that it is kept before the start is heard of. `characters`: how long the text of its input is. */
export function freshlyMade({ db }: Context, characters: number): (row: ExecutionRow) => void {
  let row: ExecutionRow | undefined
  db.whenOver((isCommitted) => {
    if (isCommitted && row) made.set(row.id, row, { size: 1024 + characters })
  })
  return (given) => {
    row = given
  }
}

/** The row as it was made. Only for a run that was never queued: nobody else can have had it since. */
export function takeFresh({ claim }: RunContext, execution_id: string): ExecutionRow | undefined {
  const row = made.get(execution_id)
  made.delete(execution_id)
  return claim.job.id === undefined && claim.failures === 0 ? row : undefined
}
