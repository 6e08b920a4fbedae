/** Triggers by events: what becomes of an event for a workflow that waits for it. Called by the dispatcher of events,
 *  in its transaction, so an event sets a workflow off exactly once.
 *
 *  Nothing runs in circles: what a workflow has led to never sets it off, so the executions that one event can lead to
 *  grow with the workflows that listen and not with time; and a chain of executions that set each other off ends after
 *  eight, however many workflows it has. */

import { meetsFilter } from '../components/trigger-rules.ts'
import { EVENT_KIND } from '../components/triggers.ts'
import type { Platform } from '../context.ts'
import type { Db } from '../db/db.ts'
import { type Heard, onEvent } from '../events/events.ts'
import { conflict } from '../failure.ts'
import { causesOf } from '../workflows/workflows.ts'
import { fireOrTell, systemContext, tellFailure } from './fire.ts'
import * as store from './store.ts'

const DEPTH_MAX = 8

onEvent(EVENT_KIND, async ({ db, platform }, heard) => {
  for (const one of heard) await hear(platform, db, one)
})

async function hear(platform: Platform, db: Db, { event, listener_id: workflow_id }: Heard): Promise<void> {
  const { organization_id, workspace_id, id, type, at, data } = event
  if (workspace_id === null) return
  const place = { organization_id, workspace_id }
  const row = await store.find({ db, ...place }, workflow_id)
  if (row?.type !== 'event' || !row.is_enabled) return
  const cause = { id, type, at, data }
  if (!meetsFilter(row.config, cause)) return
  const causes = 'execution_id' in data ? await causesOf({ db, organization_id }, data.execution_id) : []
  if (causes.includes(workflow_id)) return
  const depth = event.depth + 1
  if (depth > DEPTH_MAX) {
    const failure = conflict(`${DEPTH_MAX} executions set each other off one after the other; here the chain ends.`)
    await tellFailure(systemContext(platform, db, place), workflow_id, failure)
    return
  }

  const detail = { event_id: id, event_type: type, causes }
  await fireOrTell(platform, db, place, { workflow_id, trigger: row, cause, detail, depth })
}
