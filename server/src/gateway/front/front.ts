/** The data plane's doors. `/api/v1/gateway/v1/…` does not go through the edge: Node's server hands its requests here
 *  before any framework, and a `Request` in the process reaches the very same code. A door matches, lets in and reads:
 *  methods, cross-origin rules, ids, the size and kind of the body. Everything after that is the call's (call/call.ts).
 *
 *  Each refusal is in the format of the mouth that was spoken to. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Config } from '../../config.ts'
import { newId } from '../../context.ts'
import { Failure } from '../../failure.ts'
import { Call } from '../call/call.ts'
import { internal, toldBy } from '../faults.ts'
import type { MouthName } from '../hub.ts'
import { Refusal } from '../mouths/mouth.ts'
import type { Plane } from '../plane.ts'
import { readJson } from './body.ts'
import { COUNTING, countTokens } from './counting.ts'
import type { Asked, Headers, Reply } from './exchange.ts'
import { answerModels } from './models.ts'
import { RequestReply, SocketReply } from './replies.ts'
import { type Credentials, faultOf, type Pass } from './sign-in.ts'
import { faultBody, faultHeaders, withId } from './speaking.ts'

export const PREFIX = '/api/v1/gateway/v1'
export const BODY_BYTES_MAX = 32 * 1024 * 1024

export type Front = {
  prefix: string
  answer(request: IncomingMessage, response: ServerResponse): void
  respond(request: Request, peer?: string): Promise<Response>
  /** From inside: whoever calls is known already. */
  ask(question: Question): Promise<Response>
}

/** A call that is made in the process; without a body it lists what there is. */
export type Question = {
  /** Below the prefix: `/chat/completions`. */
  path: string
  body?: object
  pass: Pass
  request_id: string
  signal: AbortSignal
  idempotency_key?: string
}

type Settings = Pick<Config, 'cors_origins' | 'trust_proxy'>
/** Collects the body, or says that it is too large. Returns how to stop: what still comes is thrown away. */
type Collect = (bytes_max: number, done: (body: Buffer) => void, tooLarge: () => void) => () => void

const mouths: Record<string, MouthName> = {
  '/chat/completions': 'chat',
  '/completions': 'completions',
  '/responses': 'responses',
  '/messages': 'messages',
  '/embeddings': 'embeddings',
  '/rerank': 'rerank',
}

export function createFront(plane: Plane, settings: Settings): Front {
  return {
    prefix: PREFIX,
    answer(request, response) {
      const headers = request.headers as Asked['headers']
      const peer = request.socket.remoteAddress
      const asked = askedOf(settings, request.method ?? 'GET', request.url ?? '', headers, peer)
      const reply = new SocketReply(response, corsOf(settings, headers.origin))
      match(plane, asked, reply, (bytes_max, done, tooLarge) => collect(request, bytes_max, done, tooLarge))
    },
    respond(request, peer) {
      const headers = Object.fromEntries(request.headers)
      const { pathname, search } = new URL(request.url)
      const asked = askedOf(settings, request.method, pathname + search, headers, peer)
      const reply = new RequestReply(request.signal, corsOf(settings, headers.origin))
      match(plane, asked, reply, (bytes_max, done, tooLarge) => {
        request.arrayBuffer().then(
          (bytes) => (bytes.byteLength > bytes_max ? tooLarge() : done(Buffer.from(bytes))),
          () => reply.leave(),
        )
        return () => {}
      })
      return request.method === 'HEAD' ? reply.response.then((told) => new Response(null, told)) : reply.response
    },
    ask({ path, body, pass, request_id, signal, idempotency_key }) {
      const headers: Asked['headers'] = { 'content-type': 'application/json', 'idempotency-key': idempotency_key }
      const text = Buffer.from(body ? JSON.stringify(body) : '')
      const method = body ? 'POST' : 'GET'
      const began = performance.now()
      const { inside } = pass
      const asked: Asked = {
        id: newId(),
        method,
        path,
        query: '',
        headers,
        body: text,
        request_id,
        address: 'local',
        began,
        inside,
      }
      const reply = new RequestReply(signal, undefined)
      const mouth = mouths[path]
      if (mouth) new Call(plane, mouth, asked, reply, readJson).run(pass)
      else list(plane, asked, reply, 'chat', pass)
      return reply.response
    },
  }
}

