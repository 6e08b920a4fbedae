/** What the audit log is told of a write: who did what to which thing, under which request. */

import { type Operation, placeOf } from '@flow/contract/operation'
import type { Context } from '../context.ts'

export type AuditNote = {
  organization_id: string
  workspace_id?: string
  event_type: string
  action: string
  actor: { kind: string; id: string; name: string; user_id?: string }
  actor_ip: string
  resource_type: string
  resource_id?: string
  outcome: 'success' | 'failure'
  request_id: string
  timestamp: string
  metadata?: Record<string, unknown>
}

type Done = { operation: Operation; domain: string; name: string }

export function noteOf({ operation, domain, name }: Done, ctx: Context, input: unknown, result: unknown): AuditNote {
  const nouns = [...(operation.creates ?? operation.path).matchAll(/\{(\w+)_id\}/g)].map(([, noun]) => noun)
  // A node has its name only within its execution.
  const subject = nouns.filter((noun) => noun !== 'node').at(-1)
  const named = subject ? (input as Record<string, unknown>)[`${subject}_id`] : undefined
  const isTold = operation.creates !== undefined || (subject !== undefined && named === undefined)
  const told = isTold && typeof result === 'object' && result !== null && 'id' in result ? result.id : undefined
  const action = snake(name)
  const fields = changedFields(operation, input)
  return {
    organization_id: ctx.organization_id,
    workspace_id: ctx.workspace_id,
    event_type: `${domain}.${action}`,
    action,
    actor: { kind: ctx.actor.kind, id: ctx.actor.id, name: ctx.actor.name, user_id: ctx.actor.user_id },
    actor_ip: ctx.address,
    resource_type: (subject === 'org' ? 'organization' : subject) ?? domain.replace(/s$/, ''),
    ...(typeof (told ?? named) === 'string' ? { resource_id: String(told ?? named) } : {}),
    outcome: 'success',
    request_id: ctx.request_id,
    timestamp: ctx.now,
    ...(fields.length > 0 ? { metadata: { fields } } : {}),
  }
}

/** What a change was asked to set, by name: values may be secret. */
function changedFields(operation: Operation, input: unknown): string[] {
  if (operation.method !== 'PUT' && operation.method !== 'PATCH') return []
  const given = Object.entries(input as object).filter(([, value]) => value !== undefined)
  return given.flatMap(([field]) => (placeOf(operation, field) === 'body' ? [field] : []))
}

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
