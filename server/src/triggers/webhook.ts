/** Webhooks: a call from outside starts an execution. The edge reads it and counts it (http/hooks.ts); here it is
 *  decided whether it is good and whether it is new. A delivery and its execution are written in one transaction, so
 *  the same delivery never starts a second one, however often and wherever it arrives. */

import type { Execution } from '@flow/contract/workflows'
import type { Context, Platform } from '../context.ts'
import type { Db } from '../db/db.ts'
import { badRequest, Failure, notFound, unauthenticated } from '../failure.ts'
import { settled } from '../workflows/workflows.ts'
import { fire, systemContext, tellFailure } from './fire.ts'
import { headersShown, type Verified, verify } from './rules.ts'
import { openSecret } from './secrets.ts'
import * as store from './store.ts'

export type Call = {
  workspace_id: string
  path: string
  method: string
  query: Record<string, string | string[]>
  /** By their names in lower case. */
  headers: Record<string, string>
  /** As they were sent: signatures are over them. `value` reads them, by their type. */
  body: { bytes: Uint8Array; value(): unknown }
  address: string
  request_id: string
  signal: AbortSignal
}

export type Answer = { status: number; body: unknown; execution_id: string }

const DELIVERY_CHARACTERS = 255

type Webhook = store.TriggerRow & { type: 'webhook' }

/** The methods that are answered at a path; none where there is nothing. */
export async function methodsAt(platform: Platform, workspace_id: string, path: string): Promise<string[]> {
  const rows = await store.atPath(platform.database.platform, workspace_id, path)
  return rows.map((row) => (row as Webhook).config.method)
}

export async function receive(platform: Platform, call: Call): Promise<Answer> {
  const row = await find(platform, call)
  const { organization_id } = row
  const secret = row.secret === null ? undefined : openSecret(platform, row, row.secret)
  const ctx = contextFor(platform, platform.database.of(organization_id), row, call)
  const sent = { headers: call.headers, bytes: call.body.bytes }
  const verified = verify(row.config, secret, sent, platform.clock.now())
  if (verified.refusal !== undefined) {
    // The caller may be anybody: the reason is for the owner.
    await store.markFailed(ctx, row.workflow_id, { at: ctx.now, code: 'UNAUTHENTICATED', message: verified.refusal })
    throw unauthenticated('The call is not signed as this webhook demands.')
  }

  const execution_id = await startOnce(platform, row, call, verified).catch(async (error: unknown) => {
    if (error instanceof Failure) await tellFailure(ctx, row.workflow_id, error)
    throw error
  })
  return answerOf(ctx, row, execution_id)
}

async function find(platform: Platform, { workspace_id, path, method }: Call): Promise<Webhook> {
  const rows = (await store.atPath(platform.database.platform, workspace_id, path)) as Webhook[]
  const row = rows.find(({ config }) => config.method === method)
  if (!row) throw notFound('webhook', path)
  return row
}

/** Another transaction wrote the same delivery at the same moment. */
class Repeated extends Error {}

async function startOnce(platform: Platform, row: Webhook, call: Call, { delivery_id, known_by }: Verified) {
  if ((delivery_id?.length ?? 0) > DELIVERY_CHARACTERS) {
    throw badRequest(`The id of a delivery has at most ${DELIVERY_CHARACTERS} characters.`)
  }
  const start = (): Promise<string | undefined> =>
    platform.database
      .of(row.organization_id)
      .tx(async (db) => {
        const ctx = contextFor(platform, db, row, call)
        const before = known_by.length > 0 && (await store.deliveryOf(ctx, row.workflow_id, known_by))
        if (before) return before.execution_id
        const cause = requestOf(row, call)
        const detail = delivery_id === undefined ? {} : { delivery_id }
        const { id } = await fire(ctx, { workflow_id: row.workflow_id, trigger: row, cause, detail })
        const isNew = (await store.keepDelivery(ctx, row.workflow_id, known_by, id)) === known_by.length
        if (!isNew) throw new Repeated()
        return id
      })
      .catch((error: unknown) => {
        if (!(error instanceof Repeated)) throw error
        return undefined
      })
  for (;;) {
    const execution_id = await start()
    if (execution_id !== undefined) return execution_id
  }
}

/** What an execution sees of a call. */
const requestOf = ({ config }: Webhook, { method, path, query, headers, body }: Call) => ({
  method,
  path,
  query,
  headers: headersShown(headers, config),
  body: body.value(),
})

async function answerOf(ctx: Context, { config, workflow_id }: Webhook, id: string): Promise<Answer> {
  const accepted = (status: Execution['status']) => ({
    status: 202,
    body: { execution_id: id, status },
    execution_id: id,
  })
  if (config.answer === 'accepted') return accepted('queued')
  const execution = await settled(ctx, { id, workflow_id }, config.wait_seconds)
  const { status, output } = execution
  if (status === 'completed') return { status: 200, body: output, execution_id: id }
  if (!execution.completed_at) return accepted(status)
  const word = { failed: 'failed', cancelled: 'was cancelled', timed_out: 'took too long' }[status as 'failed']
  throw new Failure(status === 'timed_out' ? 'TIMEOUT' : 'UPSTREAM_FAILED', `The execution ${id} ${word}.`)
}

function contextFor(platform: Platform, db: Db, row: Webhook, call: Call): Context {
  const { address, request_id } = call
  const ctx = systemContext(platform, db, row)
  return Object.assign(ctx, {
    address,
    request_id,
    log: platform.log.child({ request_id, organization_id: row.organization_id }),
    // Whoever waits for a result is answered, or let go, when the server stops.
    signal: AbortSignal.any([call.signal, platform.stopping]),
  })
}
