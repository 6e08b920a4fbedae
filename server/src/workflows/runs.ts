/** The durable runs of this room by name, for those who start them; what they do is defined in workflows.ts. */

import { nameRun } from '../engine/engine.ts'

/** Runs an execution. It fails only when the process or the database does, so it may come back often. */
export const executing = nameRun<{ execution_id: string }>({
  name: 'workflows.execute',
  lane: 'executions',
  retry: { max_attempts: 100, backoff_seconds: 0 },
})

/** Ends what nodes of an execution have waited for: their tasks, and their children as they wish. Without nodes: all. */
export const closing = nameRun<{ execution_id: string; node_ids?: string[] }>({ name: 'workflows.close' })

/** Starts executions for which there is room now. */
export const admitting = nameRun<{ workflow_id: string; key: string; limit: number }>({ name: 'workflows.admit' })

/** Removes what is left of a workflow that is gone, a few executions at a time. */
export const forgetting = nameRun<{ workflow_id: string }>({ name: 'workflows.forget' })

/** Reminds those who are asked to answer a task. */
export const reminding = nameRun<{ task_id: string }>({ name: 'workflows.remind' })
