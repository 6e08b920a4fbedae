/** The chain that makes the audit log tamper-evident. Each event gets a link: its place and a keyed hash over the link
 *  before and the event. The links are made a moment after the event, by one writer for each organization, so that
 *  requests never wait for each other's chain.
 *
 *  What it finds: an event that was changed, taken out, moved or put in, by anybody without the master key. What it
 *  can't find alone: events that vanish before they are chained (about a second), and an end that was cut off and
 *  chained anew by the running product; a head that was kept outside proves the latter. */

import { randomBytes } from 'node:crypto'
import type { Verification } from '@flow/contract/audit'
import type { Platform } from '../context.ts'
import { rewrap } from '../rewrap.ts'
import { linkHash } from './rules.ts'
import type { Head, Link, Linked, Tenant } from './store.ts'
import * as store from './store.ts'

type Sealing = Pick<Platform, 'database' | 'seal'>

const BATCH = 500

/** The keys of the chains under the newest master key; how many were not. */
export const wrapSecrets = (platform: Sealing): Promise<number> =>
  rewrap(platform, [{ table: 'audit_keys', key: 'organization_id', column: 'key_sealed' }])

/** Chains every event that waits, of all organizations. Returns how many. */
export async function sealAudit(platform: Sealing): Promise<number> {
  let sealed = 0
  for (const { organization_id } of await store.waiting(platform.database.platform)) {
    sealed += await sealOrganization(platform, organization_id)
  }
  return sealed
}

export async function sealOrganization(platform: Sealing, organization_id: string): Promise<number> {
  let sealed = 0
  let last: number
  do {
    last = await platform.database.of(organization_id).tx((db) => sealBatch(platform, { db, organization_id }))
    sealed += last
  } while (last === BATCH)
  return sealed
}

async function sealBatch(platform: Sealing, at: Tenant): Promise<number> {
  await store.lockChain(at)
  const events = await store.takePending(at, BATCH)
  if (events.length === 0) return 0

  const key = (await keyOf(platform, at)) ?? (await makeKey(platform, at))
  let { seq, hash } = (await store.head(at)) ?? { seq: 0, hash: '' }
  const links: Link[] = []
  for (const event of events) {
    seq += 1
    hash = linkHash(key, at.organization_id, seq, hash, event)
    links.push({ seq, event_id: event.event_id, hash })
  }
  await store.append(at, links)
  return events.length
}

/** Goes through the whole chain, from the first link to the last. `kept` is the head of an earlier verification. */
export async function verifyChain(platform: Sealing, at: Tenant, kept: Head | undefined, signal: AbortSignal) {
  const key = await keyOf(platform, at)
  let last: Head = { seq: 0, hash: '' }
  let broken: Verification['first_broken'] = null
  for (;;) {
    signal.throwIfAborted()
    const links = await store.links(at, last.seq, BATCH)
    for (const link of links) {
      broken = faultOf(key, at.organization_id, last, link, kept)
      if (broken) return answer(last, broken, at)
      last = { seq: link.seq, hash: link.hash }
    }
    if (links.length < BATCH) break
  }

  if (kept && kept.seq > last.seq)
    broken = fault(last.seq + 1, null, 'rewritten', `The chain is shorter than ${kept.seq}.`)
  const stray = broken ? undefined : await store.unchained(at)
  if (stray) broken = fault(null, stray.event_id, 'unchained', 'This event has no link in the chain.')
  return answer(last, broken, at)
}

function faultOf(key: Buffer | undefined, organization_id: string, last: Head, link: Linked, kept: Head | undefined) {
  const { seq, hash, linked_event_id, ...event } = link
  if (seq !== last.seq + 1) return fault(last.seq + 1, null, 'gap', `The link at ${last.seq + 1} is missing.`)
  if (event.event_id === null) return fault(seq, linked_event_id, 'missing', 'The event of this link is gone.')
  if (!key || linkHash(key, organization_id, seq, last.hash, event) !== hash) {
    return fault(seq, linked_event_id, 'changed', 'The event or its place is not the one that was chained.')
  }
  if (kept?.seq === seq && kept.hash !== hash) {
    return fault(seq, linked_event_id, 'rewritten', 'The chain up to here is not the one of the head that was kept.')
  }
  return null
}

type Fault = NonNullable<Verification['first_broken']>
const fault = (seq: number | null, event_id: string | null, reason: Fault['reason'], message: string): Fault => ({
  seq,
  event_id,
  reason,
  message,
})

async function answer(last: Head, first_broken: Verification['first_broken'], at: Tenant): Promise<Verification> {
  const { count } = await store.pending(at)
  const head = last.seq > 0 ? `${last.seq}:${last.hash}` : null
  return { valid: first_broken === null, events: last.seq, pending: count, head, first_broken }
}

const boundTo = (organization_id: string) => `audit_key:${organization_id}`

async function keyOf(platform: Sealing, at: Tenant): Promise<Buffer | undefined> {
  const row = await store.key(at)
  return row && Buffer.from(platform.seal.open(row.key_sealed, boundTo(at.organization_id)), 'base64')
}

async function makeKey(platform: Sealing, at: Tenant): Promise<Buffer> {
  const key = randomBytes(32)
  await store.insertKey(at, platform.seal.seal(key.toString('base64'), boundTo(at.organization_id)))
  return key
}

const EVERY_MS = 1000

/** Chains what waits about once a second, until it is stopped. A fault is logged, and the next round tries again. */
export function startSealer(platform: Sealing & Pick<Platform, 'log'>): { stop(): Promise<void> } {
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  let round: Promise<void> = Promise.resolve()
  const next = () => {
    timer = setTimeout(() => {
      round = sealAudit(platform)
        .then(() => undefined)
        .catch((err: unknown) => platform.log.warn({ err }, 'the audit log was not chained; it is tried again'))
        .finally(() => {
          if (!stopped) next()
        })
    }, EVERY_MS)
  }
  next()
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await round
    },
  }
}
