/** Transforms: JSON into other JSON, by an expression or by code. */

import { z } from 'zod'
import { Json } from '../common.ts'
import { ComponentRef, Example, FunctionRef } from './ref.ts'

export const TransformConfig = z
  .strictObject({
    expression: Json.optional().describe(
      'JSON in which a string that is exactly `{{ CEL }}` becomes the value of the expression; inside a longer string ' +
        'its text is put in. The variable is `input`. Either this, or `codeblock_ref`, or `function_ref`.',
    ),
    codeblock_ref: ComponentRef.optional().describe('A code block; it is called with the input.'),
    function_ref: FunctionRef.optional(),
    input_schema_ref: ComponentRef.optional().describe('A schema that the input has to fit.'),
    output_schema_ref: ComponentRef.optional().describe('A schema that the output has to fit.'),
    timeout_seconds: z.number().min(1).max(300).default(30),
    requires_context: z
      .boolean()
      .default(false)
      .describe(
        'Code is called with `{input, context}` instead of the input, and an expression can read `context`: ' +
          '`{workspace_id, execution_id, workflow_id, node_id}`, the last three null outside of a workflow.',
      ),
    examples: z.array(Example).max(50).default([]),
  })
  .meta({ id: 'TransformConfig' })
export type TransformConfig = z.infer<typeof TransformConfig>
