/** Workflows as components: nodes, the edges between them, and what sets them off. Here is their shape; what makes a
 *  graph sound (references, cycles, expressions) is checked by the server when one is saved. */

import { z } from 'zod'
import { Json } from '../common.ts'
import { JsonSchema } from '../json-schema.ts'
import { CodeBlockNode } from '../nodes/code-block.ts'
import { ConditionNode } from '../nodes/condition.ts'
import { HttpNode } from '../nodes/http.ts'
import { HumanTaskNode } from '../nodes/human-task.ts'
import { LaterNode } from '../nodes/later.ts'
import { MapNode } from '../nodes/map.ts'
import { Cel, NodeId, Template } from '../nodes/node.ts'
import { PromptNode } from '../nodes/prompt.ts'
import { ToolNode } from '../nodes/tool.ts'
import { TransformNode } from '../nodes/transform.ts'
import { ValidationNode } from '../nodes/validation.ts'
import { WaitNode } from '../nodes/wait.ts'
import { WebhookWaitNode } from '../nodes/webhook-wait.ts'
import { WorkflowNode as ChildNode } from '../nodes/workflow.ts'
import { ComponentRef } from './ref.ts'

/** The types there are. A new type is a new file and a new line. */
export const WorkflowNode = z
  .discriminatedUnion('type', [
    CodeBlockNode,
    ConditionNode,
    HttpNode,
    HumanTaskNode,
    LaterNode,
    MapNode,
    PromptNode,
    ToolNode,
    TransformNode,
    ValidationNode,
    WaitNode,
    WebhookWaitNode,
    ChildNode,
  ])
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
  output_schema: JsonSchema.describe('A JSON Schema that the result has to fit; else the execution fails.'),
  timeout_seconds: z.number().min(1).max(31_536_000).describe('For the whole execution, its waits included.'),
  concurrency: z
    .strictObject({
      limit: z.int().min(1).max(10_000).describe('How many executions run at a time; the others are queued.'),
      key: Cel.optional().describe('Counted apart for each value of this CEL expression over `input` and `vars`.'),
    })
    .describe('An execution takes its place when it starts and keeps it until it has ended, its waits included.'),
  priority: z.int().min(-100).max(100).describe('Of queued executions, those with more come first.'),
  observability_ref: ComponentRef.describe(
    'A component of the type `observability`: what is traced of executions, and how long they are kept.',
  ),
  retention_days: z
    .int()
    .min(1)
    .max(3650)
    .describe('Executions are deleted so long after they have ended; without it, as the operator has set.'),
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
    output_schema: workflowFields.output_schema.optional(),
    timeout_seconds: workflowFields.timeout_seconds.optional(),
    concurrency: workflowFields.concurrency.optional(),
    priority: workflowFields.priority.default(0),
    observability_ref: workflowFields.observability_ref.optional(),
    retention_days: workflowFields.retention_days.optional(),
  })
  .meta({ id: 'WorkflowConfig' })
export type WorkflowConfig = z.infer<typeof WorkflowConfig>
