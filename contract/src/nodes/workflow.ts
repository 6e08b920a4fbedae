/** Runs another workflow as a child, with an execution of its own. */

import { z } from 'zod'
import { ComponentRef } from '../components/ref.ts'
import { node } from './node.ts'

export const WorkflowNode = z.strictObject({
  ...node,
  type: z.literal('workflow'),
  component_ref: ComponentRef.describe(
    'The workflow. Without a version it is what `execute` would run when the child begins: the newest published ' +
      'version, or the draft where nothing is published.',
  ),
  on_parent_end: z
    .enum(['cancel', 'leave'])
    .default('cancel')
    .describe('What becomes of the child when its parent ends before it: it is cancelled, or goes on by itself.'),
})
