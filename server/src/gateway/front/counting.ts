/** `POST /messages/count_tokens`: how many tokens a request in Anthropic's format has. Where the model is one of
 *  Anthropic's, Anthropic is asked, and no model is. Elsewhere nobody can be asked: the number is an estimate, and its
 *  header says so. Nothing is written and nothing costs, so that no ledger is told of it. */

import { toldToClient } from '../call/retry.ts'
import { type Stop, wayOf } from '../call/route.ts'
import { askWhole } from '../call/whole.ts'
import { Findings } from '../guardrails/findings.ts'
import { screenRequest } from '../guardrails/guard.ts'
import { Looker } from '../guardrails/turns.ts'
import type { ChatRequest, JsonObject } from '../hub.ts'
import { Refusal } from '../mouths/mouth.ts'
import { chatMouths } from '../mouths/mouths.ts'
import { outlineOf } from '../mouths/outline.ts'
import type { Plane } from '../plane.ts'
import type { Policy, Route } from '../policies/policy.ts'
import { broken, withoutKey } from '../providers/faults.ts'
import { type Adapter, ProviderFault } from '../providers/provider.ts'
import { objectOf, parsed } from '../providers/read.ts'
import { tokensOf } from '../used.ts'
import { betasIn } from '../ways/native-way.ts'
import { adapterOf } from '../ways/ways.ts'
import { readJson } from './body.ts'
import type { Asked, Headers } from './exchange.ts'
import type { Pass } from './sign-in.ts'

export const COUNTING = '/messages/count_tokens'
const MOST = { wait_ms: 30_000, bytes: 1024 * 1024 }
/** What a large image costs at Anthropic, about. */
const IMAGE_TOKENS = 1_600

export type Count = { input_tokens: number; headers: Headers }

/** Throws a `Refusal`. */
export async function countTokens(plane: Plane, asked: Asked, pass: Pass): Promise<Count> {
  const { caller } = pass
  const given = readJson(asked.body)
  const { model } = outlineOf('messages', given)
  const policy = await plane.policies.policyOf(caller.organization_id)
  const way = wayOf(policy, model, { chance: 0, firstChunkMs: () => 0 })
  if (!('stops' in way)) throw new Refusal(way)
  const body = await guarded(plane, policy, way.route, given, pass, asked.request_id)
  const { text_bytes } = outlineOf('messages', body)
  const [stop] = way.stops
  const adapter = stop && adapterOf(stop)
  const headers: Headers = stop ? { 'x-flow-provider': stop.provider.name } : {}
  if (stop && adapter?.counting) {
    const input_tokens = await counted(plane, stop, adapter.counting, adapter, body, asked)
    return { input_tokens, headers }
  }

  // How much may be written is no part of the question.
  const read = chatMouths.messages?.read({ ...body, max_tokens: Number.MAX_SAFE_INTEGER })
  const input_tokens = tokensOf(text_bytes) + IMAGE_TOKENS * imagesIn(read)
  return { input_tokens, headers: { ...headers, 'x-flow-estimated': 'true' } }
}

/** What would be asked is counted: guardrails hold here, too. */
async function guarded(
  plane: Plane,
  policy: Policy,
  route: Route,
  body: JsonObject,
  { caller, inside }: Pass,
  request_id: string,
): Promise<JsonObject> {
  const part = plane.guards.of(policy, route)?.input
  if (!part) return body
  const asking = { caller, inside, request_id }
  const looker = new Looker()
  return screenRequest(part, 'messages', body, {
    side: 'input',
    findings: new Findings(),
    asking,
    looker,
    log: plane.log,
  })
}

async function counted(
  plane: Plane,
  stop: Stop,
  counting: NonNullable<Adapter['counting']>,
  adapter: Adapter,
  body: JsonObject,
  asked: Asked,
): Promise<number> {
  const outgoing = counting.request(stop.provider, stop.model, body)
  try {
    const sent = { ...outgoing, headers: { ...outgoing.headers, ...betasIn(asked.headers) } }
    const { status, headers, text } = await askWhole(plane.sendTo(stop.provider.kind), sent, stop.provider.name, MOST)
    if (status !== 200) throw new ProviderFault(adapter.fault(status, headers, text))
    const tokens = counting.answer(objectOf(parsed(text)))
    if (tokens !== undefined) return tokens
    throw broken(`${stop.provider.name} answered without a number of tokens.`, 'upstream_malformed')
  } catch (thrown) {
    if (!(thrown instanceof ProviderFault)) throw thrown
    const message = withoutKey(thrown.fault.message, stop.provider)
    throw new Refusal(toldToClient({ ...thrown.fault, message }, stop.provider.name))
  }
}

function imagesIn(request: ChatRequest | undefined): number {
  let images = 0
  for (const { content } of request?.messages ?? []) {
    if (!Array.isArray(content)) continue
    for (const { type } of content) if (type === 'image_url') images += 1
  }
  return images
}
