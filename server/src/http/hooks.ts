/** The doors for calls from outside that are no operations of the contract: webhooks that set workflows off, on any
 *  path and with any method, and the one-time callbacks that executions wait for. The body is read to the letter,
 *  because signatures are over it. Who may call is decided by the rooms; here it is read, counted and answered.
 *
 *  Nobody is known here: who tries addresses or signatures too often is refused for a while, and each webhook takes so
 *  many calls a minute. */

import type { Hono, Context as HonoContext } from 'hono'
import type { Platform } from '../context.ts'
import { badRequest, Failure } from '../failure.ts'
import { addressOf, peerOf } from './address.ts'
import { requestId } from './edge.ts'
import { type Limits, openLimits } from './limits.ts'
import type { Metrics } from './metrics.ts'
import { problemOf, problemResponse } from './problem.ts'
import { BODY_BYTES_MAX, decode, parseJson, queryOf, readBytes } from './read.ts'

/** What every call brings along. */
type Sent = {
  method: string
  query: Record<string, string | string[]>
  headers: Record<string, string>
  body: { bytes: Uint8Array; value(): unknown }
  address: string
  request_id: string
  signal: AbortSignal
}
export type HookCall = Sent & { workspace_id: string; path: string }
export type CallbackCall = Sent & { execution_id: string; node_id: string; signature: string }
export type HookAnswer = { status: number; body: unknown; execution_id: string }

export type HookDoors = {
  /** The methods that are answered at a path; none where there is nothing. */
  methodsAt(platform: Platform, workspace_id: string, path: string): Promise<string[]>
  receive(platform: Platform, call: HookCall): Promise<HookAnswer>
  /** Where nodes wait for a callback. */
  answerCallback?(platform: Platform, call: CallbackCall): Promise<HookAnswer>
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export function mountHooks(app: Hono, platform: Platform, metrics: Metrics, doors: HookDoors): void {
  const limits = openLimits(platform.config)
  const { answerCallback } = doors
  const lay = (pattern: string, name: string, answer: (asked: Asked) => Promise<HookAnswer>) =>
    app.all(pattern, (c) => answered(c, { platform, limits, metrics, name, answer }))

  if (answerCallback) {
    lay('/hooks/waits/:execution_id/:node_id/:signature', 'hooks.callback', async ({ c, address, headers, sent }) => {
      const { execution_id = '', node_id = '', signature = '' } = c.req.param() as Record<string, string>
      Object.assign(headers, await limits.spend(address, 'public'))
      return answerCallback(platform, { ...(await sent()), execution_id, node_id, signature })
    })
  }
  lay('/hooks/:workspace_id/:path{.+}', 'hooks.receive', async ({ c, headers, allow, sent }) => {
    const { workspace_id = '', path = '' } = c.req.param() as Record<string, string>
    const methods = UUID.test(workspace_id) ? await doors.methodsAt(platform, workspace_id, path) : []
    if (methods.length === 0) throw new Failure('NOT_FOUND', 'There is no webhook here.')
    allow(methods)
    Object.assign(headers, await limits.spend(`${workspace_id}/${path}`, 'hook'))
    return doors.receive(platform, { ...(await sent()), workspace_id, path })
  })
}

type Asked = {
  c: HonoContext
  address: string
  /** What the answer carries besides. */
  headers: Record<string, string>
  /** Refuses every other method. */
  allow(methods: string[]): void
  /** Reads the call. */
  sent(): Promise<Sent>
}

type Answering = {
  platform: Platform
  limits: Limits
  metrics: Metrics
  name: string
  answer(asked: Asked): Promise<HookAnswer>
}

async function answered(c: HonoContext, { platform, limits, metrics, name, answer }: Answering): Promise<Response> {
  const started = performance.now()
  const request = c.req.raw
  const request_id = requestId(request)
  const log = platform.log.child({ request_id })
  const address = addressOf(request, peerOf(c.env), platform.config.trust_proxy)
  const headers: Record<string, string> = {}
  const allow = (methods: string[]) => {
    if (methods.includes(request.method)) return
    headers.allow = methods.join(', ')
    throw new Failure('METHOD_NOT_ALLOWED', `This webhook answers ${methods.join(', ')} only.`)
  }
  let response: Response
  try {
    await limits.notExhausted(address)
    const { status, body, execution_id } = await answer({
      c,
      address,
      headers,
      allow,
      sent: () => sentOf(request, address, request_id),
    })
    response = Response.json(body, { status, headers: { 'x-execution-id': execution_id, 'cache-control': 'no-store' } })
  } catch (thrown) {
    const failure = problemOf(thrown, log)
    // Whoever guesses addresses or signatures is guessing at a secret.
    if (failure.code === 'UNAUTHENTICATED' || failure.code === 'NOT_FOUND') await limits.punish(address)
    response = problemResponse(failure, request, request_id)
    // What is asked for is a signature, not a token.
    response.headers.delete('www-authenticate')
  }
  response.headers.set('x-request-id', request_id)
  for (const [header, value] of Object.entries(headers)) response.headers.set(header, value)
  const seconds = (performance.now() - started) / 1000
  metrics.request(name, response.status, seconds)
  log.info(
    { operation: name, method: request.method, status: response.status, ms: Math.round(seconds * 1000) },
    'answered',
  )
  return response
}

async function sentOf(request: Request, address: string, request_id: string): Promise<Sent> {
  if (request.headers.get('content-encoding')) {
    throw new Failure('UNSUPPORTED_MEDIA_TYPE', 'Send the body without a content encoding.')
  }
  const bytes = await readBytes(request, BODY_BYTES_MAX)
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  return {
    method: request.method,
    query: queryOf(new URL(request.url).searchParams),
    headers: Object.fromEntries(request.headers),
    body: { bytes, value: () => contentOf(bytes, type) },
    address,
    request_id,
    signal: request.signal,
  }
}

/** JSON as its value, a form as its fields, everything else as text; nothing as null. */
function contentOf(bytes: Uint8Array, type: string | undefined): unknown {
  if (bytes.length === 0) return null
  const text = decode(bytes)
  if (type === 'application/json' || type?.endsWith('+json')) return parseJson(text)
  if (text.includes('\0')) throw badRequest('The body has a NUL character; leave it out.')
  if (type === 'application/x-www-form-urlencoded') return queryOf(new URLSearchParams(text))
  return type === undefined && isJson(text) ? parseJson(text) : text
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
