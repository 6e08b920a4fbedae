/** Solutions on their way: out as a file, in from a file, and copied from one workspace to another, which is both at
 *  once. What comes in comes in whole, in the caller's transaction, or not at all. */

import type { FieldError } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { solutions as contract, ImportedSolution, Skeleton, Solution } from '@flow/contract/solutions'
import { may } from '../auth/auth.ts'
import * as components from '../components/components.ts'
import type { Context } from '../context.ts'
import { conflict, Failure, forbidden, invalid } from '../failure.ts'
import { getWorkspace } from '../organizations/organizations.ts'
import { located, printFile, readFile, type SolutionFile } from './file.ts'
import { get, insert } from './finding.ts'
import { isOpen } from './rules.ts'
import { freeSlug } from './skeleton.ts'
import * as store from './store.ts'

type Ops = typeof contract
type Policy = Parsed<Ops['import']>['on_conflict']
type Options = Pick<Parsed<Ops['import']>, 'on_conflict' | 'visibility_level' | 'arm_triggers'>

export async function exportFile(ctx: Context, { solution_id }: Parsed<Ops['export']>): Promise<AsyncIterable<string>> {
  return inPieces(await printFile(await fileOf(ctx, solution_id)))
}

async function* inPieces(pieces: string[]): AsyncGenerator<string> {
  yield* pieces
}

