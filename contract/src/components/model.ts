/** Models: which one is called, and how. */

import { z } from 'zod'
import { Json } from '../common.ts'

export const ModelName = z
  .string()
  .max(200)
  .regex(/^[a-z0-9][a-z0-9_.-]*\/\S+$/, 'Use `provider/name`, such as `openai/gpt-4o`.')

export const ModelConfig = z
  .strictObject({
    model: ModelName.describe('`provider/name`.'),
    provider: z.string().min(1).max(100).optional().describe('The first part of `model`, if it is given.'),
    mode: z.enum(['chat', 'embedding', 'completion', 'image_generation']).default('chat'),
    temperature: z.number().min(0).max(2).optional(),
    max_tokens: z.int().min(1).max(10_000_000).optional(),
    top_p: z.number().min(0).max(1).optional(),
    streaming: z.boolean().default(false),
    timeout_seconds: z.number().min(1).max(600).default(60),
    parameters: z.record(z.string().min(1).max(100), Json).default({}).describe('What else the provider is sent.'),
    fallbacks: z.array(ModelName).max(10).default([]).describe('Models that are asked in turn when this one fails.'),
  })
  .meta({ id: 'ModelConfig' })
export type ModelConfig = z.infer<typeof ModelConfig>
