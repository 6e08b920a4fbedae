/** The durable runs of this room by name, for those who start them; what they do is defined in workflows.ts. */

import { nameRun } from '../engine/engine.ts'

/** Runs an execution. It throws only when the process or the database has a fault, so it is never given up. */
export const executing = nameRun<{ execution_id: string }>({
  name: 'workflows.execute',
  lane: 'executions',
  retry: { max_attempts: 100, backoff_seconds: 0, is_endless: true },
})

/** Attempts of nodes; what belongs to a later one is not meant. */
export type AttemptOf = { node_id: string; attempt: number }

/** Ends what nodes of an execution have waited for: their tasks, and their children as they wish. Without nodes: all. */
export const closing = nameRun<{
  execution_id: string
  nodes?: AttemptOf[]
  task_status?: 'cancelled' | 'expired'
}>({ name: 'workflows.close' })

/** Starts executions for which there is room now. */
export const admitting = nameRun<{ workflow_id: string; key: string; limit: number }>({ name: 'workflows.admit' })

/** Removes what is left of a workflow that is gone, a few executions at a time. */
export const forgetting = nameRun<{ workflow_id: string }>({ name: 'workflows.forget' })

/** Sends the trace of an execution that has ended. */
export const exporting = nameRun<{ execution_id: string }>({
  name: 'workflows.export',
  retry: { max_attempts: 8, backoff_seconds: 5 },
})

/** Tells those who are asked to answer a task, or reminds them. */
export const telling = nameRun<{ task_id: string; is_reminder: boolean }>({ name: 'workflows.tell' })

/** Runs executions again, some at a time. It ends with its batch, so it may come back often. */
export const replaying = nameRun<{ replay_id: string; workflow_id: string }>({
  name: 'workflows.replay',
  retry: { max_attempts: 1000 },
})
