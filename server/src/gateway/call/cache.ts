/** Answers that are given again: to the very same request, in the same workspace, for as long as its route or the
 *  request itself says. Of calls that do not stream and come at once, one is asked and the others wait for its answer;
 *  if it fails, each goes its own way, and if its client goes away, the next one is asked for the others.
 *
 *  The answers are in the memory of this process: another one asks for itself. Nothing is cached that failed. */

import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Headers } from '../front/exchange.ts'
import type { Pass } from '../front/sign-in.ts'
import type { Usage } from '../hub.ts'
import { refuse } from '../mouths/refuse.ts'
import type { CallRecord, Estimate, Policy, Route } from '../policies/policy.ts'
import { betasIn } from '../ways/native-way.ts'
import type { Wish } from '../ways/ways.ts'

export type Cached = {
  headers: Headers
  body: string | Buffer
  provider: string
  model: string
  usage: Usage
  /** What guardrails found in the answer, which is kept as they left it. */
  findings: CallRecord['findings']
}
/** The call that is asked for itself and for those who wait. */
export type Leading = {
  store(answer: Cached): void
  /** There is no answer for those who wait: each asks for itself. */
  giveUp(): void
  /** It was asked to the end by nobody: one of those who wait takes the lead. */
  leave(): void
}

export type Cache = {
  /** The answer, or the lead. A promise when another call is being answered. */
  find(key: CacheKey): Cached | Leading | Promise<Cached | Leading>
}
export type CacheKey = { name: string; seconds: number; mayWait: boolean }

/** What it may cost to give it again. */
export const estimateOf = ({ provider, model }: Cached): Estimate => ({
  model: `${provider}/${model}`,
  price: { input: 0, cached: 0, cache_written: 0, output: 0, call: 0 },
  input_tokens_max: 0,
  output_tokens_max: 0,
  answers: 1,
})

export const CACHED_BYTES_MAX = 64 * 1024 * 1024
export const CACHED_ANSWER_BYTES_MAX = 1024 * 1024
const SECONDS_MAX = 2_592_000

/** Under which name the answer is kept, if it is to be kept at all: by `x-flow-cache-seconds` (0: not) or the route.
 *  What other guardrails have let pass has another name: `guardrails` is the digest of these. So has what is asked of
 *  other targets, and what is asked of the provider by headers. */
export function cacheKeyOf(
  { caller }: Pass,
  policy: Policy,
  wish: Wish,
  body: Buffer,
  route: Pick<Route, 'cache_seconds' | 'targets'>,
  guardrails = '',
): CacheKey | undefined {
  const seconds = secondsOf(wish.headers['x-flow-cache-seconds']) ?? route.cache_seconds
  if (!seconds) return undefined
  const { organization_id, workspace_id } = caller
  const asked = JSON.stringify([route.targets.map(({ provider, model }) => [provider, model]), betasIn(wish.headers)])
  const name = createHash('sha256')
    .update(`${organization_id} ${workspace_id} ${policy.cache_epoch} ${wish.mouth} ${guardrails} ${asked}\n`)
    .update(body)
    .digest('base64url')
  return { name, seconds, mayWait: !wish.outline.stream }
}

function secondsOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  if (/^\d{1,7}$/.test(header) && Number(header) <= SECONDS_MAX) return Number(header)
  throw refuse(`x-flow-cache-seconds is a number from 0 to ${SECONDS_MAX}.`, 'x-flow-cache-seconds')
}

export function createCache(): Cache {
  const kept = new LRUCache<string, Cached>({
    maxSize: CACHED_BYTES_MAX,
    maxEntrySize: CACHED_ANSWER_BYTES_MAX,
    sizeCalculation: ({ body }) => body.length + 1_000,
  })
  const underway = new Map<string, Promise<Cached | 'none' | 'left'>>()

  const lead = ({ name, seconds, mayWait }: CacheKey): Leading => {
    const { promise, resolve } = Promise.withResolvers<Cached | 'none' | 'left'>()
    const isAlone = mayWait && !underway.has(name)
    if (isAlone) underway.set(name, promise)
    const done = (end: Cached | 'none' | 'left') => {
      if (isAlone) underway.delete(name)
      resolve(end)
    }
    return {
      store(answer) {
        kept.set(name, answer, { ttl: seconds * 1000 })
        done(answer)
      },
      giveUp: () => done('none'),
      leave: () => done('left'),
    }
  }
  const find = (key: CacheKey): ReturnType<Cache['find']> => {
    const known = kept.get(key.name)
    if (known) return known
    const waited = key.mayWait ? underway.get(key.name) : undefined
    if (!waited) return lead(key)
    return waited.then((end) => {
      if (end === 'left') return find(key)
      return end === 'none' ? lead(key) : end
    })
  }
  return { find }
}
