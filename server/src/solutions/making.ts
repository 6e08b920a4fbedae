/** Makes the components of a flowchart, in the transaction of whoever sends it. What is there already is never changed:
 *  a node that was in the flowchart before keeps its component. */

import type { Skeleton, Solution } from '@flow/contract/solutions'
import * as components from '../components/components.ts'
import type { Context } from '../context.ts'
import { conflict } from '../failure.ts'
import type { Flowchart } from './flowchart.ts'
import { skeletonOf } from './shapes.ts'
import { freeSlug, type Part, planOf, slugOf, workflowOf } from './skeleton.ts'
import * as store from './store.ts'

type Made = Skeleton['nodes'][number]

/** Components for what is new in the flowchart, added to the solution; and a workflow of the edges, unless one was made
 *  before. `before`: what was made of the flowchart until now. */
export async function makeSkeleton(
  ctx: Context,
  solution: Pick<Solution, 'id' | 'slug' | 'name' | 'component_count'>,
  flowchart: Flowchart,
  before: Skeleton | null,
): Promise<Skeleton> {
  const kept = await stillThere(ctx, flowchart, before)
  const { parts, unknown_shapes } = planOf(flowchart, new Set(kept.flatMap(({ node_id }) => node_id ?? [])))
  if (solution.component_count + parts.length + 2 > COMPONENTS_MAX) throw conflict(tooMany(solution.slug))

  const free = await freeSlugs(ctx, solution, parts)
  const make: Make = async ({ type, name, slug }, config) => {
    const part = { type, name, slug: free(slug), description: '', tags: [], version: '0.1.0', config: { ...config } }
    const { id } = await components.create(ctx, part)
    await store.addComponents(ctx, solution.id, [id])
    return { component_id: id, type, slug: part.slug }
  }
  const nodes = [...kept, ...(await makeParts(solution, parts, kept, make))]
  const slugs = new Map(nodes.flatMap(({ node_id, slug }) => (node_id === null ? [] : [[node_id, slug] as const])))
  const { workflow, left_out } = workflowOf(flowchart, slugs)
  const whole = { type: 'workflow' as const, name: solution.name, slug: workflowSlug(solution) }
  const workflow_id = before?.workflow_id ?? (workflow ? (await make(whole, workflow)).component_id : null)

  return { nodes, workflow_id, unknown_shapes, left_out }
}

export const COMPONENTS_MAX = 1000
export const tooMany = (slug: string) => `"${slug}" would have more than ${COMPONENTS_MAX} components; it cannot.`

type Make = (part: Pick<Part, 'type' | 'name' | 'slug'>, config: object) => Promise<Omit<Made, 'node_id'>>

const modelSlug = ({ slug }: Pick<Solution, 'slug'>) => slugOf(`${slug.slice(0, 70)} model`, 'model')
const workflowSlug = ({ slug }: Pick<Solution, 'slug'>) => slugOf(`${slug.slice(0, 70)} workflow`, 'workflow')

/** What was made of nodes that are in the flowchart still, as it is called now. */
async function stillThere(ctx: Context, { nodes }: Flowchart, before: Skeleton | null): Promise<Made[]> {
  if (!before) return []
  const drawn = new Set(nodes.map(({ id }) => id))
  const made = before.nodes.filter(({ node_id }) => node_id === null || drawn.has(node_id))
  const slugs = await store.slugsOf(
    ctx,
    made.map(({ component_id }) => component_id),
  )
  return made.flatMap((each) => {
    const slug = slugs.get(each.component_id)
    return slug === undefined ? [] : [{ ...each, slug }]
  })
}

/** Gives slugs that are free in the workspace, each once. */
async function freeSlugs(ctx: Context, solution: Pick<Solution, 'slug'>, parts: Part[]) {
  const wanted = [...parts.map((part) => part.slug), modelSlug(solution), workflowSlug(solution)]
  const taken = await components.slugsLike(ctx, wanted)
  return (slug: string): string => {
    const free = freeSlug(slug, taken)
    taken.add(free)
    return free
  }
}

async function makeParts(
  solution: Pick<Solution, 'slug' | 'name'>,
  parts: Part[],
  kept: Made[],
  make: Make,
): Promise<Made[]> {
  const made: Made[] = []
  // An agent has a model: one of the flowchart, or one that is made for all of them.
  const model = () => [...kept, ...made].find(({ type }) => type === 'model')?.slug
  for (const part of parts) {
    if (part.type === 'agent' && model() === undefined) {
      const shared = {
        type: 'model' as const,
        name: `${solution.name.slice(0, 190)}: model`,
        slug: modelSlug(solution),
      }
      made.push({ node_id: null, ...(await make(shared, skeletonOf.model('', { model: '' }))) })
    }
    const config = skeletonOf[part.type](part.label, { model: model() ?? '' })
    made.push({ node_id: part.node_id, ...(await make(part, config)) })
  }
  return made
}
