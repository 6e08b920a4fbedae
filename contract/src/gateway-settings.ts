/** What holds for all calls of the gateway: what is kept of them, for how long, and what was cached. */

import { z } from 'zod'
import { Timestamp } from './common.ts'
import type { Domain } from './operation.ts'

const written = {
  keep_content: z.boolean().describe('Whether prompts and answers are kept with the traces.'),
  retention_days: z.int().min(1).max(3650).describe('How long traces are kept. What was billed is kept for good.'),
}

export const GatewaySettings = z
  .object({ ...written, updated_at: Timestamp.nullable().describe('Null: nothing was ever set.') })
  .meta({ id: 'GatewaySettings' })
export type GatewaySettings = z.infer<typeof GatewaySettings>

export const gatewaySettings = {
  get: {
    method: 'GET',
    path: '/gateway/settings',
    permission: 'solutions.read',
    summary: 'Read what is kept of calls.',
    input: z.object({}),
    output: GatewaySettings,
  },
  update: {
    method: 'PATCH',
    path: '/gateway/settings',
    permission: 'organization.write',
    summary: 'Say what is kept of calls: what is sent replaces, what is not sent stays.',
    description:
      'Without `keep_content` the contents of calls from now on are kept nowhere. What was kept is not touched.',
    input: z.object(z.object(written).partial().shape),
    output: GatewaySettings,
  },
  clearCache: {
    method: 'DELETE',
    path: '/gateway/cache',
    permission: 'organization.write',
    summary: 'Forget every answer that was cached.',
    input: z.object({}),
  },
} as const satisfies Domain