/** Reads the file before the transaction begins. */
export async function prepareImport(_: Context, { file }: Parsed<Ops['import']>): Promise<SolutionFile> {
  const read = await readFile(file)
  const faults: FieldError[] = []
  for (const [list, each] of [read.components, read.uses].entries()) {
    for (const [i, component] of each.entries()) {
      const place = `${lists[list]}[${i}]`
      const found = components.movingFaults(component)
      faults.push(...found.map(({ field, message }) => ({ field: `${place}.${field}`, message })))
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  faults.push(...twice(read))
  if (faults.length > 0) throw invalid(await located(file, faults.slice(0, FAULTS_MAX)))
  return read
}

const lists = ['components', 'uses'] as const
const FAULTS_MAX = 100

export async function importFile(
  ctx: Context,
  { file, ...options }: Parsed<Ops['import']>,
  read: SolutionFile,
): Promise<ImportedSolution> {
  return bringIn(ctx, read, options).catch(async (error: unknown) => {
    if (!(error instanceof Failure) || error.details.length === 0) throw error
    throw new Failure(error.code, error.message, { details: await located(file, error.details.slice(0, FAULTS_MAX)) })
  })
}

export async function clone(ctx: Context, input: Parsed<Ops['clone']>): Promise<ImportedSolution> {
  const { solution_id, target_workspace_id, ...options } = input
  const file = await fileOf(ctx, solution_id)
  const { organization_id: org_id, actor } = ctx
  const workspace_id = target_workspace_id ?? ctx.workspace_id
  await getWorkspace(ctx, { org_id, workspace_id })
  if (!may(actor, 'solutions.write', { workspace_id })) {
    throw forbidden('This needs the permission "solutions.write", which you do not have in that workspace.')
  }

  const there = { ...ctx, workspace_id, solution_ids: undefined }
  return bringIn(there, { ...file, solution: { ...file.solution, status: 'draft' } }, options)
}

// ---- out

/** A solution that the caller may see, as a file. */
async function fileOf(ctx: Context, solution_id: string): Promise<SolutionFile> {
  const solution = await get(ctx, { solution_id })
  const isShown = solution.workspace_id === null
  const rows = isShown ? await store.shownContents(ctx, solution_id) : await store.contents(ctx, solution_id)
  const moving = components.movingOf(rows)
  const used = usedBy(moving, new Set(rows.flatMap(({ slug, is_member }) => (is_member ? [slug] : []))))
  const { slug, version, name, description, status, mermaid_source } = solution
  const skeleton = await store.skeletonOf(ctx, solution_id)
  const slugs = new Map(rows.map((row) => [row.id, row.slug]))
  return {
    format: 'flow-solution/1',
    solution: {
      slug,
      version,
      name,
      description,
      status,
      ...(mermaid_source === null ? {} : { mermaid_source }),
      ...(skeleton ? { skeleton: namedIn(skeleton, slugs) } : {}),
    },
    components: moving.filter((_, i) => rows[i]?.is_member),
    uses: moving.filter((component, i) => !rows[i]?.is_member && used.has(component.slug)),
  }
}

/** The slugs of what these use by their drafts and published versions, however far away. */
function usedBy(moving: components.MovingComponent[], begun: ReadonlySet<string>): ReadonlySet<string> {
  const bySlug = new Map(moving.map((component) => [component.slug, component]))
  const reached = new Set(begun)
  for (const slug of reached) {
    const component = bySlug.get(slug)
    for (const name of component ? components.namesIn(component) : []) if (bySlug.has(name)) reached.add(name)
  }
  return reached
}

/** What a flowchart was made into, by slugs. What is not in the file any more is left out. */
function namedIn({ nodes, workflow_id, unknown_shapes, left_out }: Skeleton, slugs: ReadonlyMap<string, string>) {
  return {
    nodes: nodes.flatMap(({ node_id, component_id }) => {
      const slug = slugs.get(component_id)
      return slug === undefined ? [] : [{ node_id, slug }]
    }),
    workflow: (workflow_id && slugs.get(workflow_id)) || null,
    unknown_shapes,
    left_out,
  }
}

// ---- in

/** A slug stands for one component of a file. */
function twice({ components, uses }: SolutionFile): FieldError[] {
  const seen = new Set<string>()
  return [components, uses].flatMap((list, l) =>
    list.flatMap(({ slug }, i) => {
      if (!seen.has(slug)) {
        seen.add(slug)
        return []
      }
      return [{ field: `${lists[l]}[${i}].slug`, message: `"${slug}" is in the file already.` }]
    }),
  )
}

async function bringIn(ctx: Context, file: SolutionFile, options: Options): Promise<ImportedSolution> {
  const { on_conflict, visibility_level, arm_triggers } = options
  const moving = [...file.components, ...file.uses]
  const places = lists.flatMap((list) => file[list].map((_, i) => `${list}[${i}]`))
  const here = await arrivalOf(ctx, file, on_conflict)
  const arrivals = await arrivalsOf(ctx, moving, places, on_conflict, here.faults)

  const ids = await components.bringIn(ctx, moving, arrivals, { places, arm_triggers })

  const { slug, version, name, description, status } = file.solution
  const solution_id =
    here.existing?.id ??
    (await insert(ctx, { slug: here.slug ?? slug, version, name, description, status, visibility_level }))
  const members = ids.slice(0, file.components.length)
  await store.addComponents(ctx, solution_id, members)
  const made = await get(ctx, { solution_id })
  if (!here.existing) await draw(ctx, made, file, new Map(moving.map((component, i) => [component.slug, ids[i] ?? ''])))
  if (status === 'completed' && !here.existing) await assertCompleted(made)

  return {
    ...(await get(ctx, { solution_id })),
    imported: moving.map(({ slug }, i) => {
      const arrival = arrivals.get(slug) ?? { slug }
      const action = arrival.existing_id ? 'skipped' : arrival.slug === slug ? 'created' : 'renamed'
      return { slug, arrived_as: arrival.slug, component_id: ids[i] ?? '', action }
    }),
  }
}

type Here = { slug?: string; existing?: Solution; faults: FieldError[] }

/** What becomes of the solution itself, where there is one of its slug and version. */
async function arrivalOf(ctx: Context, { solution }: SolutionFile, policy: Policy): Promise<Here> {
  const { slug, version } = solution
  const taken = await store.findVersion(ctx, slug, version)
  if (!taken) return { faults: [] }
  if (policy === 'rename') return { slug: freeSlug(slug, await store.slugsLike(ctx, slug)), faults: [] }
  const field = 'solution.version'
  if (policy === 'fail') {
    return { faults: [{ field, message: `There is a version ${version} of "${slug}" in this workspace.` }] }
  }
  const existing = await store.find(ctx, taken.id)
  if (existing && isOpen(existing.status)) return { existing, faults: [] }
  const message = existing
    ? `"${slug}" ${version} is here and ${existing.status}: nothing can be added to it.`
    : `There is a version ${version} of "${slug}" here that you cannot see.`
  return { faults: [{ field, message }] }
}

/** Where each component arrives. Refuses all conflicts at once where the policy is to fail. */
async function arrivalsOf(
  ctx: Context,
  moving: components.MovingComponent[],
  places: string[],
  policy: Policy,
  faults: FieldError[],
): Promise<Map<string, components.Arrival>> {
  const slugs = moving.map(({ slug }) => slug)
  const there = new Map((await store.componentsBySlug(ctx, slugs)).map((row) => [row.slug, row]))
  const taken = new Set([...(await components.slugsLike(ctx, slugs)), ...slugs])
  const arrivals = new Map<string, components.Arrival>()
  const conflicts = [...faults]
  for (const [i, { slug, type }] of moving.entries()) {
    const existing = there.get(slug)
    if (!existing) {
      arrivals.set(slug, { slug })
      continue
    }
    const say = (message: string) => conflicts.push({ field: `${places[i]}.slug`, message })
    if (policy === 'fail') say(`There is a component "${slug}" in this workspace.`)
    else if (policy === 'rename') {
      const free = freeSlug(slug, taken)
      taken.add(free)
      arrivals.set(slug, { slug: free })
    } else if (existing.type !== type)
      say(`"${slug}" is a ${existing.type} in this workspace, and a ${type} in the file.`)
    else arrivals.set(slug, { slug, existing_id: existing.id })
  }
  if (conflicts.length === 0) return arrivals
  const message = policy === 'fail' ? 'Send "on_conflict" to rename or to skip it.' : 'Nothing was imported.'
  throw conflict(
    `${conflicts.length} of the file ${conflicts.length === 1 ? 'is' : 'are'} taken. ${message}`,
    conflicts,
  )
}

/** The flowchart and what was made of it. */
async function draw(
  ctx: Context,
  made: Solution,
  { solution, components, uses }: SolutionFile,
  ids: Map<string, string>,
) {
  const types = new Map([...components, ...uses].map(({ slug, type }) => [slug, type]))
  const { mermaid_source = null, skeleton } = solution
  const slugs = await store.slugsOf(ctx, [...ids.values()])
  const drawn: Skeleton | null = skeleton
    ? {
        ...skeleton,
        nodes: skeleton.nodes.flatMap(({ node_id, slug }) => {
          const [component_id, type] = [ids.get(slug), types.get(slug)]
          return component_id && type ? [{ node_id, component_id, type, slug: slugs.get(component_id) ?? slug }] : []
        }),
        workflow_id: (skeleton.workflow && ids.get(skeleton.workflow)) || null,
      }
    : null
  await store.replace(ctx, { ...made, mermaid_source, skeleton: drawn })
}

async function assertCompleted({ slug, component_count, completed_count }: Solution): Promise<void> {
  if (component_count > 0 && completed_count === component_count) return
  const message = `"${slug}" is not completed: ${component_count - completed_count} of ${component_count} components have no published version.`
  throw invalid([{ field: 'solution.status', message }])
}
