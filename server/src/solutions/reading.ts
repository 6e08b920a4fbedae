/** Reads texts of strangers with the libraries that know their language, in a thread of its own for each text: what is
 *  slow, endless or hungry for memory there is ended from outside, and nothing of one text is left when the next one
 *  comes. Of each language a few are read at a time; others wait their turn within the same deadline. */

import { Worker } from 'node:worker_threads'
import { unavailable } from '../failure.ts'

/** How long a reading may take with its turn, how much memory it may have, and how many there are at a time. */
export type Limits = { seconds: number; memory_mb: number; at_once: number }

/** What a thread answers: what it read, or where the text is at fault. */
export type Reading<Result> = { read: Result } | { faults: PlacedFault[] }
/** `line` and `column` begin with 1. */
export type PlacedFault = { message: string; line?: number; column?: number; field?: string }

/** The text could not be read to its end in time or memory. */
export class TooHard extends Error {}

/** Of each program: how many run, and who waits. */
type Line = { running: number; waiting: (() => void)[] }
const lines = new Map<string, Line>()

/** What the thread says of its input; each program in this folder named `…-thread.ts` answers once. */
export async function readInThread<Result>(program: URL, input: unknown, limits: Limits): Promise<Reading<Result>> {
  const line = lines.get(program.href) ?? { running: 0, waiting: [] }
  lines.set(program.href, line)
  const late = new AbortController()
  const deadline = setTimeout(() => late.abort(), limits.seconds * 1000)
  try {
    await turn(line, limits.at_once, late.signal)
    try {
      return await answerOf<Result>(program, input, limits.memory_mb, late.signal)
    } finally {
      line.running -= 1
      line.waiting.shift()?.()
    }
  } finally {
    clearTimeout(deadline)
  }
}

async function turn(line: Line, at_once: number, signal: AbortSignal): Promise<void> {
  const { waiting } = line
  while (line.running >= at_once) {
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
  line.running += 1
}

async function answerOf<Result>(
  program: URL,
  input: unknown,
  memory_mb: number,
  signal: AbortSignal,
): Promise<Reading<Result>> {
  const worker = new Worker(program, {
    workerData: input,
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: memory_mb, stackSizeMb: 4 },
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
