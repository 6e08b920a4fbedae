/** Makes JSON of JSON, without code. */

import { z } from 'zod'
import { node, Template } from './node.ts'

export const TransformNode = z.strictObject({
  ...node,
  type: z.literal('transform'),
  output: Template.describe("What the node gives: JSON with `{{ CEL }}` in it. `input` is the execution's."),
})
