/** How the audit log is chained, without I/O: the canonical text of an event, and the hash that ties it to the one
 *  before. The hash is keyed, so that somebody who can only write to the database can't compute it. */

import { createHmac } from 'node:crypto'
import type { AuditEvent } from '@flow/contract/audit'

/** JSON with the keys in order, at every depth: the same event has the same text on every day and every database. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  fields.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`).join(',')}}`
}

/** The hash of the link at `seq`; `before` is the hash of the link before it, empty for the first one. */
export function linkHash(key: Buffer, organization_id: string, seq: number, before: string, event: AuditEvent): string {
  return createHmac('sha256', key)
    .update(canonical([organization_id, seq, before, event]))
    .digest('hex')
}
