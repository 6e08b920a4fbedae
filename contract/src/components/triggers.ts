/** What sets a workflow off: the shape of its `trigger_config`, by its `trigger_type`. Whether a cron expression, a
 *  time zone or a template can be read is checked by the server when the workflow is saved. */

import { z } from 'zod'
import { Json } from '../common.ts'
import { EventPattern } from '../events.ts'

const enabled = z.boolean().default(true).describe('While it is false nothing sets the workflow off by itself.')

const template = (variable: string, without: string) =>
  Json.optional().describe(
    `The input of the execution. A string that is exactly \`{{ CEL }}\` becomes the value of the expression, as ` +
      `everywhere in workflows; the variable is ${variable}. Without it the input is ${without}.`,
  )

const Header = z
  .string()
  .trim()
  .toLowerCase()
  .regex(/^[a-z0-9][a-z0-9-]{0,99}$/, 'Use the name of a header, such as x-hub-signature-256.')

export const ManualTrigger = z
  .looseObject({})
  .meta({ id: 'ManualTrigger', description: 'By `execute` alone. What stands in it has no meaning.' })

export const WebhookTrigger = z
  .strictObject({
    enabled,
    path: z
      .string()
      .overwrite((path) => path.trim().replace(/^\//, ''))
      .max(200)
      .regex(
        /^[a-z0-9_-]+(?:\/[a-z0-9_-]+)*$/,
        'Use lowercase letters, digits, "-" and "_", in segments with "/" between them.',
      )
      .describe('Below `/hooks/{workspace_id}/`. With its method it belongs to one workflow of the workspace.'),
    method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']).default('POST'),
    signature: z
      .enum(['none', 'standard', 'hmac_sha256'])
      .default('none')
      .describe(
        '`none`: whoever knows the address may call. `standard`: by the Standard Webhooks rules (headers `webhook-id`, ' +
          '`webhook-timestamp`, `webhook-signature`). `hmac_sha256`: `sha256=` and the hexadecimal HMAC of the body in ' +
          '`header`, as GitHub and many others sign. The secret is set with `POST /workflows/{workflow_id}/trigger/secret`; ' +
          'while there is none, every signed call is refused.',
      ),
    header: Header.default('x-hub-signature-256').describe('Of `hmac_sha256`: where the signature is.'),
    id_header: Header.optional().describe(
      'Where the sender names a delivery, such as `x-github-delivery`; a delivery that was seen in the last 24 hours ' +
        'is answered as the first time and starts nothing. With `standard` it is always `webhook-id`.',
    ),
    timestamp_header: Header.optional().describe(
      'Of `hmac_sha256`: where the sender says when it sent, in seconds since 1970. What is signed is then ' +
        '`<timestamp>.<body>`, and what was signed before is a repetition.',
    ),
    tolerance_seconds: z.int().min(1).max(3600).default(300).describe('How far a timestamp may be from our clock.'),
    answer: z
      .enum(['accepted', 'result'])
      .default('accepted')
      .describe(
        '`accepted`: 202 with `{execution_id, status}`. `result`: 200 with the output when it completes within ' +
          '`wait_seconds`, 502 when it does not complete, 202 when it takes longer.',
      ),
    wait_seconds: z.int().min(1).max(60).default(30),
    input: template('`request`', '`request` itself: `{method, path, query, headers, body}`'),
  })
  .meta({ id: 'WebhookTrigger' })

export const ScheduleTrigger = z
  .strictObject({
    enabled,
    cron: z
      .string()
      .trim()
      .min(1)
      .max(200)
      .describe(
        'Minute, hour, day of the month, month, day of the week, with seconds in front if there are six fields; names ' +
          '(`MON-FRI`, `JAN`), `L`, `W`, `#`, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.',
      ),
    timezone: z.string().min(1).max(100).default('UTC').describe('By its name in the IANA database: `Europe/Berlin`.'),
    missed: z
      .enum(['skip', 'one', 'all'])
      .default('one')
      .describe(
        'What becomes of times that passed by more than 30 seconds while Flow stood still. `skip`: nothing. `one`: one ' +
          'execution stands for all, with the latest time. `all`: one for each, the 100 oldest.',
      ),
    input: template('`scheduled_for`, the time as text', '`{}`'),
  })
  .meta({ id: 'ScheduleTrigger' })

export const EventTrigger = z
  .strictObject({
    enabled,
    events: z.array(EventPattern).min(1).max(20),
    filter: z
      .string()
      .min(1)
      .max(4000)
      .optional()
      .describe('A CEL expression over `event`; only events for which it is true count.'),
    input: template('`event`', 'the event: `{id, type, at, data}`'),
  })
  .meta({
    id: 'EventTrigger',
    description:
      'Events of the same workspace. What a workflow itself causes never starts it, and a chain of executions that ' +
      'start each other ends after eight.',
  })

export const triggers = {
  manual: ManualTrigger,
  webhook: WebhookTrigger,
  schedule: ScheduleTrigger,
  event: EventTrigger,
} as const
export type WebhookTrigger = z.infer<typeof WebhookTrigger>
export type ScheduleTrigger = z.infer<typeof ScheduleTrigger>
export type EventTrigger = z.infer<typeof EventTrigger>

export const TriggerConfig = z.union([WebhookTrigger, ScheduleTrigger, EventTrigger, ManualTrigger])
export type TriggerConfig = z.infer<typeof TriggerConfig>
