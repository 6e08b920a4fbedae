/** The way in from inside: what code in the sandbox asks for by name is an operation of a room, as any request is. It
 *  is let in by the same rule (who asks, which permission, which solutions), read by the same shape, done in one
 *  transaction, noted, and answered by the same promise. Whose rights count is said by whoever runs the code and read
 *  anew with each question; the code is believed in nothing.
 *
 *  A writing call has an idempotency key of its own: the run of the code, what is asked, and the how many-eth time. So
 *  code that runs again after a crash is given the answers of before, and nothing is done twice. */

import { createHash } from 'node:crypto'
import type { ComponentType } from '@flow/contract/components'
import type { Operation } from '@flow/contract/operation'
import { z } from 'zod'
import type { Ask, Asker, Rights } from '../asking.ts'
import { type Actor, type Context, contextOf, type Platform, within } from '../context.ts'
import type { Db } from '../db/db.ts'
import { badRequest, Failure, forbidden, invalid, notFound, tooMany, unauthenticated } from '../failure.ts'
import { parseShape } from '../shape.ts'
import { recall, remember } from './idempotency.ts'
import { type AuditNote, noteOf } from './note.ts'
import { problemOf } from './problem.ts'
import { parseJson } from './read.ts'

/** An operation that code may call. */
export type Offer = {
  domain: string
  name: string
  operation: Operation
  /** The operation's input, made strict. */
  schema: z.ZodType
  call(ctx: Context, input: unknown): unknown
  /** What is waited for after the commit, when the code says `wait`. */
  wait?: (ctx: Context, answer: unknown) => Promise<unknown>
  /** It waits for something while it works, or writes nothing of its own: no transaction is opened around it. */
  own_transactions: boolean
  /** It keeps a record of its own: the audit log is told nothing. */
  is_recorded?: true
  /** Fields that may name a component by its slug, and the type of what they name. */
  names?: Record<string, ComponentType>
}

/** By name, as code has it: `workflows.execute`. A text instead says why there is none yet. */
export type Offers = Record<string, Offer | string>

export type InsideDoors = {
  actorWith(platform: Platform, organization_id: string, rights: Rights): Promise<Actor>
  may(actor: Actor, permission: string, at: { workspace_id: string }): boolean
  solutionsWith(actor: Actor, permission: string, workspace_id: string): string[]
  resolve(ctx: Context, ref: string, type: ComponentType): Promise<{ id: string } | undefined>
  note(db: Db, event: AuditNote): Promise<void>
}

/** Calls of one organization that are at work at a time, in one process; the others wait for their turn. */
export const AT_WORK_MAX = 8
/** Of code with all the code that it calls, and that calls. */
export const ASKED_MAX = 5000
/** What code says besides the operation's input. */
const Options = z.looseObject({
  wait: z.number().min(0).max(60).default(0),
  idempotency_key: z
    .string()
    .regex(/^[\x21-\x7e]{1,100}$/, 'Use 1 to 100 printable ASCII characters without spaces.')
    .optional(),
})

export function answererOf(platform: Platform, doors: InsideDoors, offers: Offers): Ask {
  const turns = openTurns()
  return async ({ method, args, asker }) => {
    const offer = Object.hasOwn(offers, method) ? offers[method] : undefined
    if (typeof offer === 'string') throw new Failure('UNAVAILABLE', offer)
    if (!offer) throw unknownMethod(method, offers)
    // Of an operation that itself waits for code, the turn would be kept from what it waits for.
    const answered = offer.own_transactions
      ? await answerTo(offer, method, args, asker, platform, doors)
      : await turns(asker.organization_id, () => answerTo(offer, method, args, asker, platform, doors))
    const { ctx, result } = answered
    const end = offer.wait && ctx.wait_seconds > 0 ? await offer.wait(ctx, result) : result
    return offer.operation.output ? offer.operation.output.parse(end) : null
  }
}

async function answerTo(
  offer: Offer,
  method: string,
  args: unknown,
  asker: Asker,
  platform: Platform,
  doors: InsideDoors,
): Promise<{ ctx: Context; result: unknown }> {
  asker.signal.throwIfAborted()
  if (++asker.inside.sum.asked > ASKED_MAX) {
    throw tooMany(`This code and the code that it calls have asked more than ${ASKED_MAX} times.`, 60)
  }
  const { wait, idempotency_key, ...fields } = optionsOf(args)
  const ctx = await letIn(offer, asker, platform, doors, wait)
  const { operation } = offer
  const isRead = operation.method === 'GET'
  const question = JSON.stringify([method, fields])
  const key = keyOf(asker, question, idempotency_key)
  const asking = { ...ctx, inside: { ...asker.inside, run_key: key } }
  try {
    const input = await inputOf(offer, fields, asking, doors)
    if (isRead) return { ctx: asking, result: await offer.call(asking, input) }
    if (offer.own_transactions) {
      const result = await offer.call(asking, input)
      if (!offer.is_recorded) await doors.note(ctx.db, noteWith(offer, asking, input, result))
      return { ctx: asking, result }
    }
    const result = await ctx.db.tx(async (db) => {
      const inside = within(asking, db)
      const before = await recall(inside, key, hashOf(question))
      if (before) return before.body
      const made = await offer.call(inside, input)
      await doors.note(db, noteWith(offer, inside, input, made))
      await remember(inside, key, hashOf(question), { status: 200, body: made ?? null })
      return made
    })
    return { ctx: asking, result }
  } catch (thrown) {
    asker.signal.throwIfAborted()
    const failure = problemOf(thrown, ctx.log)
    if (!isRead && !offer.is_recorded) await noteRefusal(offer, asking, doors, failure)
    throw failure
  }
}

