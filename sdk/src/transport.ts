/** One request to the server: where it goes, what it carries, when it is tried again. */

import type { ErrorCode } from '@flow/contract/common'
import { FlowConnectionError, FlowError, FlowTimeoutError } from './errors.ts'

export type TransportOptions = {
  /** Where the platform answers, such as `http://localhost:8080`. */
  base_url: string
  /** An API key (`fl_…`) or an access token; sent as `Authorization: Bearer`. */
  auth_token?: string
  workspace_id?: string
  /** How long one try may take, in seconds. */
  timeout: number
  /** How often a call that failed for a passing reason is tried again. */
  max_retries?: number
  /** Gives a new token after the server refused the old one, once for all calls that wait; they are then made once more. */
  on_auth_token_refresh?: () => string | Promise<string>
  /** How a refusal is read; as the platform tells it by default. */
  refusal?: (status: number, text: string, told: { retry_after?: number; request_id?: string }) => Refused
  /** The fetch to call with; the platform's own by default. */
  fetch?: (request: Request) => Response | Promise<Response>
}

/** What a refusal is thrown as. */
export type Refused = Error & { status: number; retry_after: number | undefined }

export type Sent = {
  method: string
  /** Below the base URL, with its query. */
  path: string
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal
  /** Whether sending it twice does no more than sending it once. */
  repeatable: boolean
  /** The body goes on for as long as it likes: the timeout ends with the headers. */
  streams?: boolean
}

export type Transport = { options: TransportOptions; send(sent: Sent): Promise<Response> }

const PASSING = new Set([429, 502, 503, 504])

export function createTransport(options: TransportOptions): Transport {
  let token = options.auth_token
  let renewal: Promise<void> | undefined
  /** One for all who wait for it: a new token may end the one before. */
  const renewed = (renew: () => string | Promise<string>): Promise<void> => {
    const begin = async () => {
      token = await renew()
    }
    renewal ??= begin().finally(() => {
      renewal = undefined
    })
    return renewal
  }
  const send = async (sent: Sent): Promise<Response> => {
    const tries = 1 + (options.max_retries ?? 2)
    let isRenewed = false
    let isNewerTried = false
    for (let attempt = 1; ; attempt += 1) {
      const used = token
      const outcome = await once(options, used, sent)
      if (outcome instanceof Response && outcome.ok) return outcome
      if (outcome instanceof Response && outcome.status === 401 && options.on_auth_token_refresh && !isRenewed) {
        attempt -= 1
        // Where another call has renewed it meanwhile, that token is tried before one more is asked for.
        isRenewed = token === used || isNewerTried
        isNewerTried = true
        if (token === used) await renewed(options.on_auth_token_refresh)
        continue
      }
      const error = outcome instanceof Response ? await refusalOf(outcome, options) : outcome
      const isFinal = outcome instanceof Response && outcome.headers.get('x-should-retry') === 'false'
      if (isFinal || attempt >= tries || sent.signal?.aborted || !isPassing(error, sent)) throw error
      await pause(isRefusal(error) ? error.retry_after : undefined, attempt, sent.signal)
    }
  }
  return { options, send }
}

const isRefusal = (error: Refused | FlowConnectionError): error is Refused => !(error instanceof FlowConnectionError)

/** A refusal for now is tried again in any case; a lost connection only when repeating is harmless. A conflict is for now
 *  where the server says when to come again: a call with the same idempotency key still runs. */
function isPassing(error: Refused | FlowConnectionError, sent: Sent): boolean {
  if (!isRefusal(error)) return sent.repeatable
  if (error.status === 409) return error.retry_after !== undefined
  return error.status === 429 || (PASSING.has(error.status) && sent.repeatable)
}

async function once(
  options: TransportOptions,
  token: string | undefined,
  sent: Sent,
): Promise<Response | FlowConnectionError> {
  const timer = new AbortController()
  const clock = setTimeout(() => timer.abort(), options.timeout * 1000)
  const signal = sent.signal ? AbortSignal.any([timer.signal, sent.signal]) : timer.signal
  const headers: Record<string, string> = { accept: 'application/json', ...sent.headers }
  if (token) headers.authorization = `Bearer ${token}`
  if (options.workspace_id && !headers['x-workspace-id']) headers['x-workspace-id'] = options.workspace_id
  if (sent.body !== undefined) headers['content-type'] = 'application/json'
  const body = sent.body === undefined ? undefined : JSON.stringify(sent.body)
  try {
    const request = new Request(`${options.base_url.replace(/\/+$/, '')}${sent.path}`, {
      method: sent.method,
      headers,
      body,
      signal,
    })
    const response = await (options.fetch ?? fetch)(request)
    if (sent.streams || !response.body) return response
    // The body is read inside the timeout, so that a half-sent answer counts as none.
    return new Response(
      response.status === 204 || response.status === 304 ? null : await response.arrayBuffer(),
      response,
    )
  } catch (cause) {
    if (timer.signal.aborted) return new FlowTimeoutError(options.timeout, cause)
    if (sent.signal?.aborted) throw sent.signal.reason
    return new FlowConnectionError(`No connection to ${options.base_url}.`, cause)
  } finally {
    clearTimeout(clock)
  }
}

async function refusalOf(response: Response, { refusal = flowErrorOf }: TransportOptions): Promise<Refused> {
  const text = await response.text()
  const wait = response.headers.get('retry-after')
  const retry_after = wait === null ? undefined : secondsOf(wait)
  return refusal(response.status, text, { retry_after, request_id: response.headers.get('x-request-id') ?? undefined })
}

function flowErrorOf(status: number, text: string, { retry_after }: { retry_after?: number }): FlowError {
  const problem = problemOf(text) ?? {
    code: 'INTERNAL' as ErrorCode,
    message: `HTTP ${status}: ${text.slice(0, 300)}`,
  }
  return new FlowError(status, problem, retry_after)
}

function problemOf(text: string): { code: ErrorCode; message: string } | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || !('code' in value) || !('message' in value)) return undefined
    return value as { code: ErrorCode; message: string }
  } catch {
    return undefined
  }
}

/** `Retry-After` is a number of seconds, which some servers write with decimals, or a date, which begins with the day of
 *  the week (RFC 9110, section 10.2.3). Undefined where it is neither. */
function secondsOf(wait: string): number | undefined {
  if (/^\d+(\.\d+)?$/.test(wait)) return Number(wait)
  const date = /^[A-Z][a-z]+,? /.test(wait) ? Date.parse(wait) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000)
}

/** What the server asks for, else twice as long each time with a random part, so that callers don't come in step. */
function pause(retry_after: number | undefined, attempt: number, signal?: AbortSignal): Promise<void> {
  const seconds = retry_after ?? Math.min(8, 0.5 * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2)
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, Math.min(seconds, 60) * 1000)
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', stop, { once: true })
  })
}
