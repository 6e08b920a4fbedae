/** What each part of the room does with a solution's row: finds it as the caller may see it, locks it, makes it. */

import type { Solution } from '@flow/contract/solutions'
import { type Context, newId } from '../context.ts'
import { conflict, notFound } from '../failure.ts'
import { versionOrder } from './rules.ts'
import * as store from './store.ts'

export async function get(ctx: Context, { solution_id }: { solution_id: string }): Promise<Solution> {
  const solution = (await store.find(ctx, solution_id)) ?? (await store.findShown(ctx, solution_id))
  if (!solution) throw notFound('solution', solution_id)
  return solution
}

/** One of the workspace, locked: what is shown by others can be read, not changed. */
export async function getForUpdate(ctx: Context, solution_id: string): Promise<Solution> {
  if (!(await store.lock(ctx, solution_id))) throw notFound('solution', solution_id)
  return get(ctx, { solution_id })
}

type New = Pick<Solution, 'slug' | 'version' | 'name' | 'description' | 'status' | 'visibility_level'>

/** The id of the new one. Its flowchart and what was made of it are written afterwards. */
export async function insert(ctx: Context, made: New): Promise<string> {
  const id = newId()
  const version_order = versionOrder(made.version)
  const by = { created_at: ctx.now, created_by: ctx.actor.user_id }
  if (await store.insert(ctx, { ...made, ...by, id, version_order, mermaid_source: null })) return id
  throw conflict(`There is a version ${made.version} of "${made.slug}" already. Choose another version, or slug.`, [
    { field: 'version', message: 'It is taken.' },
  ])
}
