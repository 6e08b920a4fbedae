/** What references name, at this moment. */

import type { Component, ComponentType } from '@flow/contract/components'
import type { Context } from '../context.ts'
import * as store from './store.ts'

export type Resolved = Pick<Component, 'id' | 'slug' | 'version' | 'config' | 'type' | 'status'>

/** What a reference names: a component's id or slug, optionally `@version`. Without a version it is the newest
 *  published one, and the draft where nothing is published. */
export async function resolve(
  ctx: Context,
  ref: string,
  types: ComponentType | readonly ComponentType[],
): Promise<Resolved | undefined> {
  const [name = '', version] = ref.split('@')
  const component = await store.findByRef(ctx, name, typeof types === 'string' ? [types] : types)
  if (!component) return undefined
  const wanted = version ?? component.published_version
  if (!wanted) return { ...component, version: component.version }
  const kept = await store.findVersion(ctx, component.id, wanted)
  return kept && { ...component, version: kept.version, config: kept.config as Resolved['config'] }
}
