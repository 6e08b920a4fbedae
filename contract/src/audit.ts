/** The audit log: who did what, when, and whether it was allowed. It only grows; its events are chained by keyed
 *  hashes, so that a changed, missing, moved or added event is found. */

import { z } from 'zod'
import { Id, Json, listParameters, Page, Timestamp, text } from './common.ts'
import type { Domain } from './operation.ts'

export const AuditEvent = z
  .object({
    event_id: Id,
    event_type: z.string().describe('`domain.operation`, such as `users.invite`.'),
    timestamp: Timestamp,
    actor: z.string().describe('The id of the user, the key or the token.'),
    actor_kind: z.enum(['user', 'api_key', 'service_token', 'system']),
    actor_name: z.string().describe('What the actor was called then.'),
    user_id: Id.nullable().describe('The user whom a key acts for; the actor itself where it is a user.'),
    actor_ip: z.string().nullable(),
    resource_type: z.string(),
    resource_id: z.string().nullable(),
    action: z.string(),
    outcome: z.enum(['success', 'failure']),
    metadata: z
      .record(z.string(), Json)
      .describe(
        'What else is known: of a change the `fields` that it set, of a refusal its `code`, of what code did on behalf of ' +
          'somebody its execution. Values are left out: they may be secret.',
      ),
    workspace_id: Id.nullable(),
    request_id: z.string().nullable(),
  })
  .meta({ id: 'AuditEvent' })
export type AuditEvent = z.infer<typeof AuditEvent>

const Head = z
  .string()
  .regex(/^\d{1,18}:[0-9a-f]{64}$/)
  .describe('A place in the chain and its hash, as an earlier verification answered it.')

export const Verification = z
  .object({
    valid: z.boolean(),
    events: z.int().describe('How many events were verified, from the first one on.'),
    pending: z.int().describe('Events of the last moments that are not chained yet.'),
    head: Head.nullable().describe('Keep it outside of Flow: a later verification proves that this past is untouched.'),
    first_broken: z
      .object({
        seq: z.int().nullable().describe('The place in the chain; null: the event has none.'),
        event_id: Id.nullable(),
        reason: z.enum(['changed', 'missing', 'gap', 'unchained', 'rewritten']),
        message: z.string(),
      })
      .nullable(),
  })
  .meta({ id: 'AuditVerification' })
export type Verification = z.infer<typeof Verification>

const filters = {
  event_type: text(200).optional(),
  actor: text(200)
    .optional()
    .describe("The id of a user, key or token, or its name; a user's id finds what their keys did too."),
  resource_type: text(100).optional(),
  resource_id: text(200).optional(),
  action: text(100).optional(),
  outcome: AuditEvent.shape.outcome.optional(),
  workspace_id: Id.optional(),
  from: z.iso.datetime().optional().describe('From this moment on.'),
  to: z.iso.datetime().optional().describe('Before this moment.'),
}
export const AuditFilters = z.object(filters)
export type AuditFilters = z.infer<typeof AuditFilters>

export const audit = {
  list: {
    method: 'GET',
    path: '/audit-events',
    permission: 'audit.read',
    summary: 'List the events of the audit log, the latest first.',
    input: z.object({ ...z.object(listParameters(['timestamp'])).omit({ search: true }).shape, ...filters }),
    output: Page(AuditEvent),
  },
  export: {
    method: 'GET',
    path: '/audit-events/export',
    permission: 'audit.read',
    summary: 'Download the events as NDJSON, the earliest first.',
    description: 'One event in each line, with the same fields and filters as the list.',
    downloads: 'application/x-ndjson',
    input: z.object(filters),
  },
  verify: {
    method: 'GET',
    path: '/audit-events/verify',
    permission: 'audit.read',
    summary: 'Verify that the audit log is whole and unchanged.',
    description:
      'Recomputes the chain from the first event. With `head`, the answer of an earlier verification, it also proves ' +
      'that the log of that time is the beginning of the log of today: without it, an end that somebody with the ' +
      "database's own rights cut off cannot be seen.",
    input: z.object({ head: Head.optional() }),
    output: Verification,
  },
} as const satisfies Domain
