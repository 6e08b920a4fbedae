/** Validations: one rule over one value of a record, or over that of each record of a batch. */

import { z } from 'zod'
import { Json } from '../common.ts'
import { FunctionRef } from './ref.ts'

export const ValidationConfig = z
  .strictObject({
    rule_type: z.enum(['not_null', 'unique', 'range', 'pattern', 'custom']).default('custom'),
    field: z
      .string()
      .min(1)
      .max(500)
      .regex(/^[^.[\]]+(?:\.[^.[\]]+)*$/, 'Use the names of fields with "." between them: `customer.email`.')
      .optional()
      .describe('The value that is checked; without it the record itself is.'),
    config: z
      .record(z.string(), Json)
      .default({})
      .describe(
        '`range`: `min`, `max`, `exclusive_min`, `exclusive_max`. `pattern`: `pattern` (RE2; it may match anywhere). ' +
          '`not_null`: `allow_empty` (of strings, lists and objects; true). `unique`: `ignore_case` (false). `custom`: ' +
          '`expression`, a CEL expression over `value`, `record` and `index` that is true where the rule holds, unless ' +
          'there is a `validator_ref`; what else stands here is given to its code as `config`.',
      ),
    validator_ref: FunctionRef.optional().describe(
      'Of `custom`: a schema that the value has to fit, or a code block (`slug#function` for one of its functions) that ' +
        'is called with `{value, record, index, config}` and gives true, false or `{valid, message}`.',
    ),
    severity: z
      .enum(['error', 'warning', 'info'])
      .default('error')
      .describe('What fails with less than `error` is told, and stops nothing.'),
    threshold: z
      .number()
      .min(0)
      .max(1)
      .default(1)
      .describe('The share of the records of a batch for which the rule has to hold.'),
    examples: z
      .array(z.strictObject({ input: Json, expected: Json }))
      .max(50)
      .default([])
      .describe('`expected`: whether the input is valid, or an object of which every field is in the result.'),
  })
  .meta({ id: 'ValidationConfig' })
export type ValidationConfig = z.infer<typeof ValidationConfig>
