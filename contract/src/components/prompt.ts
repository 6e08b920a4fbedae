/** Prompts: messages with variables in them. */

import { z } from 'zod'
import { FunctionRef } from './ref.ts'

export const PromptConfig = z
  .strictObject({
    system_message: z
      .string()
      .max(10_000)
      .default('')
      .describe('`{{variable}}`, or `{{customer.name}}` of an object, is replaced; `\\{{` stays `{{`.'),
    static_templates: z
      .array(z.strictObject({ role: z.enum(['system', 'user', 'assistant']), content: z.string().min(1).max(50_000) }))
      .max(100)
      .default([])
      .describe('The messages after it, in their order, with variables as well.'),
    dynamic_function_refs: z
      .array(FunctionRef)
      .max(20)
      .default([])
      .describe(
        'Code blocks, functions of them (`slug#function`) or transforms. Each is called with the variables that are ' +
          'given, and gives an object of more variables; what is given itself comes first.',
      ),
  })
  .meta({ id: 'PromptConfig' })
export type PromptConfig = z.infer<typeof PromptConfig>
