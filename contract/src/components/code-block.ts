/** Code blocks: a function in one of five languages, with its limits. */

import { z } from 'zod'
import { JsonSchema } from '../json-schema.ts'
import { Example } from './ref.ts'

export const CodeBlockConfig = z
  .strictObject({
    language: z.enum(['python', 'typescript', 'javascript', 'sql', 'bash']),
    code: z
      .string()
      .min(1)
      .max(262_144)
      .describe('An ES module that exports the entry point, or Python that defines it. At most 256 KiB.'),
    entry_point: z
      .string()
      .regex(/^[A-Za-z_$][A-Za-z0-9_$]{0,99}$/, 'Use the name of a function that the code has.')
      .default('main')
      .describe(
        'The function that is called: with the input as one object of named parameters, in Python as named parameters.',
      ),
    dependencies: z
      .array(z.string().min(1).max(200))
      .max(100)
      .default([])
      .describe(
        'Packages of Python, by name or `name==version`, out of those that the operator has placed. Others are refused at publish.',
      ),
    modules: z
      .array(
        z.strictObject({
          name: z
            .string()
            .max(200)
            .regex(
              /^(?:@[a-z0-9][a-z0-9._-]*\/)?[A-Za-z0-9][A-Za-z0-9._-]*(?:\/[A-Za-z0-9][A-Za-z0-9._-]*)*$/,
              'Use a name as of a package: letters, digits, ".", "_" and "-", in parts with "/" between them.',
            )
            .describe('What the code imports it by.'),
          code: z.string().min(1).max(524_288),
        }),
      )
      .max(20)
      .default([])
      .describe(
        'Of JavaScript and TypeScript: bundled ES modules of JavaScript that the code may import by name, and that may ' +
          'import each other. At most 512 Ki characters together.',
      ),
    timeout_seconds: z.number().min(1).max(300).default(30),
    memory_mb: z.int().min(16).max(512).default(128),
    max_concurrent_runs: z
      .int()
      .min(1)
      .max(1000)
      .optional()
      .describe('How many of its runs are at work at a time, in each process of Flow; the others wait for their turn.'),
    input_schema: JsonSchema.optional().describe(
      'A JSON Schema (2020-12) that every input has to fit: a node whose input does not fails with `INVALID_INPUT`.',
    ),
    output_schema: JsonSchema.optional().describe(
      'A JSON Schema (2020-12) that every output has to fit: a node whose output does not fails with `INVALID_OUTPUT`.',
    ),
    network: z
      .array(z.string().min(1).max(253))
      .max(50)
      .default([])
      .describe(
        'Hosts the code may call with `fetch`, such as `api.example.com` or `example.com:8443`. Others are refused.',
      ),
    examples: z
      .array(Example)
      .max(50)
      .default([])
      .describe('Calls with what they give. All are run by `test` and `publish`.'),
  })
  .meta({ id: 'CodeBlockConfig' })
export type CodeBlockConfig = z.infer<typeof CodeBlockConfig>
