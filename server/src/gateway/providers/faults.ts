/** What providers' refusals have in common: the type and code that OpenAI's clients know for a status, and the time to
 *  wait. What a provider says in words of its own is its adapter's matter. */

import type { Fault } from '../hub.ts'
import { type Account, ProviderFault } from './provider.ts'

type Kind = { type: string; code: string | null }

const kinds: Record<number, Kind> = {
  400: { type: 'invalid_request_error', code: null },
  401: { type: 'authentication_error', code: 'invalid_api_key' },
  402: { type: 'insufficient_quota', code: 'insufficient_quota' },
  403: { type: 'permission_error', code: 'permission_denied' },
  404: { type: 'not_found_error', code: 'model_not_found' },
  408: { type: 'server_error', code: 'timeout' },
  413: { type: 'invalid_request_error', code: 'request_too_large' },
  422: { type: 'invalid_request_error', code: null },
  429: { type: 'rate_limit_error', code: 'rate_limit_exceeded' },
}

/** A fault by its status; `more` is what the adapter knows better. */
export function faultOf(status: number, message: string, more: Partial<Fault> = {}): Fault {
  const kind = kinds[status] ?? (status >= 500 ? { type: 'server_error', code: null } : kinds[400])
  return { status, type: kind?.type ?? 'api_error', code: kind?.code ?? null, message, ...more }
}

/** The prompt is longer than the model reads: OpenAI's code for it, which clients shorten their prompt by. */
export const tooLong = (message: string) => faultOf(400, message, { code: 'context_length_exceeded' })

/** What the hub says and the provider cannot be told, where leaving it out would change the meaning. */
export const untranslatable = (message: string, param: string) =>
  new ProviderFault(faultOf(400, message, { code: 'unsupported_value', param, is_retryable: false }))

/** An answer or a stream that is not what the provider promises. Another attempt may do better. */
export const broken = (message: string, code: string) =>
  new ProviderFault(faultOf(502, message, { type: 'api_error', code }))

/** Providers repeat the key that they refuse. It is in no message, nor are the parts of one that has several. */
export function withoutKey(message: string, { key }: Pick<Account, 'key'>): string {
  const parts = key === null ? [] : [key, ...key.split(':')].filter((part) => part.length >= 8)
  return parts.reduce((text, part) => text.replaceAll(part, '…'), message)
}

/** The provider closed a stream that it had not finished. */
export const interrupted = (provider: string) =>
  broken(`${provider} ended the stream before the answer was complete.`, 'stream_interrupted')

/** `Retry-After` in seconds. */
export function retryAfterOf(headers: Record<string, string | undefined>): number | undefined {
  const milliseconds = Number(headers['retry-after-ms'] ?? Number.NaN)
  if (milliseconds >= 0) return Math.ceil(milliseconds / 1000)
  const told = headers['retry-after'] ?? ''
  if (/^\d+(\.\d+)?$/.test(told)) return Math.ceil(Number(told))
  // A date is meant by the provider's clock, not by ours.
  const ms = told.endsWith('GMT') ? Date.parse(told) - Date.parse(headers.date ?? '') : Number.NaN
  return Number.isNaN(ms) ? undefined : Math.max(0, Math.ceil(ms / 1000))
}
