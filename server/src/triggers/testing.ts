/** What the stories of triggers tell with: workflows that answer with their input, and calls from outside. */

import type { JsonValue } from '@flow/contract/common'
import type { PlatformClient } from '@flow/sdk'
import { testFlow } from '../testing.ts'
import { workflow } from '../workflows/testing.ts'

/** A workflow whose output is its input. */
export const echo = (alice: PlatformClient, trigger_type: string, trigger_config: JsonValue, more: object = {}) =>
  workflow(alice, {
    trigger_type,
    trigger_config,
    nodes: [{ id: 'one', type: 'condition', condition: 'true' }],
    output: '{{ input }}',
    ...more,
  })

/** The executions of a workflow, the oldest first. */
export async function executionsOf(alice: PlatformClient, workflow_id: string) {
  const { items } = await alice.workflows.listExecutions({ workflow_id, order: 'asc', limit: 100 })
  return Promise.all(items.map(({ id }) => alice.workflows.getExecution({ workflow_id, execution_id: id })))
}

type Sent = { method?: string; body?: string | Uint8Array<ArrayBuffer>; headers?: Record<string, string> }

/** Calls a webhook as somebody outside would. */
export async function call(workspace_id: string, path: string, { method = 'POST', body, headers = {} }: Sent = {}) {
  const { fetch } = await testFlow()
  const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
  const response = await fetch(`/hooks/${workspace_id}/${path}`, { method, body, headers: { ...type, ...headers } })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    body: (text === '' ? undefined : JSON.parse(text)) as Record<string, JsonValue>,
  }
}
