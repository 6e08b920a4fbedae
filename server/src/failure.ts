/** The refusals a caller may read. Whatever else is thrown is a fault: it is logged, and the caller learns only
 *  its request id. Each failure knows its code; `http/problem.ts` turns it into an answer. */

import type { ErrorCode, FieldError } from '@flow/contract/common'

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
    details.length === 1 ? alone(details[0]) : `${details.length} fields are not valid.`,
    { details },
  )

/** A sentence about a field that stands alone names it. */
const alone = (fault: FieldError | undefined) => (fault ? fault.message.replace(/^It(?= )/, `"${fault.field}"`) : '')

export const tooMany = (message: string, retry_after_seconds: number) =>
  new Failure('RATE_LIMITED', message, { retry_after_seconds })

export const unavailable = (message: string, retry_after_seconds = 5) =>
  new Failure('UNAVAILABLE', message, { retry_after_seconds })
