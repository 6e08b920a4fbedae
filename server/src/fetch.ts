/** The one way out. Everything that calls an address which somebody gave us goes through here, so that nobody can use
 *  Flow to reach the network it stands in (server-side request forgery).
 *
 *  The rule: http and https only; the name is resolved once, and the connection goes to the very address that was
 *  checked; all answers of the resolver must be public; each redirect is a new call under the same rule. An operator
 *  can allow a host inside the network by name (FLOW_ALLOWED_HOSTS, `host` or `host:port`). Bodies are counted as they
 *  are decoded, so a small answer cannot unfold into a large one. `checkHost` is the same rule for databases, mail
 *  servers and whatever else does not speak HTTP: connect to the address that it gives. */

import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { Agent, buildConnector, errors, fetch as send } from 'undici'
import type { Config } from './config.ts'
import { badRequest, Failure } from './failure.ts'

export type Limits = {
  /** For the whole call, the body included. Default 30. */
  timeout_seconds?: number
  /** Of the decoded body. Default 16 MiB. */
  bytes_max?: number
  /** Default 5; more are refused. */
  redirects_max?: number
}

/** `fetch` under the rule. A refusal is a `Failure`: BAD_REQUEST for an address that is not called, UPSTREAM_FAILED
 *  for one that does not answer properly, TIMEOUT for one that does not answer in time. */
export type GuardedFetch = {
  (url: string | URL, init?: GuardedInit): Promise<Response>
  close(): Promise<void>
}
export type GuardedInit = Omit<RequestInit, 'dispatcher'> & {
  limits?: Limits
  /** Asked before each call, those after redirects included: throws when this caller may not make it. */
  check?: (url: URL) => void
}

export type Address = { address: string; family: 4 | 6 }
/** All addresses of a name; throws when there are none. */
export type Resolve = (host: string) => Promise<Address[]>
type Allowed = Pick<Config, 'allowed_hosts'>

export type { Agent }

const CONNECT_MS = 5_000
const defaults = { timeout_seconds: 30, bytes_max: 16 * 1024 * 1024, redirects_max: 5 }

const resolveBySystem: Resolve = async (host) =>
  (await lookup(host, { all: true, verbatim: true })).map(({ address, family }) => ({
    address,
    family: family === 6 ? 6 : 4,
  }))

export function createFetch(config: Allowed, resolve: Resolve = resolveBySystem): GuardedFetch {
  const agent = new Agent({ connect: guardedConnector(config, resolve), maxHeaderSize: 32_768, allowH2: false })

  const call = async (target: string | URL, init: GuardedInit = {}): Promise<Response> => {
    const { limits, check, signal: callers, redirect = 'follow', ...rest } = init
    const { timeout_seconds, bytes_max, redirects_max } = { ...defaults, ...limits }
    const deadline = AbortSignal.timeout(timeout_seconds * 1000)
    const signal = callers ? AbortSignal.any([callers, deadline]) : deadline
    let url = readUrl(target)
    let request: Asked = { ...rest, method: (rest.method ?? 'GET').toUpperCase(), headers: new Headers(rest.headers) }

    for (let redirects = 0; ; redirects += 1) {
      // The rule is asked before and again by the connector: a wrong address is refused even where a connection is open.
      checkLiteral(config, url)
      check?.(url)
      const response = await sendOnce(url, request, agent, signal).catch((error: unknown) => {
        throw callers?.aborted ? callers.reason : failureOf(error, url)
      })
      const next = redirect === 'manual' ? undefined : nextOf(response, url)
      if (!next) return counted(response, url, bytes_max, callers ?? undefined)

      await response.body?.cancel()
      if (redirect === 'error') throw upstream(`${url.host} redirects, which is not allowed here.`)
      if (redirects >= redirects_max) throw upstream(`${url.host} redirects more than ${redirects_max} times.`)
      request = redirected(request, response.status, url, next)
      url = next
    }
  }
  return Object.assign(call, { close: () => agent.destroy() })
}

/** Connections under the same rule, for whoever reads answers as their bytes come in. Nothing is followed, counted or
 *  timed: that is the caller's matter, and so is to destroy it in the end. */
