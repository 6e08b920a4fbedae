/** The guardrails of a route, made ready: those that hold always, by name, then those that the route names, in its
 *  order. Those that look at a text as it comes go first; those that look at it as a whole see what the others have left.
 *  Made once for each policy; a change of a setting makes a new policy. */

import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import { Budget } from '../../expressions/expressions.ts'
import { Failure } from '../../failure.ts'
import type { JsonObject, MouthName } from '../hub.ts'
import type { Guardrail, Policy, Route } from '../policies/policy.ts'
import { type Keep, keepExamples } from './examples.ts'
import { chainOf, type Filter, type Screener, screenerOf } from './filters.ts'
import { Blocked, blockedBy, type Findings, type Side, tooMuchFor, uncheckedBy, unreadable } from './findings.ts'
import { hasTokenIds, mainOfAnswer, mainOfRequest, mapAnswer, mapRequest, TooDeep, type Visit } from './texts.ts'
import { type Looker, sliceOf, turns } from './turns.ts'
import { type Asking, type Looked, type Means, TooLong, type WholeRule, wholeRuleOf } from './whole-rules.ts'

/** Steps that the patterns of a side may take in a call, about three seconds of them. */
const STEPS_MAX = 100_000_000

export type Part = {
  screeners: Screener[]
  wholes: WholeRule[]
  /** Up to here a text is looked at at once; what is longer lets others have their turn. */
  slice: number
}
export type Guard = {
  input: Part | undefined
  output: Part | undefined
  /** Names them with all that they say: what was kept under others was not looked at by these. */
  digest: string
}

type Named = Pick<Route, 'guardrails'>
const NOWHERE: Named = { guardrails: [] }

export type Guards = {
  /** Of a call that goes there; without a route, of one that goes nowhere. Undefined: nothing is looked at. */
  of(policy: Policy, route: Named | undefined): Guard | undefined
}

export function createGuards(means: Means): Guards {
  const known = new WeakMap<Policy, Map<string, Guard | undefined>>()
  const keep = keepExamples()
  return {
    of(policy, route = NOWHERE) {
      if (policy.guardrails.size === 0) return undefined
      const made = known.get(policy) ?? new Map<string, Guard | undefined>()
      known.set(policy, made)
      const name = route.guardrails.join()
      if (!made.has(name)) made.set(name, guardOf(policy, route, means, keep(policy)))
      return made.get(name)
    },
  }
}

function guardOf(policy: Policy, route: Named, means: Means, keep: Keep): Guard | undefined {
  const always = [...policy.guardrails.values()].filter((one) => one.always)
  const named = route.guardrails.flatMap((id) => policy.guardrails.get(id) ?? [])
  const all = [...new Set([...always, ...named])]
  if (all.length === 0) return undefined
  const [input, output] = [partOf(all, 'input', means, keep), partOf(all, 'output', means, keep)]
  const digest = createHash('sha256').update(JSON.stringify(all)).digest('base64url')
  return { input, output, digest }
}

function partOf(all: Guardrail[], side: Side, means: Means, keep: Keep): Part | undefined {
  const mine = all.filter((one) => one.side === side || one.side === 'both')
  if (mine.length === 0) return undefined
  const screeners = mine.flatMap((one) => screenerOf(one) ?? [])
  const wholes = mine.flatMap((one) => wholeRuleOf(one, means, keep) ?? [])
  return { screeners, wholes, slice: sliceOf(screeners.reduce((sum, screener) => sum + screener.cost, 0)) }
}

export const newBudget = (): Budget => new Budget(STEPS_MAX)

/** Who looks, and for whom. */
export type Looking = { side: Side; findings: Findings; asking: Asking; looker: Looker; log: Logger }

/** The prompt as it may be asked. Throws a `Blocked`; a promise where something must be waited for. */
export function screenRequest(
  part: Part,
  mouth: MouthName,
  body: JsonObject,
  looking: Looking,
): JsonObject | Promise<JsonObject> {
  const strict = [...part.screeners, ...part.wholes].find(({ guardrail }) => guardrail.action !== 'flag')
  if (strict && hasTokenIds(body)) throw unreadable(strict.guardrail)
  return screen(
    part,
    body,
    (given, visit) => mapRequest(given, visit),
    (given) => mainOfRequest(mouth, given),
    looking,
  )
}

/** The answer as it may be told. */
export const screenAnswer = (
  part: Part,
  mouth: MouthName,
  body: JsonObject,
  looking: Looking,
): JsonObject | Promise<JsonObject> =>
  screen(
    part,
    body,
    (given, visit) => mapAnswer(mouth, given, visit),
    (given) => mainOfAnswer(mouth, given),
    looking,
  )

