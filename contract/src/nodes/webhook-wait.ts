/** Waits until somebody outside calls an address that is good for one call. */

import { z } from 'zod'
import { JsonSchema } from '../json-schema.ts'
import { node } from './node.ts'

export const WebhookWaitNode = z.strictObject({
  ...node,
  type: z.literal('webhook_wait'),
  method: z.enum(['POST', 'PUT', 'GET']).default('POST'),
  schema: JsonSchema.optional().describe('A JSON Schema (2020-12) that the body has to fit; others are refused.'),
})
