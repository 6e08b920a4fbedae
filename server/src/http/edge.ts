/** The edge: the only room that knows HTTP, and the one door every operation comes through. It lets in, reads,
 *  opens the transaction, notes and answers; the rooms behind it see a context and a typed input.
 *
 *  The order of a request: matched → let in (who, rate, scope, permission) → read → begun (one transaction for a
 *  write, with the idempotency key and `If-Match` in it) → done → noted → answered, or refused. */

import type { Domain } from '@flow/contract/operation'
import { statusOf } from '@flow/contract/operation'
import { Hono } from 'hono'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { Actor, Context, Platform, PublicContext } from '../context.ts'
import { contextOf, newId, within } from '../context.ts'
import type { Db } from '../db/db.ts'
import { type Share, sharedTransactions } from '../db/group-commit.ts'
import { Failure, forbidden, unauthenticated } from '../failure.ts'
import { addressOf, peerOf } from './address.ts'
import { answerOf, pathOfShown, shownBy, waitOf } from './answer.ts'
import { etagOf, matches } from './etag.ts'
import { fingerprint, readKey, recall, remember, type Stored } from './idempotency.ts'
import { type Limits, openLimits } from './limits.ts'
import type { Metrics } from './metrics.ts'
import { type AuditNote, noteOf } from './note.ts'
import { problemOf, problemResponse, sqlState } from './problem.ts'
import { BODY_BYTES_MAX, type Body, readBody, readInput } from './read.ts'
import type { Room, Served, Ways } from './served.ts'

/** What the edge needs of the rooms above it. */
export type Doors = {
  authenticate(platform: Platform, credentials: Credentials): Promise<Actor>
  may(actor: Actor, permission: string, at: { workspace_id: string }): boolean
  /** The solutions in which the actor has the permission, if not in the whole workspace. */
  solutionsWith(actor: Actor, permission: string, workspace_id: string): string[]
  /** The workspace that a request is about; refuses one that is not the organization's. */
  workspaceOf(platform: Platform, organization_id: string, workspace_id?: string): Promise<string>
  note(db: Db, event: AuditNote): Promise<void>
}

export type Credentials = { api_key?: string; bearer?: string; address: string }

export type Edge = {
  app: Hono
  serve<D extends Domain>(name: string, domain: D, room: Room<D>, more?: Ways<D>): void
  /** What serves an operation. */
  servedAs(domain: string, name: string): Served
  /** Lays the routes, when every domain is served. */
  open(): void
  /** What it counts requests with. */
  limits: Limits
}

/** What the edge works with. */
type House = { platform: Platform; doors: Doors; limits: Limits; share: Share }

type Asked = {
  served: Served
  /** What else the path serves. */
  methods: Map<string, Served>
  request: Request
  url: URL
  params: Record<string, string>
  request_id: string
  address: string
  now: string
  /** What every answer to this request carries besides. */
  headers: Record<string, string>
  log: Logger
}

