/** The addresses of `webhook_wait` nodes. Each is signed and names its execution and node, so nothing is kept of it; any
 *  expression can hand it out as `callbacks.<id>` before the node begins. It is good for one call: the first arrival
 *  counts. */

import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Graph } from '../components/workflow-rules.ts'
import type { Platform } from '../context.ts'
import { conflict, Failure, invalid } from '../failure.ts'
import { fieldOf } from './beginning.ts'
import { assertKnown, snapshotOf } from './snapshot.ts'
import * as store from './store.ts'
import { arrive } from './waits.ts'

const PURPOSE = 'callbacks of executions'

export function callbacksOf({ config, seal }: Pick<Platform, 'config' | 'seal'>, graph: Graph, execution_id: string) {
  const waiting = graph.nodes.filter(({ node }) => node.type === 'webhook_wait')
  if (waiting.length === 0) return {}
  const key = seal.derive(PURPOSE)
  return Object.fromEntries(
    waiting.map(({ node: { id } }) => [
      id,
      `${config.public_url}/hooks/waits/${execution_id}/${id}/${sign(key, execution_id, id)}`,
    ]),
  )
}

/** Whether the signature is ours, under any master key there is. It is compared as text: the last character of an
 *  address could be another one and stand for the same bytes. */
export function isSigned({ seal }: Pick<Platform, 'seal'>, execution_id: string, node_id: string, signature: string) {
  const given = Buffer.from(signature)
  return seal.deriveAll(PURPOSE).some((key) => {
    const wanted = Buffer.from(sign(key, execution_id, node_id))
    return given.length === wanted.length && timingSafeEqual(given, wanted)
  })
}

const sign = (key: Buffer, execution_id: string, node_id: string) =>
  createHmac('sha256', key).update(`${execution_id}:${node_id}`).digest('base64url')

/** A call from outside, read by the edge. */
export type CallbackCall = {
  execution_id: string
  node_id: string
  signature: string
  method: string
  query: Record<string, string | string[]>
  body: { value(): unknown }
}

/** Takes the one call that a node waits for. The answer is given when it is kept. */
export async function answerCallback(platform: Platform, call: CallbackCall) {
  const { execution_id, node_id, signature, method, query } = call
  if (!isId(execution_id) || !isSigned(platform, execution_id, node_id, signature)) throw nothingHere()
  const now = platform.clock.now().toISOString()
  return platform.database.platform.tx(async (db) => {
    const [named] = await store.load(db, [execution_id])
    if (!named) throw nothingHere()
    // The address may have been handed out by a node whose result another execution has taken over.
    const execution = (named.completed_at && (await store.successorOf(db, execution_id))) || named
    const snapshot = await snapshotOf(db, execution.organization_id, execution.snapshot)
    assertKnown(snapshot)
    const at = snapshot.graph.byId.get(node_id)
    if (at?.node.type !== 'webhook_wait') throw nothingHere()
    if (at.node.method !== method) throw new Failure('METHOD_NOT_ALLOWED', `This address takes a ${at.node.method}.`)
    const body = method === 'GET' ? null : call.body.value()
    const faults = at.check?.(body) ?? []
    if (faults.length > 0) {
      throw invalid(faults.map(({ place, message }) => ({ field: `body${fieldOf(place)}`, message: `It ${message}.` })))
    }

    const attempt = await store.openAttempt(db, execution.id, node_id)
    if (execution.completed_at || attempt === undefined) throw conflict('Nobody waits for this any more.')
    const output = JSON.stringify({ method, query, body })
    const { id, organization_id } = execution
    const waiting = { organization_id, execution_id: id, node_id, attempt }
    const isFirst = await arrive(platform.engine, db, waiting, { output, now })
    if (!isFirst) throw conflict('This address has been called already: it is good for one call.')
    return { status: 200, body: { execution_id: id, node_id, accepted_at: now }, execution_id: id }
  })
}

const nothingHere = () => new Failure('NOT_FOUND', 'There is nothing here.')
const isId = (text: string) => /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
