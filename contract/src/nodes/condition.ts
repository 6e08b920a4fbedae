/** Evaluates an expression that edges decide by. */

import { z } from 'zod'
import { Cel, node } from './node.ts'

export const ConditionNode = z.strictObject({
  ...node,
  type: z.literal('condition'),
  condition: Cel.describe('A CEL expression; its value is the output, and edges decide by it.'),
})
