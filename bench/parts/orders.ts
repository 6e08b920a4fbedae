/** What a bench and the processes it measures say to each other. */

import type { Sample } from '../measure.ts'

export type Who = { organization_id: string; workspace_id: string; user_id: string }
export type Ids = { conditions: string; code: string; single: string; waiting: string }

/** How hard: so many at a time, for so long. */
export type Load = { at_a_time: number; seconds: number }

/** Milliseconds of processor; of the server's only where it is on this machine. */
export type Spent = { flow_ms: number; server_ms: number; commits: number; executions: number }

export type Orders = {
  /** Makes the organization and the workflows, in an empty database. */
  prepare: { asked: null; answer: { who: Who; ids: Ids } }
  /** Goes on as who was made by another process. */
  enter: { asked: Who; answer: null }
  /** Begins to run what is there. */
  work: { asked: null; answer: null }
  /** Executes to the end, again and again. */
  execute: { asked: Load & { workflow_id: string }; answer: Sample }
  /** Accepts executions without waiting for their end, many in one transaction. */
  accept: { asked: { workflow_id: string; count: number }; answer: null }
  unfinished: { asked: null; answer: number }
  /** How many executions wait. */
  waiting: { asked: null; answer: number }
  /** Commits of one row, each by a client of its own. */
  commits: { asked: Load; answer: Sample }
  /** Jobs of the queue library alone: sent, fetched, completed. */
  jobs: { asked: Load; answer: Sample }
  bytes: { asked: null; answer: number }
  /** What the process and its database have spent so far, and on how many executions that have ended. */
  spent: { asked: null; answer: Spent }
  stop: { asked: null; answer: null }
}

export type Name = keyof Orders
/** Each with what it asks for, under a number that its answer carries. */
export type Order = { [N in Name]: { number: number; name: N; asked: Orders[N]['asked'] } }[Name]
export type Answer = { number: number; answer?: unknown; error?: string }
