/** Renders a prompt. */

import { z } from 'zod'
import { ComponentRef } from '../components/ref.ts'
import { node } from './node.ts'

export const PromptNode = z.strictObject({
  ...node,
  type: z.literal('prompt'),
  component_ref: ComponentRef.describe('The prompt; its variables are the input. The output is `{messages}`.'),
})
