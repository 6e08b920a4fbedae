/** `http`: calls an address outside, by the guarded fetch alone. The call carries an `Idempotency-Key` that is the
 *  same when the attempt is made again after a crash, so that whoever honours it does the work once. */

import { Failure } from '../../failure.ts'
import { fieldsOf, idempotencyKey, type Kind, type NodeCall, NodeFailure, nodeOf, OUTPUT_MAX } from './node.ts'

const SECONDS = 30
/** Answers after which another attempt may go better. */
const passing = new Set([408, 425, 429])

type Fields = { url: unknown; headers: Record<string, unknown>; query: Record<string, unknown>; body?: unknown }

export const http: Kind = {
  hasOwnLimit: true,
  async perform(call) {
    const { method, on_status, timeout_seconds } = nodeOf(call, 'http')
    const fields = fieldsOf<Fields>(call)
    const headers = headersOf(call, method, fields)
    const body = method === 'GET' || method === 'HEAD' ? undefined : bodyOf(headers, fields.body)
    const limits = { timeout_seconds: timeout_seconds ?? SECONDS, bytes_max: OUTPUT_MAX }

    const { response, text } = await send(call, urlOf(fields), { method, headers, body, limits })
    const output = { status: response.status, headers: told(response.headers), body: read(response.headers, text) }
    if (response.ok || on_status === 'pass') return { output }
    throw new NodeFailure('HTTP_STATUS', `${new URL(urlOf(fields)).host} answered ${response.status}.`, {
      is_final: response.status < 500 && !passing.has(response.status),
    })
  },
}

type Sent = Parameters<NodeCall['platform']['fetch']>[1]

async function send(call: NodeCall, url: string, init: Sent): Promise<{ response: Response; text: string }> {
  try {
    const response = await call.platform.fetch(url, { ...init, signal: call.signal })
    return { response, text: await response.text() }
  } catch (error) {
    call.signal.throwIfAborted()
    if (!(error instanceof Failure)) throw error
    const code = error.code === 'BAD_REQUEST' ? 'ADDRESS_REFUSED' : error.code
    throw new NodeFailure(code, error.message, { is_final: error.code === 'BAD_REQUEST' })
  }
}

function urlOf({ url, query }: Fields): string {
  const refuse = () =>
    new NodeFailure('ADDRESS_REFUSED', 'The "url" is not an http or https address.', { is_final: true })
  if (typeof url !== 'string' || !URL.canParse(url)) throw refuse()
  const parsed = new URL(url)
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined) continue
    for (const one of Array.isArray(value) ? value : [value]) parsed.searchParams.append(name, textOf(one))
  }
  return parsed.href
}

function headersOf({ about, attempt, traceparent }: NodeCall, method: string, fields: Fields): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(fields.headers)) {
    try {
      headers.set(name, textOf(value))
    } catch {
      const message = `The value of the header "${name}" has characters that no header may have.`
      throw new NodeFailure('INVALID_HEADER', message, { is_final: true })
    }
  }
  if (traceparent && !headers.has('traceparent')) headers.set('traceparent', traceparent)
  const isRead = method === 'GET' || method === 'HEAD'
  if (!isRead && !headers.has('idempotency-key')) {
    headers.set('idempotency-key', idempotencyKey(about.execution_id, about.node_id, attempt))
  }
  return headers
}

function bodyOf(headers: Headers, body: unknown): string | undefined {
  if (body === undefined) return undefined
  const type = headers.get('content-type')
  if (typeof body === 'string' && type !== null && !type.includes('json')) return body
  if (type === null) headers.set('content-type', 'application/json')
  return JSON.stringify(body)
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** What may be stored of an answer's headers: cookies are for whoever keeps a session. */
const told = (headers: Headers): Record<string, string> =>
  Object.fromEntries([...headers].filter(([name]) => name !== 'set-cookie'))

function read(headers: Headers, text: string): unknown {
  if (!/[/+]json\b/i.test(headers.get('content-type') ?? '')) return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
