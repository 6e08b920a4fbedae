/** Agents: a model with a prompt and tools, and how far it may go. */

import { z } from 'zod'
import { ComponentRef } from './ref.ts'

export const AgentConfig = z
  .strictObject({
    model_ref: ComponentRef.describe('The model.'),
    framework: z
      .enum(['pydantic_ai', 'langchain', 'google_adk', 'strands'])
      .default('pydantic_ai')
      .describe('Kept as it is given.'),
    tool_refs: z.array(ComponentRef).max(100).default([]),
    prompt_ref: ComponentRef.optional(),
    schema_refs: z
      .strictObject({ output: ComponentRef.optional().describe('The schema of the structured output.') })
      .default({}),
    state_ref: ComponentRef.optional(),
    observability_ref: ComponentRef.optional(),
    enable_conversations: z.boolean().default(false),
    persona_constraints: z.array(z.string().trim().min(1).max(2000)).max(50).default([]),
    certification_status: z.enum(['draft', 'certified', 'deprecated']).default('draft'),
    visibility: z.enum(['private', 'workspace', 'organization', 'marketplace']).default('workspace'),
    marketplace_publisher: z.string().trim().min(1).max(200).optional(),
    max_turns: z.int().min(1).max(100).default(10).describe('How often the model is called at most.'),
    max_tokens_total: z.int().min(1).max(100_000_000).optional(),
    max_credits: z.number().positive().max(1_000_000).optional(),
  })
  .meta({ id: 'AgentConfig' })
export type AgentConfig = z.infer<typeof AgentConfig>
