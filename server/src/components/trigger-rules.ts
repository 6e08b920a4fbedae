/** What the trigger of a workflow means: its configuration with defaults, what is wrong with it, and the input that it
 *  makes of what sets it off. Decisions without I/O; what is armed is kept in triggers.ts. */

import type { FieldError } from '@flow/contract/common'
import {
  type EventTrigger,
  type ScheduleTrigger,
  triggers,
  type WebhookTrigger,
} from '@flow/contract/components/triggers'
import type { TriggerType, WorkflowConfig } from '@flow/contract/components/workflow'
import { compileExpression, compileTemplate, type Expression, ExpressionFault } from '../expressions/expressions.ts'
import { faultOf, isTimezone } from '../schedule.ts'
import { parseShape } from '../shape.ts'

export type Trigger =
  | { type: 'manual'; config: Record<string, never> }
  | { type: 'webhook'; config: WebhookTrigger }
  | { type: 'schedule'; config: ScheduleTrigger }
  | { type: 'event'; config: EventTrigger }

/** The one variable of a trigger's expressions. */
const variableOf: Record<TriggerType, string> = {
  manual: 'input',
  webhook: 'request',
  schedule: 'scheduled_for',
  event: 'event',
}

/** The trigger of a workflow that was found sound. */
export function triggerOf({ trigger_type, trigger_config }: WorkflowConfig): Trigger {
  if (trigger_type === 'manual') return { type: 'manual', config: {} }
  // The pair fits: each shape stands under its own type.
  return { type: trigger_type, config: triggers[trigger_type].parse(trigger_config) } as Trigger
}

export function triggerFaults({ trigger_type, trigger_config }: WorkflowConfig): FieldError[] {
  if (trigger_type === 'manual') return []
  const parsed = parseShape(triggers[trigger_type], trigger_config, 'trigger_config')
  if (parsed.faults) return parsed.faults
  const trigger = { type: trigger_type, config: parsed.value } as Exclude<Trigger, { type: 'manual' }>
  const faults = compileTemplate(trigger.config.input ?? null, { names: [variableOf[trigger_type]] }).faults.map(
    ({ place, message, column }) => at(`input${place}`, message, column),
  )
  if (trigger.type === 'schedule') faults.push(...scheduleFaults(trigger.config))
  if (trigger.type === 'webhook') faults.push(...webhookFaults(trigger.config))
  if (trigger.type === 'event' && trigger.config.filter !== undefined)
    faults.push(...filterFaults(trigger.config.filter))
  return faults
}

/** What an execution gets that is set off by `cause`. */
export function inputOf({ type, config }: Exclude<Trigger, { type: 'manual' }>, cause: unknown): unknown {
  if (config.input === undefined) return type === 'schedule' ? {} : cause
  const variable = variableOf[type]
  return compileTemplate(config.input, { names: [variable] }).template.render({ [variable]: cause })
}

/** Whether an event counts. A filter that cannot be evaluated for it is not true. */
export function meetsFilter({ filter }: EventTrigger, event: unknown): boolean {
  if (filter === undefined) return true
  try {
    return filterOf(filter).evaluate({ event }) === true
  } catch (error) {
    if (!(error instanceof ExpressionFault)) throw error
    return false
  }
}

const filterOf = (filter: string): Expression => compileExpression(filter, { names: ['event'] })

function scheduleFaults({ cron, timezone }: ScheduleTrigger): FieldError[] {
  const fault = faultOf(cron)
  return [
    ...(fault ? [at('cron', fault)] : []),
    ...(isTimezone(timezone)
      ? []
      : [at('timezone', `There is no time zone "${timezone}"; write Europe/Berlin or UTC.`)]),
  ]
}

function webhookFaults({ signature, timestamp_header, id_header }: WebhookTrigger): FieldError[] {
  const faults: FieldError[] = []
  if (timestamp_header !== undefined && signature !== 'hmac_sha256') {
    faults.push(at('timestamp_header', 'Only with "signature": "hmac_sha256": else nobody vouches for the time.'))
  }
  if (id_header !== undefined && signature === 'standard') {
    faults.push(at('id_header', 'By the Standard Webhooks rules it is always "webhook-id"; leave it out.'))
  }
  return faults
}

function filterFaults(filter: string): FieldError[] {
  try {
    const { type } = filterOf(filter)
    return type === 'bool' || type === 'dyn' ? [] : [at('filter', 'This gives no boolean.')]
  } catch (error) {
    if (!(error instanceof ExpressionFault)) throw error
    return [at('filter', error.message, error.column)]
  }
}

const at = (field: string, message: string, column = 0): FieldError => ({
  field: `trigger_config.${field}`,
  message: column > 0 ? `${message} (column ${column})` : message,
})