export function createEdge(platform: Platform, doors: Doors, metrics: Metrics): Edge {
  const app = new Hono({ strict: true })
  const limits = openLimits(platform.config)
  const house = { platform, doors, limits, share: sharedTransactions(platform.database) }
  const byPath = new Map<string, Map<string, Served>>()

  const serve: Edge['serve'] = (
    domain,
    operations,
    room,
    { own_transactions = [], shares = [], prepares = {}, waits = {} } = {},
  ) => {
    for (const [name, operation] of Object.entries(operations)) {
      const methods = byPath.get(operation.path) ?? new Map<string, Served>()
      const call = room[name] as unknown as Served['call']
      // An input that says what becomes of unknown fields is left as it is; every other refuses them.
      const schema = operation.input.def.catchall ? operation.input : operation.input.strict()
      methods.set(operation.method, {
        domain,
        name,
        operation,
        schema,
        call,
        own_transactions: own_transactions.includes(name),
        shares: shares.includes(name),
        prepare: (prepares as Record<string, Served['prepare']>)[name],
        wait: (waits as Record<string, Served['wait']>)[name],
      })
      byPath.set(operation.path, methods)
    }
  }

  const answer = async (
    request: Request,
    methods: Map<string, Served>,
    params: Record<string, string>,
    peer?: string,
  ) => {
    const started = performance.now()
    const request_id = requestId(request)
    // A HEAD is a GET whose answer has no body.
    const isHead = request.method === 'HEAD'
    const served = methods.get(isHead ? 'GET' : request.method)
    const log = platform.log.child({ request_id })
    let response: Response
    let asked: Asked | undefined
    try {
      if (!served) throw new Failure('METHOD_NOT_ALLOWED', `This path answers ${allowed(methods)} only.`)
      const now = platform.clock.now().toISOString()
      const address = addressOf(request, peer, platform.config.trust_proxy)
      asked = {
        served,
        methods,
        request,
        url: new URL(request.url),
        params,
        request_id,
        address,
        now,
        headers: {},
        log,
      }
      response = await answerAsked(asked, house)
    } catch (thrown) {
      response = problemResponse(problemOf(thrown, log), request, request_id)
      if (!served) response.headers.set('allow', allowed(methods))
    }
    response.headers.set('x-request-id', request_id)
    for (const [name, value] of Object.entries(asked?.headers ?? {})) response.headers.set(name, value)
    const seconds = (performance.now() - started) / 1000
    const operation = served ? `${served.domain}.${served.name}` : 'none'
    metrics.request(operation, response.status, seconds)
    log.info({ operation, method: request.method, status: response.status, ms: Math.round(seconds * 1000) }, 'answered')
    if (!isHead) return response
    await response.body?.cancel()
    return new Response(null, response)
  }

  // Fixed segments go before parameters, so that `/users/me` is not a user.
  const open = () => {
    for (const path of [...byPath.keys()].sort(bySpecificity)) {
      const methods = byPath.get(path)
      if (!methods) continue
      for (const served of methods.values()) {
        const shown = byPath.get(pathOfShown(served.operation))?.get('GET')
        served.shown_by = shownBy(served.operation, shown?.operation)
      }
      const pattern = `/api/v1${path.replace(/\{(\w+)\}/g, ':$1')}`
      app.all(pattern, (c) => answer(c.req.raw, methods, c.req.param() as Record<string, string>, peerOf(c.env)))
    }
    app.all('/api/*', (c) => {
      const failure = new Failure('NOT_FOUND', `There is nothing at ${c.req.path}. The operations are listed at /docs.`)
      return problemResponse(failure, c.req.raw, requestId(c.req.raw))
    })
  }
  const servedAs = (domain: string, name: string) => {
    const all = [...byPath.values()].flatMap((methods) => [...methods.values()])
    const served = all.find((one) => one.domain === domain && one.name === name)
    if (!served) throw new Error(`nobody serves ${domain}.${name}`)
    return served
  }
  return { app, serve, servedAs, open, limits }
}

const allowed = (methods: Map<string, Served>) =>
  [...methods.keys()].flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ')

async function answerAsked(asked: Asked, house: House): Promise<Response> {
  const { platform, doors, limits } = house
  const { operation } = asked.served
  if (operation.permission === 'public') {
    Object.assign(asked.headers, await limits.spend(asked.address, operation.rate ?? 'public'))
    const { input } = await read(asked)
    const result = await asked.served.call(publicContext(asked, platform) as unknown as Context, input)
    return answerOf(asked, await result, asked.request.signal, asked.log)
  }

  const ctx = await letIn(asked, house)
  try {
    const { input, body } = await read(asked)
    if (operation.method === 'GET' || asked.served.own_transactions) {
      const result = await asked.served.call(ctx, input)
      const response = answerOf(asked, result, ctx.signal, ctx.log)
      if (operation.method !== 'GET') await doors.note(ctx.db, noteOf(asked.served, ctx, input, result))
      return response
    }
    return await write(asked, ctx, house, input, body)
  } catch (thrown) {
    if (operation.method !== 'GET') await noteRefusal(asked, ctx, doors, problemOf(thrown, ctx.log))
    throw thrown
  }
}

