/** The refusals a caller may read. Whatever else is thrown is a fault: it is logged, and the caller learns only
 *  its request id. Each failure knows its code; `http/problem.ts` turns it into an answer. */

import type { ErrorCode, FieldError } from '@flow/contract/common'
import type { z } from 'zod'

export class Failure extends Error {
  readonly code: ErrorCode
  readonly details: FieldError[]
  readonly retry_after_seconds: number | undefined

  constructor(code: ErrorCode, message: string, more: { details?: FieldError[]; retry_after_seconds?: number } = {}) {
    super(message)
    this.name = 'Failure'
    this.code = code
    this.details = more.details ?? []
    this.retry_after_seconds = more.retry_after_seconds
  }
}

export const badRequest = (message: string, details?: FieldError[]) => new Failure('BAD_REQUEST', message, { details })

export const unauthenticated = (message: string) => new Failure('UNAUTHENTICATED', message)

export const forbidden = (message: string) => new Failure('FORBIDDEN', message)

/** What does not exist and what belongs to somebody else are told apart by nobody. */
export const notFound = (noun: string, id: string) => new Failure('NOT_FOUND', `There is no ${noun} "${id}".`)

export const conflict = (message: string, details?: FieldError[]) => new Failure('CONFLICT', message, { details })

/** Every bad field at once, each with a sentence that says how to mend it. */
export const invalid = (details: FieldError[]) =>
  new Failure(
    'VALIDATION_ERROR',
    details.length === 1 ? (details[0]?.message ?? '') : `${details.length} fields are not valid.`,
    { details },
  )

export const tooMany = (message: string, retry_after_seconds: number) =>
  new Failure('RATE_LIMITED', message, { retry_after_seconds })

export const unavailable = (message: string, retry_after_seconds = 5) =>
  new Failure('UNAVAILABLE', message, { retry_after_seconds })

/** Zod's issues as the fields a caller knows, each with a sentence. */
export function fieldErrors(error: z.ZodError, prefix = ''): FieldError[] {
  return error.issues.flatMap((issue): FieldError[] => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({
        field: fieldName([...issue.path, key], prefix),
        message: 'There is no such field.',
      }))
    }
    return [{ field: fieldName(issue.path, prefix), message: sentence(issue) }]
  })
}

function sentence(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined')) return 'This field is required.'
  const text = issue.message.replace(/^Invalid input: /, '')
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`
}

function fieldName(path: PropertyKey[], prefix: string): string {
  return path.reduce<string>(
    (name, part) => (typeof part === 'number' ? `${name}[${part}]` : name ? `${name}.${String(part)}` : String(part)),
    prefix,
  )
}