export const guardedAgent = (config: Allowed, options: { connections: number; resolve?: Resolve }): Agent =>
  new Agent({
    connect: guardedConnector(config, options.resolve ?? resolveBySystem),
    connections: options.connections,
    maxHeaderSize: 32_768,
    allowH2: false,
  })

/** Whether a connection was not made in time. */
export const isTimeout = (error: Error): boolean => error instanceof errors.ConnectTimeoutError

/** The addresses that may be connected to for this host: all public, or the host is allowed by name. */
export async function checkHost(
  config: Allowed,
  host: string,
  port: number,
  resolve: Resolve = resolveBySystem,
): Promise<Address[]> {
  const name = host
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase()
  const literal = isIP(name)
  const addresses = literal
    ? [{ address: name, family: literal === 6 ? (6 as const) : (4 as const) }]
    : await resolved(name, resolve)
  if (!isAllowed(config, name, port) && !addresses.every(({ address }) => isPublic(address))) throw notCalled(name)
  return addresses
}

/** Whether an address belongs to the internet, and not to a network, a machine or a protocol's own use. */
export function isPublic(text: string): boolean {
  if (!isIP(text)) return false
  const address = ipaddr.process(text)
  const range = address.range()
  if (address instanceof ipaddr.IPv4) return range === 'unicast'
  // NAT64 (RFC 6052): the IPv4 address behind it decides. The prefix for local use (RFC 8215) has none.
  const bytes = address.toByteArray()
  if (range === 'rfc6052' && address.match(ipaddr.parseCIDR('64:ff9b::/96'))) return isPublic(bytes.slice(12).join('.'))
  const isGlobalUnicast = ((bytes[0] ?? 0) & 0xe0) === 0x20
  return range === 'unicast' && isGlobalUnicast
}

type Asked = Omit<RequestInit, 'dispatcher' | 'signal' | 'redirect'> & { method: string; headers: Headers }

async function sendOnce(url: URL, request: Asked, dispatcher: Agent, signal: AbortSignal): Promise<Response> {
  // Undici's own types and the runtime's are two declarations of the same shapes.
  const init = { ...request, dispatcher, signal, redirect: 'manual' } as Parameters<typeof send>[1]
  return (await send(url, init)) as unknown as Response
}

function readUrl(target: string | URL): URL {
  const url = URL.parse(String(target))
  if (!url) throw badRequest('This is not a URL.')
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw badRequest('Only http and https addresses are called.')
  if (url.username || url.password) throw badRequest('Send credentials in a header, not in the URL.')
  return url
}

const portOf = (url: URL) => Number(url.port) || (url.protocol === 'https:' ? 443 : 80)

function checkLiteral(config: Allowed, url: URL): void {
  const name = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(name) && !isAllowed(config, name, portOf(url)) && !isPublic(name)) throw notCalled(name)
}

/** What is wrong with an address that secrets are sent to, as far as it shows without asking a resolver; the rest shows
 *  with each call. */
export function addressFault(config: Allowed, url: URL): string | undefined {
  if (isAllowedByName(config, url)) return undefined
  if (url.protocol !== 'https:') return 'Use https: what is sent is for the receiver alone.'
  const name = url.hostname.replace(/^\[|\]$|\.$/g, '')
  const isLocal = isIP(name) ? !isPublic(name) : !name.includes('.') || /\.(localhost|local|internal)$/.test(name)
  return isLocal ? notCalled(name).message : undefined
}

/** Whether the operator allows the host of a URL by name, wherever it stands. */
export const isAllowedByName = (config: Allowed, url: URL): boolean =>
  isAllowed(config, url.hostname.replace(/^\[|\]$|\.$/g, ''), portOf(url))

function isAllowed(config: Allowed, name: string, port: number): boolean {
  return config.allowed_hosts.some((entry) => {
    const [host, only] = splitPort(entry.toLowerCase())
    return host === name && (only === undefined || only === port)
  })
}

/** `host`, `host:port`, `[::1]:port` or `::1`. */
function splitPort(entry: string): [string, number | undefined] {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(entry) ?? []
  return [bracketed ?? plain ?? entry, port ? Number(port) : undefined]
}

async function resolved(name: string, resolve: Resolve): Promise<Address[]> {
  const addresses = await resolve(name).catch(() => [])
  if (addresses.length === 0) throw upstream(`The name "${name}" cannot be resolved.`)
  return addresses
}

