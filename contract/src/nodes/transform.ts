/** Makes JSON of JSON: by a template of its own, or by a component of the type `transform`. */

import { z } from 'zod'
import { ComponentRef } from '../components/ref.ts'
import { node, Template } from './node.ts'

export const TransformNode = z.strictObject({
  ...node,
  type: z.literal('transform'),
  output: Template.optional().describe(
    "What the node gives: JSON with `{{ CEL }}` in it. `input` is the execution's. Either this, or `component_ref`.",
  ),
  component_ref: ComponentRef.optional().describe("A transform; its `input` is the node's."),
})
