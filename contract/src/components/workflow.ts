/** Workflows as components: nodes, the edges between them, and what sets them off. */

import { z } from 'zod'
import { Json } from '../common.ts'
import { JsonSchema } from './code-block.ts'

/** A JSON value in which a string that is exactly `"{{ CEL }}"` stands for the expression's value. */
export const Template = Json.describe(
  'JSON in which a string that is exactly `{{ CEL }}` becomes the value of the expression, with its type; inside a ' +
    'longer string its text is put in. Variables: `input`, `nodes.<id>.output`, `vars`.',
)

export const Retry = z.strictObject({
  max_attempts: z.int().min(1).max(100).default(1).describe('The first one included.'),
  backoff_seconds: z.number().min(0).max(86_400).default(1),
  multiplier: z.number().min(1).max(10).default(2),
  max_backoff_seconds: z.number().min(0).max(86_400).default(300),
})

const NodeId = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, 'Use letters, digits and underscores, beginning with a letter.')

/** What every node has. */
const node = {
  id: NodeId.describe('Names the node in expressions: `nodes.<id>.output`.'),
  label: z.string().max(200).optional(),
  input: Template.optional().describe(
    'Without it the node gets the output of its one predecessor, an object by predecessor id if there are several, ' +
      "the execution's input if there is none.",
  ),
  retry: Retry.optional(),
  timeout_seconds: z.number().min(1).max(86_400).optional(),
  on_error: z.enum(['fail', 'continue', 'route']).default('fail'),
  join: z.enum(['all', 'any']).default('all'),
}

const ComponentRef = z
  .string()
  .min(3)
  .max(200)
  .describe("A component's id or slug, optionally with a published version: `slug@1.2.0`.")
const Cel = z.string().min(1).max(4000).describe('A CEL expression.')

export const WorkflowNode = z
  .discriminatedUnion('type', [
    z.strictObject({ ...node, type: z.literal('code_block'), component_ref: ComponentRef }),
    z.strictObject({ ...node, type: z.literal('condition'), condition: Cel.describe('Its value is the output.') }),
    z.strictObject({
      ...node,
      type: z.literal('map'),
      component_ref: ComponentRef.describe('The code block that is called once for each item.'),
      items: z.string().min(1).max(4000).describe('A `{{ CEL }}` that gives the list, at most 10,000 items.'),
      concurrency: z.int().min(1).max(100).default(10),
      on_item_error: z.enum(['fail', 'skip']).default('fail'),
    }),
    z.strictObject({
      ...node,
      type: z.literal('wait'),
      seconds: z.number().min(0).max(31_536_000).optional(),
      until: z.string().min(1).max(4000).optional().describe('An ISO 8601 time, or a `{{ CEL }}` that gives one.'),
    }),
  ])
  .meta({ id: 'WorkflowNode' })
export type WorkflowNode = z.infer<typeof WorkflowNode>

export const WorkflowEdge = z
  .strictObject({
    source: NodeId,
    target: NodeId,
    condition: Cel.optional().describe('The edge is taken when this CEL expression is true.'),
    on: z.enum(['success', 'error']).default('success').describe('`error`: taken when the source fails with `on_error: route`.'),
  })
  .meta({ id: 'WorkflowEdge' })
export type WorkflowEdge = z.infer<typeof WorkflowEdge>

export const WorkflowConfig = z
  .strictObject({
    workflow_type: z
      .enum(['sequential', 'parallel', 'graph', 'single'])
      .default('graph')
      .describe('`sequential`: the nodes in their order; `parallel`: all at once; `single`: one node; `graph`: by edges.'),
    trigger_type: z.enum(['manual']).default('manual'),
    trigger_config: z.record(z.string(), Json).default({}),
    nodes: z.array(WorkflowNode).min(1).max(1000),
    edges: z.array(WorkflowEdge).max(5000).default([]),
    output: Template.optional().describe(
      'Without it the result is the output of the last node, or an object by node id if several end the graph.',
    ),
    vars: z.record(z.string(), Json).default({}),
    input_schema: JsonSchema.optional(),
    timeout_seconds: z.number().min(1).max(31_536_000).optional(),
  })
  .meta({ id: 'WorkflowConfig' })
export type WorkflowConfig = z.infer<typeof WorkflowConfig>
