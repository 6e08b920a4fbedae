/** What a hostile program is: it means harm, and there are only so many verdicts it may come to. To add one is to add
 *  an entry. Who may be ended by the clock has 100 ms for it, the others two seconds; each has 32 MB unless it says
 *  otherwise. */

import type { FaultCode } from '../verdict.ts'

export type Hostile = {
  does: string
  code: string
  /** What it may end with, or … */
  ends?: FaultCode[]
  /** … what it returns: how little it saw. */
  gives?: unknown
  language?: 'typescript' | 'python'
  memory_mb?: number
  input?: unknown
}

export const main = (...lines: string[]) => `export function main(input) {\n${lines.join('\n')}\n}`
export const asyncMain = (...lines: string[]) => `export async ${main(...lines).slice('export '.length)}`
