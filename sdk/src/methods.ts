/** The contract as functions: for each operation of a domain a method with the same name. Nothing is generated; the
 *  types are the contract's own. */

import type { Page } from '@flow/contract/common'
import { type Domain, type Input, type Operation, type Output, placeOf } from '@flow/contract/operation'
import { type FlowEvent, follow } from './events.ts'
import type { Transport } from './transport.ts'

export type CallOptions = {
  signal?: AbortSignal
  /** Makes a repetition harmless; one is made for every POST that has none. */
  idempotency_key?: string
  /** Changes only what still has this `ETag`; else the call is refused with `PRECONDITION_FAILED`. */
  if_match?: string
  /** Waits up to so many seconds (at most 60) for the end of what is started. */
  wait?: number
  /** Another workspace than the client's own. */
  workspace_id?: string
  /** The id that this request bears in answers, logs and the audit log. A UUID. */
  request_id?: string
}

/** The client knows its organization and workspace, so a call need not say them. */
type Known = 'org_id' | 'workspace_id'
type Given<O extends Operation> = Omit<Input<O>, Known> & Partial<Pick<Input<O>, Known & keyof Input<O>>>
type Arguments<O extends Operation> =
  Record<never, never> extends Given<O>
    ? [input?: Given<O>, options?: CallOptions]
    : [input: Given<O>, options?: CallOptions]

/** A page, which may say more than its items, or with `for await` every item of all pages. */
export type Listing<Item, Whole = Page<Item>> = Promise<Whole> & AsyncIterable<Item>

type Answer<O extends Operation> = O extends { streams: true }
  ? AsyncIterable<FlowEvent<Output<O>>>
  : O extends { downloads: string }
    ? AsyncIterable<string>
    : Output<O> extends Page<infer Item>
      ? Listing<Item, Output<O>>
      : Promise<Output<O>>

export type Methods<D extends Domain> = { [Name in keyof D]: (...given: Arguments<D[Name]>) => Answer<D[Name]> }

/** Values that a client puts in where a call does not say them. */
export type Defaults = { org_id?: string; workspace_id?: string }

export function methodsOf<D extends Domain>(
  domain: D,
  transport: Transport,
  defaults: () => Defaults = () => ({}),
): Methods<D> {
  const methods: Record<string, unknown> = {}
  for (const [name, operation] of Object.entries(domain)) {
    methods[name] = (input: Record<string, unknown> = {}, options: CallOptions = {}) => {
      const given = { ...input }
      for (const [field, value] of Object.entries(defaults())) {
        if (given[field] === undefined && operation.path.includes(`{${field}}`)) given[field] = value
      }
      return call(operation, transport, given, options)
    }
  }
  return methods as Methods<D>
}

function call(
  operation: Operation,
  transport: Transport,
  input: Record<string, unknown>,
  options: CallOptions,
): unknown {
  if (operation.streams)
    return follow(transport, locate(operation, input), headersOf(operation, options), options.signal)
  if (operation.downloads) return pieces(send(operation, transport, input, options))
  const answer = send(operation, transport, input, options).then(bodyValue)
  return 'offset' in operation.input.shape
    ? listing(answer as Promise<Page<unknown>>, operation, transport, input, options)
    : answer
}

const send = (operation: Operation, transport: Transport, input: Record<string, unknown>, options: CallOptions) =>
  transport.send({
    method: operation.method,
    path: locate(operation, input),
    body: bodyOf(operation, input),
    headers: headersOf(operation, options),
    signal: options.signal,
    repeatable: operation.method !== 'POST' || operation.permission !== 'public',
    streams: operation.downloads !== undefined,
  })

async function bodyValue(response: Response): Promise<unknown> {
  const text = await response.text()
  return text === '' ? undefined : JSON.parse(text)
}

function locate(operation: Operation, input: Record<string, unknown>): string {
  const path = operation.path.replace(/\{(\w+)\}/g, (_, field: string) => {
    const value = input[field]
    if (value === undefined) throw new TypeError(`"${field}" is missing.`)
    return encodeURIComponent(String(value))
  })
  const query = new URLSearchParams()
  for (const [field, value] of Object.entries(input)) {
    if (value === undefined || placeOf(operation, field) !== 'query') continue
    for (const each of Array.isArray(value) ? value : [value]) query.append(field, String(each))
  }
  return `/api/v1${path}${query.size > 0 ? `?${query}` : ''}`
}

function bodyOf(operation: Operation, input: Record<string, unknown>): Record<string, unknown> | undefined {
  if (operation.method === 'GET' || operation.method === 'DELETE') return undefined
  return Object.fromEntries(
    Object.entries(input).filter(([field, value]) => value !== undefined && placeOf(operation, field) === 'body'),
  )
}

function headersOf(operation: Operation, options: CallOptions): Record<string, string> {
  const headers: Record<string, string> = {}
  const keyed = operation.method === 'POST' && operation.permission !== 'public'
  if (keyed) headers['idempotency-key'] = options.idempotency_key ?? crypto.randomUUID()
  if (options.if_match) headers['if-match'] = options.if_match
  if (options.wait) headers.prefer = `wait=${options.wait}`
  if (options.workspace_id) headers['x-workspace-id'] = options.workspace_id
  if (options.request_id) headers['x-request-id'] = options.request_id
  return headers
}

function listing(
  first: Promise<Page<unknown>>,
  operation: Operation,
  transport: Transport,
  input: Record<string, unknown>,
  options: CallOptions,
): Listing<unknown> {
  async function* items() {
    let page = await first
    while (true) {
      yield* page.items
      const offset = page.offset + page.items.length
      if (page.items.length === 0 || offset >= page.total) return
      page = (await bodyValue(await send(operation, transport, { ...input, offset }, options))) as Page<unknown>
    }
  }
  return Object.assign(first, { [Symbol.asyncIterator]: items })
}

async function* pieces(response: Promise<Response>): AsyncIterable<string> {
  const { body } = await response
  if (!body) return
  yield* body.pipeThrough(new TextDecoderStream()) as unknown as AsyncIterable<string>
}
