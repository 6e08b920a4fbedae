/** What the stories of workflows tell with: code blocks, workflows and executions in a line each. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { JsonValue } from '@flow/contract/common'
import type { Execution } from '@flow/contract/workflows'
import type { PlatformClient } from '@flow/sdk'

export const block = (alice: PlatformClient, slug: string, code: string, more: Record<string, JsonValue> = {}) =>
  alice.components.create({ type: 'code_block', name: slug, slug, config: { language: 'javascript', code, ...more } })

export const node = (id: string, component_ref: string, more: object = {}) => ({
  id,
  type: 'code_block' as const,
  component_ref,
  ...more,
})

export const edge = (source: string, target: string, more: object = {}) => ({ source, target, ...more })

let made = 0
export function workflow(alice: PlatformClient, more: object) {
  made += 1
  const named = { name: `Workflow ${made}`, slug: `workflow-${made}`, ...more }
  // Definitions of tests may be wrong on purpose.
  return alice.workflows.create(named as Parameters<PlatformClient['workflows']['create']>[0])
}

/** Makes a workflow and executes it to its end. */
export async function run(alice: PlatformClient, more: object, input: JsonValue = {}): Promise<Execution> {
  const { id } = await workflow(alice, more)
  return alice.workflows.execute({ workflow_id: id, input }, { wait: 60 })
}

export const statuses = (execution: Execution) =>
  Object.fromEntries(execution.nodes.map(({ id, status }) => [id, status]))

/** Waits for what will come; the test's own time limit ends it otherwise. */
export async function until<Value>(look: () => Promise<Value>, holds: (value: Value) => boolean): Promise<Value> {
  for (;;) {
    const value = await look()
    if (holds(value)) return value
    await sleep(10)
  }
}

/** For code: what it may know about where it runs. */
export const context = "const context = () => flow.call('context')"
