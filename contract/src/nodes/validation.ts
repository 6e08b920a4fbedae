/** Checks its input, against a schema or by a component of the type `validation`. */

import { z } from 'zod'
import { ComponentRef } from '../components/ref.ts'
import { JsonSchema } from '../json-schema.ts'
import { node } from './node.ts'

export const ValidationNode = z.strictObject({
  ...node,
  type: z.literal('validation'),
  schema: JsonSchema.optional().describe('A JSON Schema (2020-12); or else `component_ref`.'),
  component_ref: ComponentRef.optional().describe('A schema or a validation; or else `schema`.'),
  on_invalid: z
    .enum(['fail', 'report'])
    .default('fail')
    .describe(
      '`fail`: what does not fit fails the node with `INVALID_INPUT`; what fits passes through as the output. ' +
        '`report`: the output is `{valid, errors: [{place, message}], value}`, of a validation with its counts. A ' +
        'validation whose `severity` is less than `error` fails no node.',
    ),
})
