/** What happens on the platform and can be listened to: by webhook subscriptions, and by workflows that an event
 *  starts. A type is `resource.action`. */

import { z } from 'zod'
import { Id, Timestamp } from './common.ts'
import { ExecutionError, ExecutionStatus } from './workflows.ts'

export const EventType = z.enum([
  'workflow.started',
  'workflow.waiting',
  'workflow.completed',
  'workflow.failed',
  'workflow.cancelled',
  'workflow.timed_out',
  'component.published',
])
export type EventType = z.infer<typeof EventType>

/** What a listener may ask for: a type, all of a resource, or all there are and will be. */
export const EventPattern = z
  .enum([...EventType.options, 'workflow.*', 'component.*', '*'])
  .meta({ id: 'EventPattern', description: 'A type of event, all types of a resource (`workflow.*`), or all (`*`).' })
export type EventPattern = z.infer<typeof EventPattern>

export const WorkflowEvent = z
  .object({
    execution_id: Id,
    workflow_id: Id,
    workflow_slug: z.string().nullable().describe('Null when the workflow was deleted meanwhile.'),
    workspace_id: Id,
    status: ExecutionStatus.describe('What the execution became with this event; it may be further by now.'),
    error: ExecutionError.nullable(),
    started_at: Timestamp.nullable(),
    waiting_until: Timestamp.nullable(),
    completed_at: Timestamp.nullable(),
    trigger: z.object({ type: z.string(), by: Id.nullable() }),
  })
  .meta({ id: 'WorkflowEvent', description: 'The data of a `workflow.…` event.' })
export type WorkflowEvent = z.infer<typeof WorkflowEvent>

export const ComponentEvent = z
  .object({ component_id: Id, type: z.string(), slug: z.string(), workspace_id: Id, version: z.string() })
  .meta({ id: 'ComponentEvent', description: 'The data of a `component.…` event.' })
export type ComponentEvent = z.infer<typeof ComponentEvent>

export type DataOf<Type extends EventType> = Type extends `workflow.${string}` ? WorkflowEvent : ComponentEvent
