/** The audit log. Rooms never write to it: the edge notes each operation, in the operation's own transaction, and each
 *  refusal outside of it. Nobody changes it: not the product, not an admin, not the database role it runs with. */

import type { AuditEvent, audit as contract, Verification } from '@flow/contract/audit'
import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import { type Context, newId } from '../context.ts'
import type { Db } from '../db/db.ts'
import { sealOrganization, verifyChain } from './chain.ts'
import * as store from './store.ts'

export { sealAudit, startSealer, wrapSecrets } from './chain.ts'

type Ops = typeof contract

/** What somebody did, as those who write it know it. */
export type Note = {
  organization_id: string
  workspace_id?: string
  event_type: string
  action: string
  actor: { kind: string; id: string; name: string; user_id?: string }
  actor_ip?: string
  resource_type: string
  resource_id?: string
  outcome: 'success' | 'failure'
  request_id?: string
  timestamp: string
  metadata?: Record<string, unknown>
}

/** Writes an event in the caller's transaction: it is there if and only if what it speaks of is. */
export async function note(db: Db, noted: Note): Promise<void> {
  const { organization_id, actor } = noted
  await store.insert(
    { db, organization_id },
    {
      event_id: newId(),
      event_type: noted.event_type,
      timestamp: noted.timestamp,
      actor: actor.id,
      actor_kind: actor.kind as AuditEvent['actor_kind'],
      actor_name: actor.name,
      user_id: actor.user_id ?? (actor.kind === 'user' ? actor.id : null),
      actor_ip: noted.actor_ip ?? null,
      resource_type: noted.resource_type,
      resource_id: noted.resource_id ?? null,
      action: noted.action,
      outcome: noted.outcome,
      metadata: (noted.metadata ?? {}) as AuditEvent['metadata'],
      workspace_id: noted.workspace_id ?? null,
      request_id: noted.request_id ?? null,
    },
  )
}

export const list = (ctx: Context, input: Parsed<Ops['list']>): Promise<Page<AuditEvent>> =>
  store.list(ctx, input, input)

const BATCH = 1000

/** Reads on in batches, so that an export of any size needs the memory of one. */
async function* exportEvents(ctx: Context, input: Parsed<Ops['export']>): AsyncGenerator<string> {
  let last: AuditEvent | undefined
  for (;;) {
    const events = await store.after(ctx, input, last, BATCH)
    if (events.length > 0) yield `${events.map((event) => JSON.stringify(event)).join('\n')}\n`
    if (events.length < BATCH) return
    last = events.at(-1)
  }
}

export { exportEvents as export }

export async function verify(ctx: Context, input: Parsed<Ops['verify']>): Promise<Verification> {
  const [seq, hash = ''] = input.head?.split(':') ?? []
  const kept = seq === undefined ? undefined : { seq: Number(seq), hash }
  await sealOrganization(ctx.platform, ctx.organization_id)

  return verifyChain(ctx.platform, ctx, kept, ctx.signal)
}
