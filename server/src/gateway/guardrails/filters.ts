/** Guardrails that look at a text as it comes, and hold back no more of it than they must: regular expressions and
 *  personal data. In pieces they find the same as in the whole. */

import type { PiiKind } from '@flow/contract/gateway-routes'
import { type Budget, ExpressionFault, type StreamPattern, streamPatternOf } from '../../expressions/expressions.ts'
import type { Guardrail } from '../policies/policy.ts'
import { blockedBy, type Findings, type Side, tooMuchFor } from './findings.ts'
import { PiiReader, type PiiSpan } from './pii-reader.ts'

/** The text comes out as it may be told. Throws a `Blocked`. After its end it is ready for another text. */
export type Filter = { push(text: string): string; end(): string }

/** Of one guardrail, made once. */
export type Screener = {
  guardrail: Guardrail
  /** What a character costs at most, in steps. */
  cost: number
  /** Tells `found` of each match, in the place of which stands what it gives. */
  open(found: (placeholder: string, text: string) => string, budget: Budget): Filter
}

/** About as long as so many steps of a pattern. */
const PII_COST = 100

/** Undefined: it looks at a text as a whole (whole-rules.ts). */
export function screenerOf(guardrail: Guardrail): Screener | undefined {
  const { rule } = guardrail
  if (rule.type === 'pii') {
    // As they were saved: kinds of the contract.
    const kinds = new Set(rule.kinds as PiiKind[])
    return { guardrail, cost: PII_COST, open: (found) => piiFilter(kinds, found) }
  }
  if (rule.type !== 'regex') return undefined
  const pattern = streamPatternOf(rule.patterns)
  return { guardrail, cost: pattern.cost, open: (found, budget) => regexFilter(pattern, found, budget) }
}

type Found = Parameters<Screener['open']>[0]

function piiFilter(kinds: ReadonlySet<PiiKind>, found: Found): Filter {
  const reader = new PiiReader(kinds)
  const tell = (spans: PiiSpan[]) => {
    let told = ''
    for (const { text, kind } of spans) told += kind === null ? text : found(`[${kind.toUpperCase()}]`, text)
    return told
  }
  return { push: (text) => tell(reader.push(text)), end: () => tell(reader.end()) }
}

function regexFilter(pattern: StreamPattern, found: Found, budget: Budget): Filter {
  const reader = pattern.reader(budget)
  const tell = (spans: ReturnType<typeof reader.push>) => {
    let told = ''
    for (const { text, is_match } of spans) told += is_match ? found('[REDACTED]', text) : text
    return told
  }
  return { push: (text) => tell(reader.push(text)), end: () => tell(reader.end()) }
}

/** All of a side, one behind the other: each looks at what those before it have left. */
export function chainOf(screeners: readonly Screener[], side: Side, findings: Findings, budget: Budget): Filter {
  const filters = screeners.map((screener) => filterOf(screener, side, findings, budget))
  return {
    push: (text) => filters.reduce((told, filter) => (told === '' ? '' : filter.push(told)), text),
    end: () => filters.reduce((told, filter) => (told === '' ? '' : filter.push(told)) + filter.end(), ''),
  }
}

function filterOf({ guardrail, open }: Screener, side: Side, findings: Findings, budget: Budget): Filter {
  const { action } = guardrail
  const filter = open((placeholder, text) => {
    findings.add(guardrail, action, side)
    if (action === 'block') throw blockedBy(guardrail, side)
    return action === 'redact' ? placeholder : text
  }, budget)
  let isOver = false
  /** What costs too much is not looked at any further. */
  const within = (work: () => string, text: string): string => {
    if (isOver) return text
    try {
      const told = work()
      // What is only noted is kept back from nobody.
      return action === 'flag' ? text : told
    } catch (thrown) {
      if (!(thrown instanceof ExpressionFault)) throw thrown
      if (action !== 'flag') throw tooMuchFor(guardrail, side)
      isOver = true
      findings.add(guardrail, 'unchecked', side)
      return text
    }
  }
  return { push: (text) => within(() => filter.push(text), text), end: () => within(() => filter.end(), '') }
}
