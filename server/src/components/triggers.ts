/** What is armed: the trigger of a workflow's newest published version, or of its draft where nothing is published.
 *  Kept in the transaction that writes the workflow, so that nothing fires that is not there, and gone with it. When
 *  and how it fires is the matter of the room `triggers`. */

import type { WorkflowConfig } from '@flow/contract/components/workflow'
import { type Context, rightsOf, type Scope } from '../context.ts'
import { json, sql } from '../db/db.ts'
import { dropInterest, keepInterest } from '../events/events.ts'
import { conflict, forbidden } from '../failure.ts'
import { nextAfter } from '../schedule.ts'
import { type Trigger, triggerOf } from './trigger-rules.ts'

/** The kind of listener that the triggers by events are. */
export const EVENT_KIND = 'workflow_trigger'

type Armed = Trigger & { is_enabled: boolean; next_at: string | null }

/** Arms the trigger of a workflow in place of the one that was. */
export async function keepTrigger(ctx: Context, workflow_id: string, workflow: WorkflowConfig): Promise<void> {
  const trigger = triggerOf(workflow)
  const is_enabled = trigger.type !== 'manual' && trigger.config.enabled
  const before = await find(ctx, workflow_id)
  if (trigger.type === 'manual' && !before) return
  if (trigger.type === 'event') assertMayHear(ctx, trigger, before)
  if (trigger.type === 'webhook') await assertFree(ctx, workflow_id, trigger.config)

  const next_at = trigger.type === 'schedule' && is_enabled ? nextOf(ctx.now, trigger, before) : null
  await keep(ctx, workflow_id, { ...trigger, is_enabled, next_at })
  if (trigger.type === 'event' && is_enabled) await keepInterest(ctx, EVENT_KIND, workflow_id, trigger.config.events)
  else if (before?.type === 'event') await dropInterest(ctx, EVENT_KIND, workflow_id)
}

/** Events are those of the whole workspace: whoever has a role in one solution only does not get to hear them. */
function assertMayHear(ctx: Context, { config }: Extract<Trigger, { type: 'event' }>, before?: Armed): void {
  if (!ctx.solution_ids) return
  const isSame = before?.type === 'event' && JSON.stringify(before.config.events) === JSON.stringify(config.events)
  if (!isSame)
    throw forbidden('Events of the workspace are not for a role in one solution. Ask an admin to set this trigger.')
}

/** The workflow goes: nobody tells it of events any longer. Its row goes with it. */
export const dropTrigger = (ctx: Context, workflow_id: string): Promise<void> =>
  dropInterest(ctx, EVENT_KIND, workflow_id)

/** A schedule that has not changed keeps its next time: a change of something else must not pass over what is due. */
function nextOf(now: string, { config }: Extract<Trigger, { type: 'schedule' }>, before?: Armed): string | null {
  const { cron, timezone } = config
  const isSame = before?.type === 'schedule' && before.config.cron === cron && before.config.timezone === timezone
  if (isSame && before.next_at) return before.next_at
  return nextAfter(cron, timezone, new Date(now))?.toISOString() ?? null
}

async function assertFree(at: Scope, workflow_id: string, { path, method }: { path: string; method: string }) {
  const owner = await ownerOf(at, path, method)
  if (!owner || owner.workflow_id === workflow_id) return
  throw conflict(`The workflow "${owner.slug}" answers ${method} ${path} already. Choose another path.`, [
    { field: 'trigger_config.path', message: 'It is taken.' },
  ])
}

const find = (at: Scope, workflow_id: string): Promise<Armed | undefined> =>
  at.db.maybe<Armed>(sql`
    select type, config, is_enabled, next_at from workflow_triggers
    where workflow_id = ${workflow_id} and workspace_id = ${at.workspace_id} for update`)

const ownerOf = (at: Scope, path: string, method: string) =>
  at.db.maybe<{ workflow_id: string; slug: string }>(sql`
    select t.workflow_id, c.slug from workflow_triggers t join components c on c.id = t.workflow_id
    where t.workspace_id = ${at.workspace_id} and t.path = ${path} and t.method = ${method} and t.type = 'webhook'`)

const keep = (at: Context, workflow_id: string, { type, config, is_enabled, next_at }: Armed): Promise<number> => {
  const { path, method } = type === 'webhook' ? config : { path: null, method: null }
  const rights = rightsOf(at)
  return at.db.run(sql`
    insert into workflow_triggers (workflow_id, organization_id, workspace_id, type, config, is_enabled, path, method,
      next_at, armed_by, armed_key)
    values (${workflow_id}, ${at.organization_id}, ${at.workspace_id}, ${type}, ${json(config)}, ${is_enabled}, ${path},
      ${method}, ${next_at}, ${rights?.user_id ?? null}, ${rights?.key_id ?? null})
    on conflict (workflow_id) do update set type = excluded.type, config = excluded.config,
      is_enabled = excluded.is_enabled, path = excluded.path, method = excluded.method, next_at = excluded.next_at,
      armed_by = excluded.armed_by, armed_key = excluded.armed_key, last_error = null`)
}
