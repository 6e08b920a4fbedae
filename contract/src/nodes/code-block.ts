/** Calls a code block in the sandbox. */

import { z } from 'zod'
import { ComponentRef } from '../components/ref.ts'
import { node } from './node.ts'

export const CodeBlockNode = z.strictObject({
  ...node,
  type: z
    .enum(['code_block', 'codeblock'])
    .overwrite(() => 'code_block')
    .describe('`codeblock` is another spelling.'),
  component_ref: ComponentRef.describe('The code block; it is called with the input as named parameters.'),
})
