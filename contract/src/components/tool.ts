/** Tools: what a model may call, with the shape of its arguments. */

import { z } from 'zod'
import { JsonSchema } from '../json-schema.ts'
import { Example } from './ref.ts'

export const ToolConfig = z
  .strictObject({
    implementation_type: z.enum([
      'codeblock',
      'function',
      'api_endpoint',
      'agent',
      'connector_operation',
      'workflow',
      'mcp',
    ]),
    implementation_ref: z
      .string()
      .trim()
      .min(3)
      .max(2000)
      .describe(
        '`codeblock`, `agent`, `workflow`: the component. `function`: a function of a code block, `slug#function`. ' +
          '`api_endpoint`: a method and an address, `GET https://api.example.com/orders/{id}`; `{name}` takes the ' +
          'argument of that name, the others go into the query (GET, DELETE) or as JSON into the body.',
      ),
    parameters: JsonSchema.default({ type: 'object', properties: {} }).describe(
      'A JSON Schema (2020-12) of the arguments, an object. A call whose arguments do not fit is refused.',
    ),
    requires_approval: z.boolean().default(false).describe('Whether a person has to allow each call of a model.'),
    timeout_seconds: z.number().min(1).max(300).default(30),
    examples: z.array(Example).max(50).default([]),
  })
  .meta({ id: 'ToolConfig' })
export type ToolConfig = z.infer<typeof ToolConfig>