/** Who asks, how often, about which workspace, and whether they may. Nobody else in the system asks any of it. */
async function letIn(asked: Asked, { platform, doors, limits }: House): Promise<Context> {
  const { request, params, address } = asked
  const { operation } = asked.served
  const { api_key, bearer } = credentialsOf(request)
  if (!api_key && !bearer) {
    throw unauthenticated('Send an API key as X-API-Key, or a token as Authorization: Bearer.')
  }
  await limits.notExhausted(address)
  const actor = await doors.authenticate(platform, { api_key, bearer, address }).catch(async (thrown: unknown) => {
    await limits.punish(address)
    throw thrown
  })
  Object.assign(asked.headers, await limits.spend(actor.id, 'actor'))

  const organization = params.org_id
  if (organization !== undefined && organization !== actor.organization_id) {
    throw new Failure('NOT_FOUND', `There is no organization "${organization}".`)
  }
  const named = params.workspace_id ?? request.headers.get('x-workspace-id') ?? actor.workspace_id
  const usual = actor.default_workspace_id
  const isUsual = usual !== undefined && (named ?? usual) === usual
  const workspace_id = isUsual ? usual : await doors.workspaceOf(platform, actor.organization_id, named)
  if (actor.workspace_id && actor.workspace_id !== workspace_id) {
    throw new Failure('NOT_FOUND', `There is no workspace "${workspace_id}".`)
  }
  const ctx = context(asked, platform, actor, workspace_id)
  const { permission } = operation
  if (permission === 'authenticated' || doors.may(actor, permission, { workspace_id })) return ctx
  ctx.solution_ids = operation.narrows ? doors.solutionsWith(actor, permission, workspace_id) : []
  if (ctx.solution_ids.length === 0) {
    const failure = forbidden(`This needs the permission "${permission}", which you do not have here.`)
    await noteRefusal(asked, ctx, doors, failure)
    throw failure
  }
  return ctx
}

async function read(asked: Asked): Promise<{ input: unknown; body: Body }> {
  const { operation, schema } = asked.served
  const bodyless = operation.method === 'GET' || operation.method === 'DELETE'
  const body = bodyless
    ? { text: '', fields: {} }
    : await readBody(asked.request, operation.body_bytes_max ?? BODY_BYTES_MAX)
  const query = new URLSearchParams(asked.url.searchParams)
  // What a client's reader of events sends by itself when it comes back; the query is for people.
  const last = operation.streams ? asked.request.headers.get('last-event-id') : null
  if (last !== null) query.set('after', last)
  return { input: readInput(operation, schema, { params: asked.params, query, body: body.fields }), body }
}

/** One transaction: the answer given before, the precondition, the work, the note, the answer kept. */
async function write(
  asked: Asked,
  ctx: Context,
  { doors, share }: House,
  input: unknown,
  body: Body,
): Promise<Response> {
  const { served, request } = asked
  const key = served.operation.method === 'POST' ? readKey(request) : undefined
  const request_hash = key ? fingerprint(request.method, asked.url, body.text) : ''
  const if_match = request.headers.get('if-match')
  const prepared = await prepare(served, ctx, input, key ? { key, request_hash } : undefined)
  const work = async (db: Db): Promise<Stored & { replayed: boolean }> => {
    const inside = within(ctx, db)
    const before = key ? await recall(inside, key, request_hash) : undefined
    if (before) return { ...before, replayed: true }
    if (if_match !== null) await precondition(if_match, inside, asked)

    const result = await served.call(inside, input, prepared)
    await doors.note(db, noteOf(asked.served, inside, input, result))
    const answer = { status: statusOf(served.operation), body: result }
    if (key) await remember(inside, key, request_hash, answer)
    return { ...answer, replayed: false }
  }
  const isolation = if_match === null ? 'read committed' : 'repeatable read'
  const isShared = served.shares && if_match === null
  const doing = isShared ? share(ctx.organization_id, work, body.text.length) : ctx.db.tx(work, { isolation })
  const done = await doing.catch((thrown: unknown) => {
    // Under repeatable read, what was changed by somebody else since our reading refuses our writing.
    if (if_match !== null && sqlState(thrown) === '40001') throw changed()
    throw thrown
  })

  const end = served.wait ? await served.wait(ctx, done.body) : done.body
  const response = answerOf(asked, end, ctx.signal, ctx.log)
  if (done.replayed) response.headers.set('idempotent-replayed', 'true')
  return response
}

