/** What went wrong in a guest, told to its author: their own frames, their own lines, in their code or in a module that
 *  came with it. */

import { limits } from '../limits.ts'
import type { Fault, FaultCode, Module } from '../verdict.ts'

/** As the prelude's `describe` tells it. Every word of it is the guest's. */
type Told = { kind?: unknown; message?: unknown; stack?: unknown }

const KINDS: ReadonlySet<unknown> = new Set<FaultCode>(['stack_overflow', 'out_of_memory', 'import_refused'])

export function faultOf(description: string, filename: string, modules: Module[] = []): Fault {
  const told = read(description)
  const code = KINDS.has(told.kind) ? (told.kind as FaultCode) : 'threw'
  const message =
    typeof told.message === 'string'
      ? told.message.slice(0, limits.error_message)
      : 'It threw something that cannot be read.'
  const frames =
    typeof told.stack === 'string' ? ownFrames(told.stack, [filename, ...modules.map(({ name }) => name)]) : []
  const [line, column] = placeOf(frames[0] ?? '')
  const module = modules.find(({ name }) => fileOf(frames[0] ?? '') === name)
  const where = module ? ` (in the module "${module.name}")` : ''
  const stack = frames.length > 0 ? frames.join('\n').slice(0, limits.error_stack) : undefined
  return { code, message: `${message}${where}`, line, column, stack }
}

function read(description: string): Told {
  try {
    const told: unknown = JSON.parse(description)
    return told !== null && typeof told === 'object' ? told : {}
  } catch {
    return {}
  }
}

const ownFrames = (stack: string, files: string[]) =>
  stack
    .split('\n')
    .filter((frame) => files.includes(fileOf(frame)))
    .map((frame) => frame.trim())
    .slice(0, 20)

/** `at name (file:1:2)`, or `at file:1:2`. */
const fileOf = (frame: string): string => /([^\s(]+):\d{1,7}:\d{1,7}\)?$/.exec(frame)?.[1] ?? ''

function placeOf(frame: string): [number | undefined, number | undefined] {
  const place = /:(\d{1,7}):(\d{1,7})\)?$/.exec(frame)
  return place ? [Number(place[1]), Number(place[2])] : [undefined, undefined]
}
