/** Every provider, replayed: one server that answers as the recorded exchanges tell (providers/exchanges/*.json). The
 *  model's name says which: `case-3` is the fourth exchange of its kind. Clients ask something plain; what they must
 *  understand stands in the exchange. */

import type { PlatformClient } from '@flow/sdk'
import { EventStreamCodec } from '@smithy/eventstream-codec'
import { openUpstream, type Upstream } from '../call/upstream-testing.ts'
import type { Json } from '../hub.ts'
import { type Exchange, exchangesOf, type Understood } from '../providers/exchanges-testing.ts'
import type { ProviderKind } from '../providers/provider.ts'

type Kind = Exclude<ProviderKind, 'flow'>
/** An id that is null was made by us. */
type Meant = Omit<Understood, 'calls'> & { calls: { id: string | null; name: string; arguments: Json }[] }

export type Case = {
  /** A true sentence. */
  name: string
  kind: Kind
  model: string
  stream: boolean
  n: number
  /** What a client understands: a choice each. */
  means?: Meant[]
  /** The status that a client is told. */
  status?: number
}

type Replay = {
  exchanges: string
  /** Behind the origin. */
  path: string
  options?: Record<string, string>
  key?: string
  framing?: 'aws'
  /** Behind the last piece. */
  end?: string
}

const kinds: Partial<Record<Kind, Replay>> = {
  openai: { exchanges: 'openai', path: '/v1', end: 'data: [DONE]\n\n' },
  azure: { exchanges: 'openai', path: '', options: { api_version: '2024-10-21' }, end: 'data: [DONE]\n\n' },
  anthropic: { exchanges: 'anthropic', path: '/v1' },
  gemini: { exchanges: 'gemini', path: '/v1beta' },
  cohere: { exchanges: 'cohere', path: '' },
  bedrock: {
    exchanges: 'bedrock',
    path: '',
    key: 'AKIDEXAMPLE:secret',
    framing: 'aws',
    options: { region: 'eu-west-1' },
  },
}

const sse = (type: string | null, data: string) => `${type ? `event: ${type}\n` : ''}data: ${data}\n\n`
const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString(),
  (text) => Buffer.from(text),
)
const frame = (type: string | null, data: string) => {
  const [text, kind] = ['string' as const, type?.endsWith('Exception') ? 'exception' : 'event']
  const headers = {
    [`:${kind}-type`]: { type: text, value: type ?? '' },
    ':message-type': { type: text, value: kind },
    ':content-type': { type: text, value: 'application/json' },
  }
  return codec.encode({ headers, body: Buffer.from(data) })
}

/** How a refusal of the provider reaches the client: what it says of our key is no word about the client's. */
const toldAs = (status: number) => ([401, 402, 403].includes(status) ? 502 : status)

/** An answer that is made of what was asked for means nothing without it. */
const needsItsRequest = ({ request }: Exchange) => request?.response_format !== undefined

function meantBy({ body, pieces }: Exchange, one: Understood): Meant {
  const said = JSON.stringify(body ?? pieces)
  return { ...one, calls: one.calls.map((call) => ({ ...call, id: said.includes(call.id) ? call.id : null })) }
}

function casesOf(kind: Kind, exchanges: Exchange[]): Case[] {
  return exchanges.flatMap((exchange, i): Case[] => {
    const { name, means, others = [], fault, pieces, request } = exchange
    const about = { name, kind, model: `case-${i}`, stream: pieces !== undefined, n: 1 + others.length }
    if (means && !needsItsRequest(exchange) && (exchange.body || pieces)) {
      const { usage: _usage, ...first } = means
      return [{ ...about, means: [first, ...others].map((one) => meantBy(exchange, one)) }]
    }
    if (fault?.status && exchange.status && !request) return [{ ...about, status: toldAs(fault.status) }]
    return []
  })
}

/** Sets up a provider of each kind for this organization; the cases are all that can be asked of them. */
export async function replayEverything(alice: PlatformClient): Promise<{ cases: Case[]; upstreams: Upstream[] }> {
  const upstreams: Upstream[] = []
  const cases: Case[] = []
  for (const [name, kind] of Object.entries(kinds) as [Kind, Replay][]) {
    const exchanges = exchangesOf(kind.exchanges)
    const upstream = await openUpstream((response, { url, body }) => {
      const [, at = ''] = /case-(\d+)/.exec(url) ?? /case-(\d+)/.exec(String(body.model)) ?? []
      const { status = 200, headers = {}, pieces, text, body: whole } = exchanges[Number(at)] ?? {}
      if (!pieces) {
        const type = text === undefined ? 'application/json' : 'text/html'
        return response
          .writeHead(status, { 'content-type': type, ...headers })
          .end(text === undefined ? JSON.stringify(whole) : text)
      }
      const type = kind.framing === 'aws' ? 'application/vnd.amazon.eventstream' : 'text/event-stream'
      response.writeHead(200, { 'content-type': type })
      for (const { event, data } of pieces) response.write((kind.framing === 'aws' ? frame : sse)(event, data))
      return response.end(kind.end ?? '')
    })
    upstreams.push(upstream)
    const base_url = `${upstream.base_url}${kind.path}`
    const { options, key = 'k' } = kind
    await alice.gateway.providers.create({
      name,
      kind: name,
      base_url,
      key,
      skip_test: true,
      ...(options && { options }),
    })
    for (const one of casesOf(name, exchanges)) {
      const route = `${name}-${one.model}`
      const targets = [{ provider: name, model: one.model }]
      // A refusal is told at once.
      await alice.gateway.routes.create({ name: route, targets, attempts_max: 1 })
      cases.push({ ...one, model: route })
    }
  }
  return { cases, upstreams }
}
