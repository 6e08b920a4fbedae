/** Solutions: versions of what people build, each with the components that belong to it. The door of the room.
 *
 *  A solution: draft → in_progress → completed → archived, and back (`nextStatuses`). `update` performs each of these; it
 *  is completed only when each of its components has a published version, and from then on nothing comes or goes.
 *  Whatever the caller may not see is not there: each reading goes through one condition of the store (`visible`), and
 *  what other organizations show through two functions of the database. */

import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { solutions as contract, Solution, SolutionComponent } from '@flow/contract/solutions'
import * as components from '../components/components.ts'
import type { Context } from '../context.ts'
import { conflict, Failure, invalid, notFound } from '../failure.ts'
import { moveGrants } from '../users/users.ts'
import { get, getForUpdate, insert } from './finding.ts'
import { type Flowchart, readFlowchart } from './flowchart.ts'
import { COMPONENTS_MAX, makeSkeleton, tooMany } from './making.ts'
import { clone, exportFile, importFile, prepareImport } from './moving.ts'
import { closedFault, isOpen, transitionFault } from './rules.ts'
import * as store from './store.ts'

type Ops = typeof contract

export { clone, exportFile as export, get, importFile as import }

/** Flowcharts and files are read before the transaction begins. */
export const prepares = {
  create: async (_: Context, { mermaid_source }: Parsed<Ops['create']>) => flowchartOf(mermaid_source),
  update: async (_: Context, { mermaid_source }: Parsed<Ops['update']>) => flowchartOf(mermaid_source),
  import: prepareImport,
}

const flowchartOf = async (source: string | null | undefined): Promise<Flowchart | undefined> =>
  source ? readFlowchart(source) : undefined

export const list = (ctx: Context, input: Parsed<Ops['list']>): Promise<Page<Solution>> => store.list(ctx, input)

export async function create(ctx: Context, input: Parsed<Ops['create']>, flowchart?: Flowchart): Promise<Solution> {
  const { based_on, mermaid_source, ...given } = input
  const before = based_on === undefined ? undefined : await store.find(ctx, based_on)
  if (based_on !== undefined && before?.workspace_id !== ctx.workspace_id) {
    throw invalid([{ field: 'based_on', message: `There is no solution "${based_on}" in this workspace.` }])
  }

  const id = await insert(ctx, { ...given, status: 'draft' })
  if (before) await store.copyComponents(ctx, before.id, id)

  const made = await get(ctx, { solution_id: id })
  const skeleton = flowchart ? await makeSkeleton(ctx, made, flowchart, before?.skeleton ?? null) : null
  if (skeleton) await store.replace(ctx, { ...made, mermaid_source: mermaid_source ?? null, skeleton })
  else if (before)
    await store.replace(ctx, { ...made, mermaid_source: before.mermaid_source, skeleton: before.skeleton })
  return get(ctx, { solution_id: id })
}

export async function update(ctx: Context, input: Parsed<Ops['update']>, flowchart?: Flowchart): Promise<Solution> {
  const { solution_id, status, status_reason, ...sent } = input
  const before = await getForUpdate(ctx, solution_id)
  if (status_reason !== undefined && status === undefined) {
    throw invalid([{ field: 'status_reason', message: 'Send it beside "status": it says why that changes.' }])
  }
  const isChanged = Object.values(sent).some((value) => value !== undefined)
  if (before.status === 'archived' && isChanged && (status ?? 'archived') === 'archived') {
    throw conflict(`"${before.slug}" is archived: it can be read, not changed. Set its status to "in_progress" first.`)
  }
  if (status) await assertBecomes(ctx, before, status)

  const reason = status && status !== before.status ? { status, status_reason: status_reason ?? null } : {}
  if (flowchart && !isOpen(status ?? before.status)) throw conflict(closedFault(before))
  const skeleton = flowchart ? await makeSkeleton(ctx, before, flowchart, before.skeleton) : before.skeleton
  const drawn = sent.mermaid_source === null || sent.mermaid_source === '' ? { mermaid_source: null } : {}
  await store.replace(ctx, { ...before, ...given(sent), ...drawn, ...reason, skeleton, updated_at: ctx.now })
  return get(ctx, { solution_id })
}

