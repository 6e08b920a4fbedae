/** What the worker needs of a language: machines that are ready, and runs that begin in them. */

import type { FaultCode, Module } from '../verdict.ts'
import type { ToWorker } from '../wire.ts'
import type { Line, Run } from './run.ts'

export type Order = Extract<ToWorker, { t: 'run' }>
/** `packages` in base64. */
export type Source = { text: string; filename: string; packages?: string[]; modules?: Module[] }

export interface Engine {
  /** Between two steps there is time to make what the next may need. */
  refill(): Promise<void>
  /** The run after its first step; nothing when no machine is ready. */
  begin(order: Order, source: Source, line: Line): Run | undefined | Promise<Run | undefined>
  /** The run has ended; its machine may serve another. */
  release(run: Run): void
}

export const NEVER: { code: FaultCode; message: string } = {
  code: 'never_resolves',
  message: 'The promise it returned never resolves: nothing is left that could do it.',
}
