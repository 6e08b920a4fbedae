/** What guardrails ask of others: vectors of a provider's model, by a call of the gateway itself, and code blocks, which
 *  run in the sandbox. Both are paid for by the organization, in the name of whoever made the call. */

import { executeFor } from '../../components/components.ts'
import type { Platform } from '../../context.ts'
import type { Front } from '../front/front.ts'
import type { Pass } from '../front/sign-in.ts'
import type { JsonObject } from '../hub.ts'
import { objectsOf, vectorOf } from '../providers/read.ts'
import type { Means } from './whole-rules.ts'

/** So long a call waits for one question of a guardrail. */
export const LOOK_SECONDS = 10

/** `ask` is the way into the gateway, which is open when the first guardrail looks. */
export function createMeans(platform: Platform, ask: Front['ask']): Means {
  return {
    async embed(model, texts, { caller, request_id, inside }) {
      const pass: Pass = {
        caller,
        actor_id: caller.key_id ?? caller.user_id,
        follow: () => () => {},
        is_unguarded: true,
        inside,
      }
      const signal = AbortSignal.timeout(LOOK_SECONDS * 1000)
      const response = await ask({ path: '/embeddings', body: { model, input: texts }, pass, request_id, signal })
      const answer = (await response.json()) as JsonObject
      if (!response.ok) throw new Error(`the embeddings of a guardrail were answered with ${response.status}`)
      const vectors = objectsOf(answer.data)
        .sort((a, b) => Number(a.index) - Number(b.index))
        .map(({ embedding }) => vectorOf(embedding))
      if (vectors.length !== texts.length || vectors.some(({ length }) => length === 0)) {
        throw new Error('the embeddings of a guardrail are not as many as its texts')
      }
      return vectors
    },
    run(component_id, input, { caller, inside }) {
      const { organization_id, user_id } = caller
      return executeFor(platform, { organization_id, user_id, component_id, input, seconds: LOOK_SECONDS, inside })
    },
  }
}