/** Resolves, checks, and connects to one of the addresses that were checked; never to what a second look might give. */
function guardedConnector(config: Allowed, resolve: Resolve): buildConnector.connector {
  const connect = buildConnector({ timeout: CONNECT_MS, allowH2: false })
  const connectTo = (options: buildConnector.Options, host: string, { address }: Address) =>
    new Promise<Parameters<buildConnector.Callback>>((resolve_) => {
      const servername = options.protocol === 'https:' && !isIP(host) ? host : undefined
      connect({ ...options, hostname: address, servername }, (...outcome) => resolve_(outcome))
    })

  return (options, callback) => {
    const host = options.hostname.replace(/\.$/, '')
    const port = Number(options.port) || (options.protocol === 'https:' ? 443 : 80)
    const open = async () => {
      let outcome: Parameters<buildConnector.Callback> = [upstream(`${host} does not answer.`), null]
      for (const address of (await checkHost(config, host, port, resolve)).slice(0, 4)) {
        outcome = await connectTo(options, host, address)
        if (!outcome[0]) return outcome
      }
      return outcome
    }
    open().then(
      (outcome) => callback(...outcome),
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), null),
    )
  }
}

function nextOf(response: Response, url: URL): URL | undefined {
  const location = response.headers.get('location')
  if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return undefined
  const next = URL.parse(location, url)
  if (!next) throw upstream(`${url.host} redirects to something that is not a URL.`)
  return readUrl(next)
}

/** The request that follows a redirect, by the rules of fetch; what is meant for one origin is not told to another. */
function redirected(request: Asked, status: number, from: URL, to: URL): Asked {
  const headers = new Headers(request.headers)
  if (from.origin !== to.origin)
    for (const name of ['authorization', 'cookie', 'proxy-authorization', 'x-api-key']) headers.delete(name)

  const becomesGet = (status === 303 && request.method !== 'HEAD') || (status < 303 && request.method === 'POST')
  if (becomesGet) {
    for (const name of ['content-type', 'content-length', 'content-encoding', 'content-language']) headers.delete(name)
    return { ...request, method: 'GET', headers, body: undefined }
  }
  if (request.body instanceof ReadableStream)
    throw upstream(`${from.host} redirects a request whose body cannot be sent twice.`)
  return { ...request, headers }
}

/** The same answer with its decoded bytes counted. */
function counted(response: Response, url: URL, bytes_max: number, callers: AbortSignal | undefined): Response {
  const headers = new Headers([...response.headers])
  // The body is decoded by now: these would describe it wrongly.
  headers.delete('content-encoding')
  headers.delete('content-length')
  const pieces = response.body ? ReadableStream.from(countedPieces(response.body, url, bytes_max, callers)) : null
  const answer = new Response(pieces, { status: response.status, statusText: response.statusText, headers })
  return Object.defineProperty(answer, 'url', { value: url.href })
}

async function* countedPieces(body: ReadableStream<Uint8Array>, url: URL, bytes_max: number, callers?: AbortSignal) {
  let bytes = 0
  try {
    for await (const piece of body) {
      bytes += piece.byteLength
      if (bytes > bytes_max) throw upstream(`${url.host} answers with more than ${bytes_max} bytes.`)
      yield piece
    }
  } catch (error) {
    throw callers?.aborted ? callers.reason : failureOf(error, url)
  }
}

const upstream = (message: string) => new Failure('UPSTREAM_FAILED', message)

// The address behind a name is not told: the answer would map the network for whoever asks.
const notCalled = (name: string) =>
  badRequest(`Flow does not call "${name}": it is not on the public internet. An operator can allow it by name.`)

function failureOf(error: unknown, url: URL): unknown {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (each instanceof Failure) return each
    if (each.name === 'TimeoutError') return new Failure('TIMEOUT', `${url.host} did not answer in time.`)
    if ('code' in each && each.code === 'UND_ERR_CONNECT_TIMEOUT') {
      return new Failure('TIMEOUT', `${url.host} did not take the connection in time.`)
    }
  }
  const reason = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error)
  return Object.assign(upstream(`${url.host} could not be called: ${reason}`), { cause: error })
}