function askedOf(
  { trust_proxy }: Settings,
  method: string,
  url: string,
  headers: Asked['headers'],
  peer: string | undefined,
): Asked {
  const query = url.indexOf('?')
  const path = url.slice(PREFIX.length, query < 0 ? undefined : query)
  const given = headers['x-request-id']
  const id = newId()
  const forwarded = trust_proxy ? headers['x-forwarded-for']?.split(',').at(-1)?.trim() : undefined
  return {
    method,
    path: path.includes('%') ? decoded(path) : path,
    query: query < 0 ? '' : url.slice(query + 1),
    headers,
    body: NOTHING,
    id,
    request_id: given && UUID.test(given) ? given : id,
    address: plain(forwarded || peer || 'local'),
    began: performance.now(),
  }
}

/** An IPv4 address that came in over IPv6, as itself. */
const plain = (address: string) => (address.startsWith('::ffff:') ? address.slice(7) : address)

const NOTHING = Buffer.alloc(0)
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

function match(plane: Plane, asked: Asked, reply: Reply, collect: Collect) {
  const mouth = mouths[asked.path]
  const isListing = asked.path === '/models' || asked.path.startsWith('/models/')
  const isCounting = asked.path === COUNTING
  const speaks = mouth ?? (isCounting || asked.headers['anthropic-version'] ? 'messages' : 'chat')
  try {
    if (asked.method === 'OPTIONS') return reply.send(204, preflight(asked), '')
    if (isListing) return list(plane, asked, reply, speaks)
    if (!mouth && !isCounting) throw nothingHere(asked.path)
    if (asked.method !== 'POST') throw onlyBy('POST')
    checkKind(asked.headers)
    read(plane, speaks, asked, reply, collect, (pass) => {
      if (mouth) new Call(plane, mouth, asked, reply, readJson).run(pass)
      else count(plane, asked, reply, pass)
    })
  } catch (thrown) {
    refuse(plane, speaks, asked, reply, thrown)
  }
}

/** The body is collected while it is found out who calls; who may not is answered before it is read. Node throws away
 *  what still comes of it, so that the client is not cut off while it sends and reads its answer. */
function read(
  plane: Plane,
  mouth: MouthName,
  asked: Asked,
  reply: Reply,
  collect: Collect,
  run: (pass: Pass | Promise<Pass>) => void,
): void {
  if (Number(asked.headers['content-length'] ?? 0) > BODY_BYTES_MAX) throw tooLarge()
  const pass = plane.signIn.of(credentialsOf(asked))
  let isOver = false
  const once = (work: () => void) => {
    if (isOver) return
    isOver = true
    work()
  }
  const stop = collect(
    BODY_BYTES_MAX,
    (body) =>
      once(() => {
        asked.body = body
        run(pass)
      }),
    () => once(() => refuse(plane, mouth, asked, reply, tooLarge())),
  )
  if (!(pass instanceof Promise)) return
  pass.catch((thrown: unknown) =>
    once(() => {
      stop()
      refuse(plane, mouth, asked, reply, thrown)
    }),
  )
}

function list(plane: Plane, asked: Asked, reply: Reply, speaks: MouthName, known?: Pass): void {
  if (asked.method !== 'GET' && asked.method !== 'HEAD') throw onlyBy('GET, HEAD')
  const work = async () => {
    const pass: Pass = known ?? (await plane.signIn.of(credentialsOf(asked)))
    const left = await spend(plane, pass)
    const policy = await plane.policies.policyOf(pass.caller.organization_id)
    const answer = await answerModels(policy, plane.catalog, asked, speaks)
    reply.send(200, { ...usual(speaks, asked), ...left }, JSON.stringify(answer))
  }
  work().catch((thrown: unknown) => refuse(plane, speaks, asked, reply, thrown))
}

function count(plane: Plane, asked: Asked, reply: Reply, pass: Pass | Promise<Pass>): void {
  const work = async () => {
    const known = await pass
    const left = await spend(plane, known)
    const { input_tokens, headers } = await countTokens(plane, asked, known)
    reply.send(200, { ...headers, ...usual('messages', asked), ...left }, JSON.stringify({ input_tokens }))
  }
  work().catch((thrown: unknown) => refuse(plane, 'messages', asked, reply, thrown))
}