/** What was answered before is not done again. */
async function prepare(served: Served, ctx: Context, input: unknown, sent?: { key: string; request_hash: string }) {
  if (!served.prepare) return undefined
  const isKnown = sent && (await ctx.db.tx((db) => recall(within(ctx, db), sent.key, sent.request_hash)))
  return isKnown ? undefined : served.prepare(ctx, input)
}

const changed = () =>
  new Failure('PRECONDITION_FAILED', 'It has changed since you read it. Read it again, then repeat the change.')

/** `If-Match` against the representation that a GET of the same path answers, read in the same transaction. */
async function precondition(if_match: string, ctx: Context, asked: Asked): Promise<void> {
  const reader = asked.methods.get('GET')
  if (!reader?.operation.output) return
  const result = await reader.call(
    ctx,
    readInput(reader.operation, reader.schema, { params: asked.params, query: new URLSearchParams(), body: {} }),
  )
  const value = reader.operation.output.parse(result)
  const current = etagOf(value, JSON.stringify(value), reader.operation.moving)
  if (!matches(if_match, current)) throw changed()
}

function context(asked: Asked, platform: Platform, actor: Actor, workspace_id: string): Context {
  const { organization_id } = actor
  const db = platform.database.of(organization_id)
  const request = publicContext(asked, platform)
  const log = request.log.child({ organization_id, actor_id: actor.id })
  const ctx = contextOf(platform, db, { actor, organization_id, workspace_id })
  const wait_seconds = waitOf(asked.request)
  // Whoever waits for something long is answered, or let go, when the server stops.
  const isLong = wait_seconds > 0 || asked.served.operation.streams
  const signal = isLong ? AbortSignal.any([request.signal, platform.stopping]) : request.signal
  return Object.assign(ctx, request, { db, log, wait_seconds, signal })
}

function publicContext(asked: Asked, platform: Platform): PublicContext {
  return {
    platform,
    db: platform.database.platform,
    now: asked.now,
    request_id: asked.request_id,
    address: asked.address,
    log: asked.log,
    signal: asked.request.signal,
    credentials: credentialsOf(asked.request),
  }
}

const credentialsOf = (request: Request) => ({
  api_key: request.headers.get('x-api-key') ?? undefined,
  bearer: /^Bearer +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1],
})

/** Of what was asked for and is not there. */
const TOLD_MAX = 500

async function noteRefusal(asked: Asked, ctx: Context, doors: Doors, failure: Failure): Promise<void> {
  // What was refused may be what cannot be stored.
  const storable = (text: string) => text.replaceAll('\0', '\ufffd').toWellFormed()
  const params = Object.fromEntries(
    Object.entries(asked.params).map(([name, value]) => [name, storable(value.slice(0, TOLD_MAX))]),
  )
  const metadata = { code: failure.code, message: storable(failure.message) }
  await doors
    .note(ctx.platform.database.of(ctx.organization_id), {
      ...noteOf(asked.served, ctx, params, undefined),
      outcome: 'failure',
      metadata,
    })
    .catch((error: unknown) => ctx.log.error({ err: error }, 'a refusal was not noted'))
}

export function requestId(request: Request): string {
  const given = request.headers.get('x-request-id')
  return given && z.uuid().safeParse(given).success ? given : newId()
}

/** Fixed segments before parameters, position by position. */
function bySpecificity(a: string, b: string): number {
  const rank = (path: string) =>
    path
      .split('/')
      .map((segment) => (segment.startsWith('{') ? '1' : '0'))
      .join('')
  return rank(a).localeCompare(rank(b))
}
