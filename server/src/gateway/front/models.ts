/** The models that an organization may call, as OpenAI's and Anthropic's clients list them: those that are named in its
 *  settings, and those that its providers say they have and that are open to callers. */

import { isOffered, wayOf } from '../call/route.ts'
import type { JsonObject, MouthName } from '../hub.ts'
import { Refusal } from '../mouths/mouth.ts'
import type { Policy, Provider } from '../policies/policy.ts'
import { flowModels } from '../providers/flow.ts'
import type { Catalog } from './catalog.ts'
import type { Asked } from './exchange.ts'
import { type Page, pageOf } from './pages.ts'

type Model = { id: string; owned_by: string }

/** All of them, or the one that the path names. Anthropic's clients read them page by page. */
export async function answerModels(
  policy: Policy,
  catalog: Catalog,
  { path, query }: Pick<Asked, 'path' | 'query'>,
  mouth: MouthName,
): Promise<JsonObject> {
  const say = mouth === 'messages' ? forAnthropic : forOpenAi
  const id = path.slice('/models/'.length)
  if (id !== '') {
    const way = wayOf(policy, id, { chance: 0, firstChunkMs: () => 0 })
    if (!('stops' in way)) throw new Refusal(way)
    return say({ id, owned_by: policy.routes.has(id) ? 'organization' : (way.stops[0]?.provider.name ?? '') })
  }
  const pageIn = mouth === 'messages' ? pageOf(query) : undefined
  const models = await modelsOf(policy, catalog)
  return pageIn ? told(pageIn(models)) : { object: 'list', data: models.map(say) }
}

const told = ({ items, has_more }: Page<Model>): JsonObject => ({
  data: items.map(forAnthropic),
  has_more,
  first_id: items[0]?.id ?? null,
  last_id: items.at(-1)?.id ?? null,
})

async function modelsOf(policy: Policy, catalog: Catalog): Promise<Model[]> {
  const byId = new Map<string, Model>()
  const add = (id: string, owned_by: string) => byId.set(id, { id, owned_by })
  for (const name of policy.routes.keys()) add(name, 'organization')
  for (const { targets } of policy.routes.values()) {
    for (const { provider, model } of targets) if (policy.providers.has(provider)) add(`${provider}/${model}`, provider)
  }
  const listed = [...policy.providers.values()].map(async (provider) => {
    for (const model of await namesOf(provider, catalog)) add(`${provider.name}/${model}`, provider.name)
  })
  await Promise.all(listed)
  return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
}

async function namesOf(provider: Provider, catalog: Catalog): Promise<readonly string[]> {
  const { kind, models } = provider
  if (kind === 'flow') return flowModels
  const named = models.filter((model) => !model.endsWith('*'))
  if (models.length > 0 && named.length === models.length) return named
  const offered = (await catalog.of(provider)).filter((model) => isOffered(provider, model))
  return [...named, ...offered]
}

/** Nobody tells when a model was made: it counts from the beginning of time. */
const forOpenAi = ({ id, owned_by }: Model): JsonObject => ({ id, object: 'model', created: 0, owned_by })
const forAnthropic = ({ id }: Model): JsonObject => ({
  type: 'model',
  id,
  display_name: id,
  created_at: new Date(0).toISOString(),
  lifecycle: 'active',
  ...untold,
})
/** What a model can do is known to its provider. */
const untold = {
  capabilities: null,
  deprecated_at: null,
  line: null,
  max_input_tokens: null,
  max_tokens: null,
  retires_at: null,
}