type MapTexts = (body: JsonObject, visit: Visit) => JsonObject

const screen: typeof screenAll = (part, body, map, main, looking) =>
  within(part, looking, () => screenAll(part, body, map, main, looking), body)

/** What is nested too deep to be looked at passes where it is only to be noted. */
export function within<Value>(part: Part, { side, findings }: Looking, look: () => Value, unlooked: Value): Value {
  try {
    return look()
  } catch (thrown) {
    if (!(thrown instanceof TooDeep)) throw thrown
    const all = [...part.screeners, ...part.wholes].map(({ guardrail }) => guardrail)
    const strict = all.find(({ action }) => action !== 'flag')
    if (strict) throw tooMuchFor(strict, side)
    for (const one of all) findings.add(one, 'unchecked', side)
    return unlooked
  }
}

function screenAll(
  part: Part,
  body: JsonObject,
  map: MapTexts,
  main: (body: JsonObject) => string[],
  looking: Looking,
): JsonObject | Promise<JsonObject> {
  const texts = new Set<string>()
  map(body, (text) => {
    texts.add(text)
    return text
  })
  const screened = screenTexts(part, [...texts], looking)
  const done = (told: Map<string, string>) => (told.size === 0 ? body : map(body, (text) => told.get(text) ?? text))
  if (part.wholes.length === 0) return screened instanceof Promise ? screened.then(done) : done(screened)
  return (async () => {
    const left = done(await screened)
    const all = new Set<string>()
    map(left, (text) => {
      if (text !== '') all.add(text)
      return text
    })
    const told = await lookAt(part.wholes, { texts: [...all], main: main(left) }, looking)
    return told.size === 0 ? left : map(left, (text) => told.get(text) ?? text)
  })()
}

/** What is to be told instead of these texts. */
function screenTexts(
  { screeners, slice }: Part,
  texts: string[],
  { side, findings, looker }: Looking,
): Map<string, string> | Promise<Map<string, string>> {
  const told = new Map<string, string>()
  if (screeners.length === 0) return told
  const chain = chainOf(screeners, side, findings, newBudget())
  const tell = (text: string, other: string) => {
    if (other !== text) told.set(text, other)
  }
  const characters = texts.reduce((sum, text) => sum + text.length, 0)
  if (characters <= slice && turns.hasRoom) {
    turns.atOnce(() => {
      for (const text of texts) tell(text, chain.push(text) + chain.end())
    })
    return told
  }
  return (async () => {
    for (const text of texts) tell(text, await slowly(chain, text, slice, looker))
    return told
  })()
}

/** What is told of a long text, after its turns. */
export async function slowly(filter: Filter, text: string, slice: number, looker: Looker): Promise<string> {
  let told = ''
  for await (const part of looker.slices(text, slice)) told += filter.push(part)
  return told + filter.end()
}

/** What is to be told instead of these texts, after all that look at them as a whole. */
export async function lookAt(wholes: WholeRule[], looked: Looked, looking: Looking): Promise<Map<string, string>> {
  const all = new Map<string, string>()
  for (const whole of wholes) {
    const now = (text: string) => all.get(text) ?? text
    const told = await lookBy(
      whole,
      { texts: [...new Set(looked.texts.map(now))], main: looked.main.map(now) },
      looking,
    )
    if (!told) continue
    for (const text of looked.texts) {
      const other = told.get(now(text))
      if (other !== undefined) all.set(text, other)
    }
  }
  return all
}

async function lookBy({ guardrail, look }: WholeRule, looked: Looked, { side, findings, asking, log }: Looking) {
  const { action, name } = guardrail
  try {
    const { is_found, told } = await look(looked, side, asking)
    if (!is_found) return undefined
    findings.add(guardrail, action, side)
    if (action === 'block') throw blockedBy(guardrail, side)
    return told
  } catch (thrown) {
    if (thrown instanceof Blocked) throw thrown
    // What code throws may have the text in it.
    const reason = thrown instanceof Failure ? thrown.code : String(thrown)
    log.warn({ reason, guardrail: name, request_id: asking.request_id }, 'a guardrail could not look')
    findings.add(guardrail, 'unchecked', side)
    if (action === 'flag') return undefined
    throw thrown instanceof TooLong ? tooMuchFor(guardrail, side) : uncheckedBy(guardrail, side)
  }
}
