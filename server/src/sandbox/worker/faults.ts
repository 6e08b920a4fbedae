/** What went wrong in a guest, told to its author: their own frames, their own lines. */

import { limits } from '../limits.ts'
import type { Fault, FaultCode } from '../verdict.ts'

/** As the prelude's `describe` tells it. Every word of it is the guest's. */
type Told = { kind?: unknown; message?: unknown; stack?: unknown }

const KINDS: ReadonlySet<unknown> = new Set<FaultCode>(['stack_overflow', 'out_of_memory', 'import_refused'])

export function faultOf(description: string, filename: string): Fault {
  const told = read(description)
  const code = KINDS.has(told.kind) ? (told.kind as FaultCode) : 'threw'
  const message =
    typeof told.message === 'string'
      ? told.message.slice(0, limits.error_message)
      : 'It threw something that cannot be read.'
  const frames = typeof told.stack === 'string' ? ownFrames(told.stack, filename) : []
  const [line, column] = placeOf(frames[0] ?? '')
  const stack = frames.length > 0 ? frames.join('\n').slice(0, limits.error_stack) : undefined
  return { code, message, line, column, stack }
}

function read(description: string): Told {
  try {
    const told: unknown = JSON.parse(description)
    return told !== null && typeof told === 'object' ? told : {}
  } catch {
    return {}
  }
}

const ownFrames = (stack: string, filename: string) =>
  stack
    .split('\n')
    .filter((frame) => frame.includes(`${filename}:`))
    .map((frame) => frame.trim())
    .slice(0, 20)

function placeOf(frame: string): [number | undefined, number | undefined] {
  const place = /:(\d{1,7}):(\d{1,7})\)?$/.exec(frame)
  return place ? [Number(place[1]), Number(place[2])] : [undefined, undefined]
}
