/** What every node of a workflow has, whatever its type. Each type is one file beside this one. */

import { z } from 'zod'
import { Json } from '../common.ts'

/** A JSON value in which a string that is exactly `"{{ CEL }}"` stands for the expression's value. */
export const Template = Json.describe(
  'JSON in which a string that is exactly `{{ CEL }}` becomes the value of the expression, with its type; inside a ' +
    'longer string its text is put in. Variables: `input`, `nodes.<id>.output`, `vars`, `execution`, `callbacks.<id>`.',
)

/** A text in which `{{ CEL }}` is replaced. */
export const TextTemplate = (max: number) => z.string().min(1).max(max)

export const Cel = z
  .string()
  .min(1)
  .max(4000)
  .describe('A CEL expression over `input`, `nodes`, `vars`, `execution` and `callbacks`.')

export const Retry = z
  .strictObject({
    max_attempts: z.int().min(1).max(100).default(1).describe('The first one included.'),
    backoff_seconds: z.number().min(0).max(86_400).default(1).describe('The pause before the second attempt.'),
    multiplier: z.number().min(1).max(10).default(2).describe('How much longer each further pause is.'),
    max_backoff_seconds: z.number().min(0).max(86_400).default(300),
    jitter: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe('How far a pause is left to chance, so that many do not come back at once: 0.1 is 10 % either way.'),
  })
  .meta({ id: 'Retry' })
export type Retry = z.infer<typeof Retry>

export const NodeId = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, 'Use letters, digits and underscores, beginning with a letter.')

export const node = {
  id: NodeId.describe(
    'Names the node in expressions: `nodes.<id>.output`. An id that is a word of CEL (`in`, `true`, `false`, `null`) is ' +
      'written in brackets: `nodes["in"].output`.',
  ),
  label: z.string().max(200).optional(),
  input: Template.optional().describe(
    'Without it the node gets the output of its one predecessor, an object by predecessor id if there are several, ' +
      "the execution's input if there is none.",
  ),
  when: Cel.optional().describe('The node is skipped unless this is true at the moment it would start.'),
  retry: Retry.optional(),
  timeout_seconds: z
    .number()
    .min(1)
    .max(31_536_000)
    .optional()
    .describe('For each attempt, what it waits for included; of a map for each item.'),
  on_error: z
    .enum(['fail', 'continue', 'route'])
    .default('fail')
    .describe(
      'When the last attempt failed. `fail`: the execution fails. `continue`: it goes on with `null` as the output. ' +
        '`route`: only the edges with `on: error` are taken. `nodes.<id>.error` says what happened.',
    ),
  join: z
    .union([z.enum(['all', 'any']), z.strictObject({ count: z.int().min(1).max(1000) })])
    .default('all')
    .describe(
      '`all`: starts when every incoming edge is taken or can no longer be. `any`: starts with the first that is ' +
        'taken; `{"count": n}` with the nth. A node that too few of its edges lead to is skipped.',
    ),
  cancels: z
    .array(NodeId)
    .min(1)
    .max(100)
    .optional()
    .describe('Nodes that are cancelled when this one has completed: those at work, those that wait, those not begun.'),
}