/** Who asks, and whether they may: as the edge decides it. */
async function letIn(
  { operation, ...offer }: Offer,
  asker: Asker,
  platform: Platform,
  doors: InsideDoors,
  wait_seconds: number,
): Promise<Context> {
  const { organization_id, workspace_id, request_id, signal } = asker
  const actor = await actorOf(asker, platform, doors)
  if (actor.organization_id !== organization_id || (actor.workspace_id && actor.workspace_id !== workspace_id)) {
    throw forbidden('The key that this was started with is for another workspace.')
  }
  const ctx = contextOf(platform, platform.database.of(organization_id), { actor, organization_id, workspace_id })
  Object.assign(ctx, { request_id, wait_seconds, signal: AbortSignal.any([signal, platform.stopping]) })
  const { permission } = operation
  if (permission === 'public') throw new Error(`the public operation ${offer.name} is offered to code`)
  if (permission === 'authenticated' || doors.may(actor, permission, { workspace_id })) return ctx
  ctx.solution_ids = operation.narrows ? doors.solutionsWith(actor, permission, workspace_id) : []
  if (ctx.solution_ids.length > 0) return ctx
  throw forbidden(`This needs the permission "${permission}", which whoever started this code does not have here.`)
}

async function actorOf({ actor, organization_id }: Asker, platform: Platform, doors: InsideDoors): Promise<Actor> {
  if (!actor) {
    throw unauthenticated(
      'This runs in the name of nobody, so its code may ask for nothing. Save the workflow again to give it your name.',
    )
  }
  return 'grants' in actor ? actor : doors.actorWith(platform, organization_id, actor)
}

function optionsOf(args: unknown): z.output<typeof Options> {
  if (typeof args !== 'object' || args === null || Array.isArray(args)) throw badRequest('Name the arguments.')
  parseJson(JSON.stringify(args))
  const parsed = parseShape(Options, args)
  if (parsed.faults) throw invalid(parsed.faults)
  return parsed.value
}

async function inputOf(
  { schema, names = {} }: Offer,
  fields: Record<string, unknown>,
  ctx: Context,
  doors: InsideDoors,
): Promise<unknown> {
  const given = { ...fields }
  for (const [field, type] of Object.entries(names)) {
    const ref = given[field]
    if (typeof ref !== 'string' || z.uuid().safeParse(ref).success) continue
    const found = await doors.resolve(ctx, ref, type)
    if (!found) throw notFound(type.replaceAll('_', ' '), ref.slice(0, 200))
    given[field] = found.id
  }
  const parsed = parseShape(schema, given)
  if (parsed.faults) throw invalid(parsed.faults)
  return parsed.value
}

/** A key that the code gives is one of whoever it runs for, in every execution. */
function keyOf({ inside, asked }: Asker, question: string, own: string | undefined): string {
  if (own !== undefined) return `code:own:${own}`
  const base = `code:${hashOf(inside.run_key)}:${hashOf(question)}`
  const count = (asked.get(base) ?? 0) + 1
  asked.set(base, count)
  return `${base}:${count}`
}

const hashOf = (text: string) => createHash('sha256').update(text).digest('base64url')

function noteWith(offer: Offer, ctx: Context, input: unknown, result: unknown): AuditNote {
  const { execution_id, node_id } = ctx.inside ?? {}
  const note = noteOf(offer, ctx, input, result)
  return { ...note, metadata: { ...note.metadata, by_code: true, execution_id, node_id } }
}

async function noteRefusal(offer: Offer, ctx: Context, doors: InsideDoors, failure: Failure): Promise<void> {
  const note = noteWith(offer, ctx, {}, undefined)
  const message = failure.message.replaceAll('\0', '\ufffd').toWellFormed()
  const metadata = { ...note.metadata, code: failure.code, message }
  await doors
    .note(ctx.platform.database.of(ctx.organization_id), { ...note, outcome: 'failure', metadata })
    .catch((error: unknown) => ctx.log.error({ err: error }, 'a refusal was not noted'))
}

function unknownMethod(method: string, offers: Offers): Failure {
  const [namespace = ''] = method.split('.')
  const near = Object.keys(offers).filter((name) => name.startsWith(`${namespace}.`))
  const there = near.length > 0 ? near : [...new Set(Object.keys(offers).map((name) => name.split('.')[0]))]
  return new Failure('NOT_FOUND', `There is no "${method.slice(0, 100)}" here; there are ${there.join(', ')}.`)
}

/** A few at a time for each organization, in the order they came. */
function openTurns() {
  const lines = new Map<string, { atWork: number; waiting: (() => void)[] }>()
  return async <Result>(who: string, work: () => Promise<Result>): Promise<Result> => {
    const line = lines.get(who) ?? { atWork: 0, waiting: [] }
    lines.set(who, line)
    if (line.atWork >= AT_WORK_MAX) await new Promise<void>((resolve) => line.waiting.push(resolve))
    else line.atWork++
    try {
      return await work()
    } finally {
      const next = line.waiting.shift()
      if (next) next()
      else if (--line.atWork === 0) lines.delete(who)
    }
  }
}
