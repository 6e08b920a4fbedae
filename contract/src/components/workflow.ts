/** Workflows as components: nodes, the edges between them, and what sets them off. Here is their shape; what makes a
 *  graph sound (references, cycles, expressions) is checked by the server when one is saved. */

import { z } from 'zod'
import { Json } from '../common.ts'
import { JsonSchema } from './code-block.ts'

/** A JSON value in which a string that is exactly `"{{ CEL }}"` stands for the expression's value. */
export const Template = Json.describe(
  'JSON in which a string that is exactly `{{ CEL }}` becomes the value of the expression, with its type; inside a ' +
    'longer string its text is put in. Variables: `input`, `nodes.<id>.output`, `vars`.',
)

const Cel = z.string().min(1).max(4000).describe('A CEL expression over `input`, `nodes` and `vars`.')

export const Retry = z
  .strictObject({
    max_attempts: z.int().min(1).max(100).default(1).describe('The first one included.'),
    backoff_seconds: z.number().min(0).max(86_400).default(1).describe('The pause before the second attempt.'),
    multiplier: z.number().min(1).max(10).default(2).describe('How much longer each further pause is.'),
    max_backoff_seconds: z.number().min(0).max(86_400).default(300),
  })
  .meta({ id: 'Retry' })
export type Retry = z.infer<typeof Retry>

const NodeId = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, 'Use letters, digits and underscores, beginning with a letter.')

/** What every node has. */
const node = {
  id: NodeId.describe(
    'Names the node in expressions: `nodes.<id>.output`. An id that is a word of CEL (`in`, `true`, `false`, `null`) is ' +
      'written in brackets: `nodes["in"].output`.',
  ),
  label: z.string().max(200).optional(),
  input: Template.optional().describe(
    'Without it the node gets the output of its one predecessor, an object by predecessor id if there are several, ' +
      "the execution's input if there is none.",
  ),
  retry: Retry.optional(),
  timeout_seconds: z.number().min(1).max(86_400).optional().describe('For each attempt; of a map for each item.'),
  on_error: z
    .enum(['fail', 'continue', 'route'])
    .default('fail')
    .describe(
      'When the last attempt failed. `fail`: the execution fails. `continue`: it goes on with `null` as the output. ' +
        '`route`: only the edges with `on: error` are taken. `nodes.<id>.error` says what happened.',
    ),
  join: z
    .enum(['all', 'any'])
    .default('all')
    .describe(
      '`all`: starts when every incoming edge is taken or can no longer be. `any`: starts with the first that is ' +
        'taken. A node none of whose edges is taken is skipped.',
    ),
}

const ComponentRef = z
  .string()
  .min(3)
  .max(200)
  .describe("A component's id or slug, optionally with a published version: `slug@1.2.0`.")

const CodeBlockNode = z.strictObject({
  ...node,
  type: z
    .enum(['code_block', 'codeblock'])
    .overwrite(() => 'code_block')
    .describe('`codeblock` is another spelling.'),
  component_ref: ComponentRef.describe('The code block; it is called with the input as named parameters.'),
})

const ConditionNode = z.strictObject({
  ...node,
  type: z.literal('condition'),
  condition: Cel.describe('A CEL expression; its value is the output, and edges decide by it.'),
})

const MapNode = z.strictObject({
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
})

const WaitNode = z.strictObject({
  ...node,
  type: z.literal('wait'),
  seconds: z.number().min(0).max(31_536_000).optional().describe('How long: up to a year.'),
  until: z.string().min(1).max(4000).optional().describe('An ISO 8601 time, or a `{{ CEL }}` that gives one.'),
})

/** The output of `wait` is its input: it passes through. */
export const WorkflowNode = z
  .discriminatedUnion('type', [CodeBlockNode, ConditionNode, MapNode, WaitNode])
  .meta({ id: 'WorkflowNode' })
export type WorkflowNode = z.infer<typeof WorkflowNode>

export const WorkflowEdge = z
  .strictObject({
    source: NodeId,
    target: NodeId,
    condition: Cel.optional().describe(
      'The edge is taken when this CEL expression is true. A bare name such as `priority` is a field of the ' +
        "source's output or, failing that, of the execution's input.",
    ),
    on: z
      .enum(['success', 'error'])
      .default('success')
      .describe(
        '`error`: taken when the source fails with `on_error: route`. A target without an `input` of its own then gets ' +
          'the error: `{code, message, node_id}`.',
      ),
  })
  .meta({ id: 'WorkflowEdge' })
export type WorkflowEdge = z.infer<typeof WorkflowEdge>

export const TriggerType = z.enum(['manual', 'webhook', 'schedule', 'event']).meta({ id: 'TriggerType' })
export type TriggerType = z.infer<typeof TriggerType>

/** The fields of a workflow's configuration, before their defaults. */
export const workflowFields = {
  workflow_type: z
    .enum(['sequential', 'parallel', 'graph', 'single'])
    .describe(
      '`sequential`: the nodes in their order; `parallel`: all at once; `single`: one node; `graph`: by edges.',
    ),
  trigger_type: TriggerType.describe('What sets it off besides `execute`.'),
  trigger_config: z
    .record(z.string(), Json)
    .describe('By the type a `WebhookTrigger`, `ScheduleTrigger` or `EventTrigger`. It counts as soon as it is armed.'),
  nodes: z.array(WorkflowNode).min(1).max(1000),
  edges: z.array(WorkflowEdge).max(5000),
  output: Template.describe(
    'Without it the result is the output of the one node that ends the graph, or an object by node id if several do.',
  ),
  vars: z.record(z.string(), Json).describe('Constants for the expressions.'),
  input_schema: JsonSchema.describe('A JSON Schema (2020-12) that the input of every execution has to fit.'),
  timeout_seconds: z.number().min(1).max(31_536_000).describe('For the whole execution, its waits included.'),
}

export const WorkflowConfig = z
  .strictObject({
    ...workflowFields,
    workflow_type: workflowFields.workflow_type.default('graph'),
    trigger_type: workflowFields.trigger_type.default('manual'),
    trigger_config: workflowFields.trigger_config.default({}),
    edges: workflowFields.edges.default([]),
    output: workflowFields.output.optional(),
    vars: workflowFields.vars.default({}),
    input_schema: workflowFields.input_schema.optional(),
    timeout_seconds: workflowFields.timeout_seconds.optional(),
  })
  .meta({ id: 'WorkflowConfig' })
export type WorkflowConfig = z.infer<typeof WorkflowConfig>