/** The components stay. Roles for this version are roles for another one of the solution from now on, or gone with it. */
export async function remove(ctx: Context, { solution_id }: { solution_id: string }): Promise<undefined> {
  const solution = await getForUpdate(ctx, solution_id)
  const sibling = await store.findSibling(ctx, solution)

  await store.remove(ctx, solution_id)
  await moveGrants(ctx, solution_id, sibling?.id)
}

export async function listVersions(ctx: Context, input: Parsed<Ops['listVersions']>): Promise<Page<Solution>> {
  const solution = await get(ctx, input)
  return solution.workspace_id === null
    ? store.listShownVersions(ctx, solution.id, input)
    : store.listVersions(ctx, solution, input)
}

export async function listComponents(
  ctx: Context,
  input: Parsed<Ops['listComponents']>,
): Promise<Page<SolutionComponent>> {
  const { workspace_id } = await get(ctx, input)
  return workspace_id === null ? store.listShownComponents(ctx, input) : store.listComponents(ctx, input)
}

export async function addComponent(ctx: Context, input: Parsed<Ops['addComponent']>): Promise<SolutionComponent> {
  const { solution_id } = input
  const solution = await getForUpdate(ctx, solution_id)
  if (!isOpen(solution.status)) throw conflict(closedFault(solution))
  if (solution.component_count >= COMPONENTS_MAX) {
    throw conflict(tooMany(solution.slug))
  }
  const component_id = input.component ? (await createIn(ctx, input.component)).id : await existing(ctx, input)

  await store.addComponents(ctx, solution_id, [component_id])

  const added = await store.findComponent(ctx, solution_id, component_id)
  if (!added) throw notFound('component', component_id)
  return added
}

export async function removeComponent(ctx: Context, input: Parsed<Ops['removeComponent']>): Promise<undefined> {
  const solution = await getForUpdate(ctx, input.solution_id)
  const { component_id } = input
  if (!(await store.findComponent(ctx, solution.id, component_id))) throw notFound('component', component_id)
  if (!isOpen(solution.status)) throw conflict(closedFault(solution))

  await store.removeComponent(ctx, solution.id, component_id)
}

export async function deploy(ctx: Context, input: Parsed<Ops['deploy']>): Promise<Solution> {
  const { slug } = await getForUpdate(ctx, input.solution_id)
  throw conflict(`"${slug}" cannot be deployed: this platform has no deployments.`)
}

// ---- what they share

async function assertBecomes(ctx: Context, before: Solution, status: Solution['status']): Promise<void> {
  const fault = transitionFault(before, status)
  if (fault) throw conflict(fault)
  if (status !== 'completed' || before.status === 'completed') return
  if (before.component_count === 0) throw conflict(`"${before.slug}" has no components: nothing is completed.`)
  const open = await store.unfinished(ctx, before.id)
  if (open.length === 0) return
  const count = before.component_count - before.completed_count
  const details = open.map(({ slug, type, id }) => ({ field: type, message: `Publish "${slug}" (${id}).` }))
  throw conflict(
    `"${before.slug}" is not completed: ${count} of its components ${count === 1 ? 'has' : 'have'} no published version.`,
    details,
  )
}

/** A component of the workspace that the caller may see. It does not go meanwhile. */
async function existing(ctx: Context, { component_id = '' }: { component_id?: string | undefined }): Promise<string> {
  await components.get(ctx, { component_id })
  if (!(await store.holdComponent(ctx, component_id))) throw notFound('component', component_id)
  return component_id
}

/** The fields of the component are below `component` here. */
const createIn = (ctx: Context, component: NonNullable<Parsed<Ops['addComponent']>['component']>) =>
  components.create(ctx, component).catch((error: unknown) => {
    if (!(error instanceof Failure) || error.code !== 'VALIDATION_ERROR') throw error
    throw invalid(error.details.map(({ field, message }) => ({ field: `component.${field}`, message })))
  })

/** Only what was sent. */
const given = <Fields extends object>(fields: Fields): Partial<Fields> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Fields>
