/** Calls a tool, as a model would. */

import { z } from 'zod'
import { ComponentRef } from '../components/ref.ts'
import { node } from './node.ts'

export const ToolNode = z.strictObject({
  ...node,
  type: z.literal('tool'),
  component_ref: ComponentRef.describe(
    'The tool; its arguments are the input, and have to fit its `parameters`. What it stands for is pinned with the ' +
      'execution; a workflow is begun as a child. `requires_approval` is about calls of models and asks nobody here.',
  ),
})
