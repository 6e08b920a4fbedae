/** Regular expressions that strangers write: matched in time linear in the text, whatever the pattern (RE2's syntax,
 *  which has no look-around and no back references). */

import { RE2JS } from 're2js'
import { ExpressionFault, limits } from './fault.ts'

export type Pattern = {
  test(text: string): boolean
  /** What a test of a text costs at most, in steps. */
  cost(text: string): number
}

const KEPT = 500
/** Characters times instructions that take about as long as one step: the worst case visits each for each. */
const VISITS_PER_STEP = 16
const compiled = new Map<string, Pattern>()

export function patternOf(source: string): Pattern {
  const known = compiled.get(source)
  if (known) return known
  if (source.length > limits.pattern)
    throw new ExpressionFault(`The pattern is longer than ${limits.pattern} characters.`)
  const pattern = compile(source)
  if (compiled.size >= KEPT) compiled.delete(compiled.keys().next().value ?? '')
  compiled.set(source, pattern)
  return pattern
}

function compile(source: string): Pattern {
  try {
    const pattern = RE2JS.compile(source)
    const instructions = pattern.programSize()
    return {
      test: (text) => pattern.test(text),
      cost: (text) => Math.ceil((text.length * instructions) / VISITS_PER_STEP),
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ExpressionFault(`"${source.slice(0, 100)}" is not a regular expression of RE2's syntax: ${reason}`)
  }
}
