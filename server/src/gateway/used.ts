/** How many tokens a call has used. What its provider tells counts; where it does not, or the call ended in the middle,
 *  what passed is counted. Who is told of it and what is billed is the same number. */

import type { Usage } from './hub.ts'

/** What an attempt has produced. `isWhole`: it came to its end, and what was told is all. */
export type Counted = { usage: Partial<Usage> | undefined; output_tokens: number; isWhole: boolean }
export type Used = { usage: Usage; is_estimated: boolean }

export const nothing: Usage = { input: 0, cached: 0, cache_written: 0, output: 0, reasoning: 0 }
/** Of one call. */
const TOKENS_MAX = 1_000_000_000

/** Four bytes are about a token. */
export const tokensOf = (bytes: number): number => Math.ceil(bytes / 4)

/** `text_bytes`: of the request. */
export function usedBy({ usage, output_tokens, isWhole }: Counted, text_bytes: number): Used {
  // No answer takes nothing: who tells so does not tell, as of vectors and of what is ranked.
  const isTold = usage?.output !== undefined && usage.input !== undefined && usage.input + usage.output > 0
  if (isWhole && isTold) return { usage: counts({ ...nothing, ...usage }), is_estimated: false }
  const input = usage?.input || tokensOf(text_bytes)
  const output = Math.max(usage?.output ?? 0, output_tokens)
  return { usage: counts({ ...nothing, ...usage, input, output }), is_estimated: true }
}

/** Whole numbers, which a provider is not believed to send. */
const counts = ({ input, cached, cache_written, output, reasoning }: Usage): Usage => ({
  input: count(input),
  cached: count(cached),
  cache_written: count(cache_written),
  output: count(output),
  reasoning: count(reasoning),
})
const count = (tokens: number): number => Math.min(Math.max(0, Math.ceil(tokens)), TOKENS_MAX)
