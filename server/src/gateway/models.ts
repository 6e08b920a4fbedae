/** The models that an organization may call, as OpenAI's and Anthropic's clients list them. A provider whose models are
 *  all open is listed by those that are named somewhere: in its own list, or as a route's target. */

import type { JsonObject, MouthName } from './hub.ts'
import { Refusal } from './mouths/mouth.ts'
import type { Policy } from './policy.ts'
import { flowModels } from './providers/flow.ts'
import { wayOf } from './route.ts'

type Model = { id: string; owned_by: string }

/** All of them, or the one with this id. */
export function answerModels(policy: Policy, id: string, mouth: MouthName): JsonObject {
  const say = mouth === 'messages' ? forAnthropic : forOpenAi
  if (id !== '') {
    const way = wayOf(policy, id, { chance: 0, firstChunkMs: () => 0 })
    if (!('stops' in way)) throw new Refusal(way)
    return say({ id, owned_by: policy.routes.has(id) ? 'organization' : (way.stops[0]?.provider.name ?? '') })
  }
  const models = modelsOf(policy)
  const data = models.map(say)
  if (mouth !== 'messages') return { object: 'list', data }
  return { data, has_more: false, first_id: models[0]?.id ?? null, last_id: models.at(-1)?.id ?? null }
}

function modelsOf(policy: Policy): Model[] {
  const byId = new Map<string, Model>()
  const add = (id: string, owned_by: string) => byId.set(id, { id, owned_by })
  for (const name of policy.routes.keys()) add(name, 'organization')
  for (const { targets } of policy.routes.values()) {
    for (const { provider, model } of targets) if (policy.providers.has(provider)) add(`${provider}/${model}`, provider)
  }
  for (const { name, kind, models } of policy.providers.values()) {
    const named = kind === 'flow' && models.length === 0 ? flowModels : models
    for (const model of named) if (!model.endsWith('*')) add(`${name}/${model}`, name)
  }
  return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** Nobody tells when a model was made: it counts from the beginning of time. */
const forOpenAi = ({ id, owned_by }: Model): JsonObject => ({ id, object: 'model', created: 0, owned_by })
const forAnthropic = ({ id }: Model): JsonObject => ({
  type: 'model',
  id,
  display_name: id,
  created_at: new Date(0).toISOString(),
})
