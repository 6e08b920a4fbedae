/** Calls a code block once for each item of a list. */

import { z } from 'zod'
import { ComponentRef } from '../components/ref.ts'
import { node } from './node.ts'

export const MapNode = z.strictObject({
  ...node,
  type: z.literal('map'),
  component_ref: ComponentRef.describe('The code block that is called once for each item.'),
  items: z.string().min(1).max(4000).describe('A `{{ CEL }}` that gives the list, at most 10,000 items.'),
  input: node.input.describe('The input of one call, with the variables `item` and `index`. Without it: the item.'),
  concurrency: z.int().min(1).max(100).default(10).describe('How many items run at a time.'),
  on_item_error: z
    .enum(['fail', 'skip'])
    .default('fail')
    .describe('`fail`: the node fails with the first item. `skip`: the item leaves `null` in its place in the output.'),
  max_failed_items: z
    .int()
    .min(0)
    .max(10_000)
    .optional()
    .describe('With `skip`: the node fails all the same when more items than this have failed.'),
})
