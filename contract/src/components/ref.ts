/** How components name each other. */

import { z } from 'zod'
import { Json } from '../common.ts'

export const ComponentRef = z
  .string()
  .min(3)
  .max(200)
  .describe("A component's id or slug, optionally with a published version: `slug@1.2.0`.")

export const FunctionRef = z
  .string()
  .min(3)
  .max(300)
  .regex(/^[^#]+(?:#[A-Za-z_$][A-Za-z0-9_$]{0,99})?$/, 'Use a code block, or one of its functions: `slug#function`.')
  .describe(
    'A function of a code block: `slug#function`, or `slug@1.2.0#function` of a published version. Without `#` it is ' +
      "the block's entry point.",
  )

export const Example = z.strictObject({ input: Json, output: Json })
