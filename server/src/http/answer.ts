/** Answering: the result is parsed by the operation's output, so that what was not promised is stripped. */

import type { Page } from '@flow/contract/common'
import { type Operation, statusOf } from '@flow/contract/operation'
import type { Logger } from 'pino'
import { Redirect } from '../answer.ts'
import { etagOf, isFresh } from './etag.ts'
import { download, eventStream, type StreamEvent } from './stream.ts'

type Asked = { served: { operation: Operation; shown_by?: Operation | undefined }; request: Request; url: URL }

export function answerOf(asked: Asked, result: unknown, signal: AbortSignal, log: Logger): Response {
  const { operation } = asked.served
  if (result instanceof Redirect) {
    return new Response(null, { status: 302, headers: { location: result.url, 'cache-control': 'no-store' } })
  }
  if (operation.streams) {
    return eventStream(result as AsyncIterable<StreamEvent>, signal, (err) => log.error({ err }, 'a stream broke off'))
  }
  if (operation.downloads) return download(result as AsyncIterable<string>, operation.downloads)
  if (!operation.output) return new Response(null, { status: statusOf(operation) })

  const value = operation.output.parse(result)
  const text = JSON.stringify(value)
  const headers: Record<string, string> = { 'content-type': 'application/json', 'cache-control': 'no-store' }
  const status = waited(asked, value) ? 200 : statusOf(operation)
  if (waited(asked, value)) headers['preference-applied'] = `wait=${waitOf(asked.request)}`
  if (isPage(value)) {
    const link = linkOf(asked.url, value)
    if (link) headers.link = link
    return new Response(text, { status, headers })
  }
  const made = operation.creates === undefined ? undefined : idOf(value)
  if (made !== undefined) headers.location = locationOf(operation, made, asked.url)
  const { shown_by } = asked.served
  if (!shown_by) return new Response(text, { status, headers })

  const etag = etagOf(value, text, shown_by.moving)
  headers.etag = etag
  if (operation.method !== 'GET') return new Response(text, { status, headers })
  headers['cache-control'] = 'private, no-cache'
  if (isFresh(asked.request.headers.get('if-none-match'), etag)) {
    return new Response(null, { status: 304, headers })
  }
  return new Response(text, { status, headers })
}

/** Where that is read of which the answer tells: what was made, or what the path names. */
export const pathOfShown = ({ method, path, creates }: Operation): string =>
  method === 'POST' ? (creates ?? '') : path

/** The reader, if the answer is what it answers. Then the answer carries the thing's tag, and who has made or changed it
 *  can send `If-Match` without reading it first. */
export const shownBy = (operation: Operation, reader: Operation | undefined): Operation | undefined =>
  !operation.secret && reader?.output !== undefined && reader.output === operation.output ? reader : undefined

/** `Prefer: wait=N` (RFC 7240), at most 60 seconds. */
export function waitOf(request: Request): number {
  const wait = /(?:^|[\s,;])wait=(\d{1,6})/i.exec(request.headers.get('prefer') ?? '')?.[1]
  return Math.min(Number(wait ?? 0), 60)
}

/** Something long that ended while the caller waited (`Prefer: wait`) is an answer, not a promise of one. */
function waited(asked: Asked, value: unknown): boolean {
  if (asked.served.operation.status !== 202) return false
  if (typeof value !== 'object' || value === null || !('completed_at' in value)) return false
  return value.completed_at !== null && waitOf(asked.request) > 0
}

const isPage = (value: unknown): value is Page<unknown> =>
  typeof value === 'object' && value !== null && 'items' in value && 'total' in value && 'offset' in value

/** `next` and `prev` (RFC 8288), with the caller's own filters. */
function linkOf(url: URL, page: Page<unknown>): string {
  const at = (offset: number, rel: string) => {
    const query = new URLSearchParams(url.searchParams)
    query.set('limit', String(page.limit))
    query.set('offset', String(offset))
    return `<${url.pathname}?${query}>; rel="${rel}"`
  }
  const links: string[] = []
  if (page.offset + page.items.length < page.total && page.items.length > 0)
    links.push(at(page.offset + page.limit, 'next'))
  if (page.offset > 0) links.push(at(Math.max(0, page.offset - page.limit), 'prev'))
  return links.join(', ')
}

/** Undefined where nothing was made: it was only tried. */
const idOf = (value: unknown): string | undefined =>
  typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string' ? value.id : undefined

/** The path of what was made: its last parameter is the answer's id, the others are those of the request's path. */
function locationOf(operation: Operation, made: string, url: URL): string {
  const asked = url.pathname.replace(/^\/api\/v1/, '').split('/')
  const names = operation.path.split('/')
  const segments = (operation.creates ?? '').split('/').map((segment) => {
    if (!segment.startsWith('{')) return segment
    const place = names.indexOf(segment)
    return place < 0 ? made : (asked[place] ?? '')
  })
  return `/api/v1${segments.join('/')}`
}
