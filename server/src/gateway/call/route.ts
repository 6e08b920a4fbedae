/** Where a call goes: from the name that the client gave to the targets, best first. Decided from what is in memory;
 *  chance and the times of late are handed in. */

import type { Fault } from '../hub.ts'
import type { Outline } from '../mouths/outline.ts'
import type { Estimate, Policy, Provider, Route, Target, Timeouts } from '../policies/policy.ts'
import { flowModels } from '../providers/flow.ts'

/** A target with the provider that it names. */
export type Stop = { provider: Provider; model: string }
export type Way = { route: Route; stops: Stop[] }

export const usualTimeouts: Timeouts = {
  connect: 5_000,
  first_chunk: 120_000,
  between_chunks: 60_000,
  total: 600_000,
}
const ATTEMPTS_MAX = 2

/** What a plain `provider/model` is. */
export const plainRoute = (provider: string, model: string): Route => ({
  name: `${provider}/${model}`,
  strategy: 'ordered',
  targets: [{ provider, model, weight: 1 }],
  attempts_max: ATTEMPTS_MAX,
  timeouts: usualTimeouts,
  hedge_after_ms: null,
  cache_seconds: null,
  guardrails: [],
})

export type Known = {
  /** From 0 up to 1. */
  chance: number
  /** Milliseconds to the first chunk of late; 0: unknown, which is worth a try. */
  firstChunkMs(provider: Provider, model: string): number
}

/** The targets of a name in the order in which they are asked, or why there are none. */
export function wayOf(policy: Policy, name: string, known: Known): Way | Fault {
  const route = policy.routes.get(name)
  if (route) {
    const stops = ordered(policy, route, known)
    return stops.length > 0 ? { route, stops } : unknownModel(name)
  }
  const slash = name.indexOf('/')
  const provider = policy.providers.get(name.slice(0, slash))
  const model = name.slice(slash + 1)
  if (slash < 1 || model === '' || !provider || !isOffered(provider, model)) return unknownModel(name)
  return { route: plainRoute(provider.name, model), stops: [{ provider, model }] }
}

/** Whether a provider's models are open to callers: by name, by a beginning with `*`, or all. */
export const isOffered = (provider: Provider, model: string): boolean =>
  (provider.models.length === 0 && (provider.kind !== 'flow' || flowModels.some((name) => name === model))) ||
  provider.models.some((name) => (name.endsWith('*') ? model.startsWith(name.slice(0, -1)) : name === model))

// What exists for others and what exists for nobody are told apart by nobody.
const unknownModel = (name: string): Fault => ({
  status: 404,
  type: 'invalid_request_error',
  code: 'model_not_found',
  message: `The model "${name.slice(0, 200)}" does not exist here, or you may not call it. GET /models lists those that you may.`,
  param: 'model',
})

function ordered(policy: Policy, route: Route, known: Known): Stop[] {
  const stops = route.targets.flatMap(({ provider: name, model }) => {
    const provider = policy.providers.get(name)
    return provider ? [{ provider, model }] : []
  })
  if (route.strategy === 'weighted') return drawnFirst(route.targets, stops, known.chance)
  if (route.strategy === 'ordered') return stops
  return stops
    .map((stop) => ({ stop, ms: known.firstChunkMs(stop.provider, stop.model) }))
    .sort((a, b) => a.ms - b.ms)
    .map(({ stop }) => stop)
}

/** The one that chance has drawn, then the others in their order. */
function drawnFirst(targets: readonly Target[], stops: Stop[], chance: number): Stop[] {
  const weightOf = ({ provider, model }: Stop) =>
    targets.find((target) => target.provider === provider.name && target.model === model)?.weight ?? 0
  const weights = stops.map(weightOf)
  const sum = weights.reduce((all, weight) => all + weight, 0)
  let left = chance * sum
  const drawn = weights.findIndex((weight) => {
    left -= weight
    return left < 0
  })
  const [first] = drawn < 0 ? [] : stops.splice(drawn, 1)
  return first ? [first, ...stops] : stops
}

/** What the call may cost at most at each of its targets. */
export function estimatesOf(
  policy: Policy,
  stops: Stop[],
  { n, input_tokens_max, output_tokens_max }: Outline,
): Estimate[] {
  const output = output_tokens_max === null ? null : output_tokens_max * n
  return stops.map(({ provider, model }) => ({
    model: `${provider.name}/${model}`,
    price: policy.priceOf(provider.name, model),
    input_tokens_max,
    output_tokens_max: output,
    answers: n,
  }))
}
