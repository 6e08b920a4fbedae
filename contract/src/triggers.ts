/** Triggers: what sets a workflow off by itself. A trigger is written in the workflow (`trigger_type`,
 *  `trigger_config`) and armed with it: that of the newest published version, or of the draft where nothing is
 *  published. Here it is told how it stands, and its secret is set. */

import { z } from 'zod'
import { Id, Timestamp } from './common.ts'
import { TriggerConfig } from './components/triggers.ts'
import { TriggerType } from './components/workflow.ts'
import type { Domain } from './operation.ts'

export const Trigger = z
  .object({
    workflow_id: Id,
    type: TriggerType,
    config: TriggerConfig.describe('As it is armed, with its defaults.'),
    enabled: z.boolean(),
    url: z.string().nullable().describe('Where a webhook is called.'),
    has_secret: z.boolean(),
    next_at: Timestamp.nullable().describe('When a schedule comes next.'),
    next_times: z.array(Timestamp).describe('The next five times of a schedule.'),
    last_fired_at: Timestamp.nullable(),
    last_error: z
      .object({ at: Timestamp, code: z.string(), message: z.string() })
      .nullable()
      .describe('Why it last started nothing, if that was after it last did.'),
  })
  .meta({ id: 'Trigger' })
export type Trigger = z.infer<typeof Trigger>

const workflow_id = Id

export const triggers = {
  get: {
    method: 'GET',
    path: '/workflows/{workflow_id}/trigger',
    permission: 'solutions.read',
    narrows: true,
    summary: 'Read the trigger of a workflow as it is armed.',
    input: z.object({ workflow_id }),
    output: Trigger,
  },
  setSecret: {
    method: 'POST',
    path: '/workflows/{workflow_id}/trigger/secret',
    permission: 'solutions.write',
    narrows: true,
    summary: "Set the secret of a workflow's webhook, or have one made.",
    description:
      'It counts from now on, for the draft and for published versions. A secret that begins with `whsec_` is base64 of ' +
      '24 to 64 bytes (Standard Webhooks); any other is taken as text.',
    status: 200,
    secret: true,
    input: z.object({
      workflow_id,
      secret: z
        .string()
        .min(16)
        .max(500)
        .regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, 'Use printable ASCII characters.')
        .optional()
        .describe('Without it one is made.'),
    }),
    output: z.object({ secret: z.string().describe('Shown this once.') }).meta({ id: 'TriggerSecret' }),
    refusals: ['VALIDATION_ERROR: the secret begins with `whsec_` and is not base64 of 24 to 64 bytes.'],
  },
} as const satisfies Domain
