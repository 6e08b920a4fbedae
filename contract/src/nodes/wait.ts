/** Waits for a time. Its input passes through. */

import { z } from 'zod'
import { node } from './node.ts'

export const WaitNode = z.strictObject({
  ...node,
  type: z.literal('wait'),
  seconds: z.number().min(0).max(31_536_000).optional().describe('How long: up to a year.'),
  until: z.string().min(1).max(4000).optional().describe('An ISO 8601 time, or a `{{ CEL }}` that gives one.'),
})
