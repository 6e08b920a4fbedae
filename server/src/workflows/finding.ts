/** Finds what an operation is about, or says that it is not there: a workflow, an execution, a definition to run. */

import type { Component } from '@flow/contract/components'
import type { WorkflowConfig } from '@flow/contract/components/workflow'
import * as components from '../components/components.ts'
import type { Context } from '../context.ts'
import { conflict, Failure, invalid, notFound } from '../failure.ts'
import type { Definition } from './beginning.ts'
import * as store from './store.ts'

export async function findWorkflow(ctx: Context, workflow_id: string): Promise<Component> {
  const component = await components.get(ctx, { component_id: workflow_id }).catch((error: unknown) => {
    throw error instanceof Failure && error.code === 'NOT_FOUND' ? notFound('workflow', workflow_id) : error
  })
  if (component.type !== 'workflow') throw notFound('workflow', workflow_id)
  return component
}

/** `hold`: it stays until the transaction ends. */
export async function findExecution(
  ctx: Context,
  at: { workflow_id: string; execution_id: string },
  options: { hold?: boolean } = {},
): Promise<store.ExecutionRow> {
  // What is left of a workflow that is gone is not there any more.
  await findWorkflow(ctx, at.workflow_id)
  const row = await store.find(ctx, at.workflow_id, at.execution_id, options)
  if (!row) throw notFound('execution', at.execution_id)
  return row
}

/** What is to be run: the version that is named, else the newest published one, else the draft. */
export async function definitionOf(
  ctx: Context,
  input: { workflow_id: string; version?: string | undefined },
): Promise<Definition> {
  const draft = await findWorkflow(ctx, input.workflow_id)
  if (draft.status === 'archived') throw conflict(`"${draft.slug}" is archived: nothing of it is started any longer.`)
  const isDraft = input.version === 'draft' || (input.version === undefined && draft.published_version === null)
  if (isDraft) return { workflow_id: draft.id, version: draft.version, config: configOf(draft) }
  const ref = input.version ? `${draft.id}@${input.version}` : draft.id
  const found = await components.resolve(ctx, ref, 'workflow')
  if (!found) throw invalid([{ field: 'version', message: `There is no version ${input.version} of this workflow.` }])
  return { workflow_id: draft.id, version: found.version, config: found.config as WorkflowConfig }
}

export function configOf(component: Component): WorkflowConfig {
  if (component.type !== 'workflow') throw notFound('workflow', component.id)
  return component.config
}