/** No budget bounds what costs nothing: it counts as a request of the management API. */
async function spend(plane: Plane, { actor_id, inside }: Pass): Promise<Headers> {
  if (inside) return {}
  return plane.spend(actor_id).catch((thrown: unknown) => {
    throw thrown instanceof Failure ? new Refusal(faultOf(thrown)) : thrown
  })
}

const usual = (mouth: MouthName, { request_id }: Asked): Headers =>
  withId({ 'content-type': 'application/json', 'cache-control': 'no-store' }, mouth, request_id)

export function credentialsOf({ headers, address }: Asked): Credentials {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
  return { api_key: headers['x-api-key'], bearer, workspace_id: headers['x-workspace-id'], address }
}

function checkKind(headers: Asked['headers']): void {
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') throw wrongKind('Send the body without a content encoding.')
  const type = headers['content-type'] ?? ''
  if (type === 'application/json' || /^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type)) return
  throw wrongKind('Send the body as application/json, with that Content-Type.')
}

function refuse(plane: Plane, mouth: MouthName, asked: Asked, reply: Reply, thrown: unknown): void {
  const told = toldBy(thrown)
  if (!told) plane.log.error({ err: thrown, request_id: asked.request_id }, 'a fault at the door of the gateway')
  const fault = told ?? internal
  const headers: Headers = { ...usual(mouth, asked), ...faultHeaders(fault) }
  if (fault.status === 405) headers.allow = fault.param ?? ''
  const body = JSON.stringify(faultBody(mouth, { ...fault, param: undefined }, asked.request_id))
  reply.send(fault.status, headers, body)
  plane.noted(mouth, fault.status, (performance.now() - asked.began) / 1000)
}

const invalid = (status: number, message: string, code: string | null, param?: string) =>
  new Refusal({ status, type: 'invalid_request_error', code, message, param })
const nothingHere = (path: string) =>
  path.startsWith('/responses/')
    ? invalid(404, 'Flow keeps no responses: only POST /responses is there.', 'NOT_FOUND')
    : invalid(
        404,
        `There is nothing at ${PREFIX}${path.slice(0, 200)}. The operations are listed at /docs.`,
        'NOT_FOUND',
      )
const onlyBy = (allow: string) => invalid(405, `This path answers ${allow} only.`, 'METHOD_NOT_ALLOWED', allow)
const wrongKind = (message: string) => invalid(415, message, 'UNSUPPORTED_MEDIA_TYPE')
const tooLarge = () => invalid(413, `The body may have at most ${BODY_BYTES_MAX} bytes.`, 'PAYLOAD_TOO_LARGE')

function collect(
  request: IncomingMessage,
  bytes_max: number,
  done: (body: Buffer) => void,
  tooLarge: () => void,
): () => void {
  let pieces: Buffer[] = []
  let length = 0
  let isWanted = true
  const stop = () => {
    isWanted = false
    pieces = []
  }
  request.on('data', (piece: Buffer) => {
    if (!isWanted) return
    length += piece.length
    pieces.push(piece)
    if (length <= bytes_max) return
    stop()
    tooLarge()
  })
  request.on('end', () => {
    if (!isWanted) return
    const [only] = pieces
    done(only && pieces.length === 1 ? only : Buffer.concat(pieces))
  })
  return stop
}

const EXPOSED =
  'x-request-id, request-id, retry-after, x-should-retry, idempotent-replayed, x-flow-provider, x-flow-model, x-flow-attempts, ' +
  'x-flow-cost, x-flow-cache, x-flow-dropped, x-flow-estimated, x-flow-guardrails, x-flow-budget-warning, ' +
  'x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, ' +
  'x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens'

function corsOf({ cors_origins }: Settings, origin: string | undefined): Headers | undefined {
  if (origin === undefined || cors_origins.length === 0) return undefined
  const isOpen = cors_origins.includes(origin) || cors_origins.includes('*')
  if (!isOpen) return { vary: 'Origin' }
  return { 'access-control-allow-origin': origin, 'access-control-expose-headers': EXPOSED, vary: 'Origin' }
}

const preflight = ({ headers }: Asked): Headers => ({
  'access-control-allow-methods': 'GET, HEAD, POST',
  'access-control-allow-headers': headers['access-control-request-headers'] ?? '',
  'access-control-max-age': '600',
})
