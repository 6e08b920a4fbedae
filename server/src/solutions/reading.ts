/** Reads texts of strangers with the libraries that know their language, in a thread of its own for each text: what is
 *  slow, endless or hungry for memory there is ended from outside, and nothing of one text is left when the next one
 *  comes. At most two at a time; others wait their turn within the same deadline. */

import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { unavailable } from '../failure.ts'

const AT_ONCE_MAX = Math.min(2, availableParallelism())
const SECONDS = 10
const MEMORY_MB = 256

/** What a thread answers: what it read, or where the text is at fault. */
export type Reading<Result> = { read: Result } | { faults: PlacedFault[] }
/** `line` and `column` begin with 1. */
export type PlacedFault = { message: string; line?: number; column?: number; field?: string }

/** The text could not be read to its end in time or memory. */
export class TooHard extends Error {}

let running = 0
const waiting: (() => void)[] = []

/** What the thread says of its input; each program in this folder named `…-thread.ts` answers once. */
export async function readInThread<Result>(program: URL, input: unknown, seconds = SECONDS): Promise<Reading<Result>> {
  const late = new AbortController()
  const deadline = setTimeout(() => late.abort(), seconds * 1000)
  try {
    await turn(late.signal)
    try {
      return await answerOf<Result>(program, input, late.signal)
    } finally {
      running -= 1
      waiting.shift()?.()
    }
  } finally {
    clearTimeout(deadline)
  }
}

async function turn(signal: AbortSignal): Promise<void> {
  while (running >= AT_ONCE_MAX) {
    const { promise, resolve } = Promise.withResolvers<void>()
    waiting.push(resolve)
    signal.addEventListener('abort', () => resolve(), { once: true })
    await promise
    if (!signal.aborted) continue
    const place = waiting.indexOf(resolve)
    // Whoever was called just now hands its turn on.
    if (place >= 0) waiting.splice(place, 1)
    else waiting.shift()?.()
    throw unavailable('Too many files and flowcharts are read at the moment. Try again shortly.')
  }
  running += 1
}

async function answerOf<Result>(program: URL, input: unknown, signal: AbortSignal): Promise<Reading<Result>> {
  const worker = new Worker(program, {
    workerData: input,
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB, stackSizeMb: 4 },
    stdout: true,
    stderr: true,
  })
  try {
    return await new Promise<Reading<Result>>((resolve, reject) => {
      const give = (reason: string) => reject(new TooHard(reason))
      signal.addEventListener('abort', () => give('It takes too long to read.'), { once: true })
      worker.once('message', resolve)
      worker.once('error', () => give('It takes too much memory to read.'))
      worker.once('exit', () => give('It takes too much memory to read.'))
    })
  } finally {
    await worker.terminate()
  }
}
