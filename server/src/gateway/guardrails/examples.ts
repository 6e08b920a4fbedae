/** Vectors of the examples of topics: asked, and paid, for once, until the examples change, or the model that they are
 *  asked of. All that are kept have a bound together. */

import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Policy } from '../policies/policy.ts'

export type Vectors = Float32Array[]
/** Keeps what `ask` gives for these examples, as long as it was not asked in vain. */
export type Keep = (model: string, examples: readonly string[], ask: () => Promise<number[][]>) => Promise<Vectors>

/** Of all organizations together: 32 MiB. */
const NUMBERS_MAX = 8 * 1024 * 1024

export function keepExamples(): (policy: Policy) => Keep {
  const kept = new LRUCache<string, Promise<Vectors>>({ maxSize: NUMBERS_MAX })
  return (policy) => {
    const names = new WeakMap<readonly string[], string>()
    return (model, examples, ask) => {
      const name = names.get(examples) ?? nameOf(policy, model, examples)
      names.set(examples, name)
      const before = kept.get(name)
      if (before) return before
      const answer = ask().then((vectors) => vectors.map((vector) => Float32Array.from(vector)))
      const size = (vectors: Vectors) => vectors.reduce((sum, { length }) => sum + length, 1)
      kept.set(name, answer, { size: 1 })
      answer.then(
        (vectors) => kept.set(name, answer, { size: size(vectors) }),
        () => kept.delete(name),
      )
      return answer
    }
  }
}

function nameOf({ organization_id, routes, providers }: Policy, model: string, examples: readonly string[]): string {
  const [provider = ''] = model.split('/')
  const targets = routes.get(model)?.targets ?? [{ provider, model }]
  const asked = targets.map((target) => {
    const { kind, base_url, options } = providers.get(target.provider) ?? {}
    return [target.provider, target.model, kind, base_url, options]
  })
  const about = JSON.stringify([organization_id, asked, examples])
  return createHash('sha256').update(about).digest('base64url')
}
