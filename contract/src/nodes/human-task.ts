/** Waits until a person has answered. */

import { z } from 'zod'
import { Role } from '../access.ts'
import { JsonSchema } from '../json-schema.ts'
import { node, TextTemplate } from './node.ts'

export const HumanTaskNode = z.strictObject({
  ...node,
  type: z.literal('human_task'),
  title: TextTemplate(500).describe('What is to be done, in a line; `{{ CEL }}` is replaced.'),
  description: TextTemplate(8000).optional(),
  form: JsonSchema.optional().describe(
    'A JSON Schema (2020-12) that the answer has to fit. Without it any object does.',
  ),
  assignees: z
    .array(TextTemplate(4000))
    .max(50)
    .default([])
    .describe('Who may answer: e-mail addresses or ids of users; `{{ CEL }}` is replaced.'),
  role: Role.optional().describe(
    'Whoever has this role may answer, too. With neither assignees nor a role, everybody may who may run workflows.',
  ),
  due_seconds: z.number().min(1).max(31_536_000).optional().describe('The due date, counted from the start.'),
  remind_seconds: z
    .number()
    .min(1)
    .max(31_536_000)
    .optional()
    .describe('When the assignees are reminded by e-mail, counted from the start.'),
  on_due: z
    .enum(['keep', 'expire'])
    .default('keep')
    .describe('`keep`: the task stays open, overdue. `expire`: the node fails with `EXPIRED`, and `on_error` decides.'),
})
