/** A call of a guest to the host, on this side of the wall: bounded in what goes in and out, and told when it fails. */

import { limits } from './limits.ts'
import { parsed, type Task } from './task.ts'
import type { HostCall } from './verdict.ts'

/** What the guest is told of a call that failed: a code, a sentence, and of a few fields what is wrong with them. */
export function refusalOf(error: unknown): string {
  const { code, message, details } = error as { code?: unknown; message?: unknown; details?: unknown }
  const text = (value: unknown, length: number) => String(value).slice(0, length)
  return JSON.stringify({
    code: typeof code === 'string' ? text(code, 100) : 'CALL_FAILED',
    message: error instanceof Error ? text(message, limits.error_message) : 'The call failed.',
    details: (Array.isArray(details) ? details : []).slice(0, limits.error_details).map(({ field, message }) => {
      return { field: text(field, 200), message: text(message, 500) }
    }),
  })
}

export async function answerOf(
  task: Task,
  host: HostCall,
  { method, args }: { method: string; args: string },
): Promise<string> {
  if (args.length > limits.host_argument) throw new Error('The argument of this call is too large.')
  task.crossed += args.length
  assertRoom(task)
  const value = await host(String(method), parsed(args))
  const text = JSON.stringify(value === undefined ? null : value) ?? 'null'
  if (text.length > limits.input) throw new Error('The answer to this call is too large.')
  task.crossed += text.length
  assertRoom(task)
  return text
}

function assertRoom({ crossed }: Task): void {
  if (crossed <= limits.host_crossing) return
  const most = `${limits.host_crossing / 1024 / 1024} Mi`
  throw new Error(`The calls of this run to the host, with their answers, have more than ${most} characters together.`)
}
