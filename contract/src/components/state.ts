/** State: what is remembered between runs, and what it looks like. The values themselves are kept by `state`. */

import { z } from 'zod'
import { Json } from '../common.ts'
import { JsonSchema } from '../json-schema.ts'

export const StateConfig = z
  .strictObject({
    persistence: z
      .enum(['none', 'session', 'long_term'])
      .default('session')
      .describe(
        '`none`: nothing is kept. `session`: gone when nobody wrote for `session_seconds`. `long_term`: stays.',
      ),
    session_seconds: z
      .int()
      .min(60)
      .max(31_536_000)
      .default(86_400)
      .describe('Of `session`: how long a scope stays after the last write.'),
    schema_definition: JsonSchema.optional().describe(
      'A JSON Schema (2020-12) of an object whose properties are the keys; every value that is written has to fit.',
    ),
    initial_values: z
      .record(z.string().min(1).max(200), Json)
      .default({})
      .describe('By key: what is read where nothing has been written yet.'),
  })
  .meta({ id: 'StateConfig' })
export type StateConfig = z.infer<typeof StateConfig>
