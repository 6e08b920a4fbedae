/** What a code block may ask of the host while it runs: where it runs, answers of the hosts that it lists, and operations
 *  of the platform by name, which are answered above (asking.ts). Every call is made here, with what the block was published with; nothing that the code says of itself is believed. How many calls
 *  a run may make and how large they may be is the sandbox's matter. */

import type { JsonValue } from '@flow/contract/common'
import type { CodeBlockConfig } from '@flow/contract/components/code-block'
import { connectionHeader } from '@flow/contract/nodes/http'
import { Failure } from '../failure.ts'
import type { GuardedFetch } from '../fetch.ts'
import type { HostCall, Job } from '../sandbox/sandbox.ts'

/** Of a decoded answer: as JSON it fits into what a call may answer. */
const ANSWER_BYTES = 4 * 1024 * 1024

/** A refusal that is told to the code as it stands. */
class Refused extends Error {
  readonly code = 'BAD_REQUEST'
}

export type Hosting = {
  network: CodeBlockConfig['network']
  fetch: GuardedFetch
  signal: AbortSignal
  timeout_seconds: number
  context: () => JsonValue
  /** Takes what the code has measured. */
  measure: (args: unknown) => void
  /** Operations of the platform, in the name of whoever the code runs for. */
  ask: (method: string, args: unknown) => Promise<unknown>
}

export function hostOf({ context, ask, measure, ...network }: Hosting): HostCall {
  return async (method, args) => {
    if (method === 'context') return context()
    if (method === 'fetch') return fetchFor(network, args)
    if (method === 'metrics.record') return measure(args)
    return ask(method, args)
  }
}

/** The runs of a block that says how many of them are at work at a time. */
export const groupOf = (component_id: string, { max_concurrent_runs }: CodeBlockConfig): Job['group'] =>
  max_concurrent_runs === undefined || component_id === ''
    ? undefined
    : { key: component_id, runs_max: max_concurrent_runs }

/** Why an entry of a block's `network` names no host. */
export function networkFault(entry: string): string | undefined {
  if (hostNamed(entry) !== undefined) return undefined
  return `"${entry.slice(0, 100)}" is no host: write a name such as api.example.com, with a port if it is not the usual one.`
}

/** As the URLs of that host have it. */
function hostNamed(entry: string): string | undefined {
  const url = URL.parse(`https://${entry}`)
  const isHost =
    url !== null && url.href === `https://${url.host}/` && /^(\[[0-9a-f:]+\]|[a-z0-9._-]+)(:\d+)?$/.test(url.host)
  return isHost ? url.host : undefined
}

type Asked = { url: string; method: string; headers: [string, string][]; body: string | Buffer | undefined }

async function fetchFor(hosting: Omit<Hosting, 'context' | 'ask' | 'measure'>, args: unknown): Promise<JsonValue> {
  const { network, signal, timeout_seconds } = hosting
  const { url, method, headers, body } = asked(args)
  const check = (target: URL) => {
    if (isListed(network, target)) return
    const listed = network.length > 0 ? `It lists ${network.slice(0, 10).join(', ')}.` : 'It lists none.'
    throw new Failure('BAD_REQUEST', `This code block may not call "${target.host}". ${listed}`)
  }
  try {
    const limits = { bytes_max: ANSWER_BYTES, timeout_seconds }
    const response = await hosting.fetch(url, { method, headers, body, signal, limits, check })
    const bytes = Buffer.from(await response.arrayBuffer())
    return {
      url: response.url,
      status: response.status,
      status_text: response.statusText,
      headers: [...response.headers],
      ...bodyOf(bytes),
    }
  } catch (error) {
    signal.throwIfAborted()
    // Of anything else nothing is told: it is a fault of ours.
    throw error instanceof Failure || error instanceof Refused ? error : new Refused('The call failed.')
  }
}

/** Listed with its port, or without one where the port is the usual one. */
const isListed = (network: string[], { host }: URL): boolean => network.some((entry) => hostNamed(entry) === host)

const bodyOf = (bytes: Buffer): Record<string, string> => {
  const text = bytes.toString()
  return Buffer.from(text).equals(bytes) ? { text } : { base64: bytes.toString('base64') }
}

function asked(args: unknown): Asked {
  const { url, method = 'GET', headers = [], text, base64 } = (args ?? {}) as Record<string, unknown>
  const isPair = (pair: unknown): pair is [string, string] =>
    Array.isArray(pair) && pair.length === 2 && pair.every((part) => typeof part === 'string')
  if (typeof url !== 'string' || typeof method !== 'string' || !Array.isArray(headers) || !headers.every(isPair)) {
    throw new Refused('A call needs a URL, a method and headers that are text.')
  }
  const own = headers.find(([name]) => connectionHeader.test(name))
  if (own) throw new Refused(`The header "${own[0]}" is set by the connection itself.`)
  const body = typeof text === 'string' ? text : typeof base64 === 'string' ? Buffer.from(base64, 'base64') : undefined
  try {
    new Request('http://check.invalid', { method, headers, ...(body !== undefined && { body }) })
  } catch {
    throw new Refused('The method, a header or a body with this method is not allowed by HTTP.')
  }
  return { url, method, headers, body }
}
