/** Firing: an execution is started in the name of the platform, in the caller's transaction, and noted like everything
 *  that is written. What refuses to start leaves its reason at the trigger, where its owner looks for it. */

import type { Execution } from '@flow/contract/workflows'
import { note } from '../audit/audit.ts'
import { inputOf, type Trigger } from '../components/trigger-rules.ts'
import { type Actor, type Context, contextOf, type Platform } from '../context.ts'
import type { Db } from '../db/db.ts'
import { ExpressionFault } from '../expressions/expressions.ts'
import { Failure, invalid } from '../failure.ts'
import { type SetOff, startExecution } from '../workflows/workflows.ts'
import * as store from './store.ts'

type Place = { organization_id: string; workspace_id: string }

/** Who acts where nobody asked. */
export function systemContext(platform: Platform, db: Db, { organization_id, workspace_id }: Place): Context {
  const actor: Actor = { kind: 'system', id: 'flow', user_id: '', name: 'Flow', organization_id, grants: [] }
  return contextOf(platform, db, { actor, organization_id, workspace_id })
}

type Firing = { workflow_id: string; trigger: Exclude<Trigger, { type: 'manual' }>; cause: unknown } & Omit<
  SetOff,
  'type'
>

export async function fire(at: Context, { workflow_id, trigger, cause, detail, depth }: Firing): Promise<Execution> {
  const rights = await store.rightsOf(at, workflow_id)
  const ctx = { ...at, rights: rights?.user_id ? { user_id: rights.user_id, key_id: rights.key_id } : undefined }
  const input = render(trigger, cause) as Execution['input']
  const execution = await startExecution(ctx, { workflow_id, input }, { type: trigger.type, detail, depth })
  await store.markFired(ctx, workflow_id)
  const metadata = { trigger_type: trigger.type, execution_id: execution.id, ...detail }
  await note(ctx.db, { ...noteOf(ctx, workflow_id), outcome: 'success', metadata })
  return execution
}

function render(trigger: Firing['trigger'], cause: unknown): unknown {
  try {
    return inputOf(trigger, cause)
  } catch (error) {
    if (!(error instanceof ExpressionFault)) throw error
    throw invalid([{ field: 'trigger_config.input', message: error.message }])
  }
}

/** Says at the trigger, and in the audit log, why nothing was started. */
export async function tellFailure(ctx: Context, workflow_id: string, failure: Failure): Promise<void> {
  const { code, message } = failure
  await store.markFailed(ctx, workflow_id, { at: ctx.now, code, message })
  await note(ctx.db, { ...noteOf(ctx, workflow_id), outcome: 'failure', metadata: { code, message } })
}

/** Fires within a savepoint of the caller's transaction. A refusal is told and is no fault of the caller's. */
export async function fireOrTell(platform: Platform, db: Db, at: Place, firing: Firing): Promise<boolean> {
  try {
    await db.tx((inner) => fire(systemContext(platform, inner, at), firing))
    return true
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    await tellFailure(systemContext(platform, db, at), firing.workflow_id, error)
    return false
  }
}

const noteOf = (ctx: Context, workflow_id: string) => ({
  organization_id: ctx.organization_id,
  workspace_id: ctx.workspace_id,
  event_type: 'triggers.fire',
  action: 'fire',
  actor: { kind: ctx.actor.kind, id: ctx.actor.id, name: ctx.actor.name },
  actor_ip: ctx.address,
  resource_type: 'workflow',
  resource_id: workflow_id,
  request_id: ctx.request_id,
  timestamp: ctx.now,
})
