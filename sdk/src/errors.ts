/** What a call can throw. A refusal of the server carries its code, so that callers can tell them apart. */

import type { ErrorCode, FieldError } from '@flow/contract/common'

/** The server refused. `code` says why, `details` which fields, `request_id` finds it in the server's log. */
export class FlowError extends Error {
  readonly code: ErrorCode
  readonly status: number
  readonly details: FieldError[]
  readonly request_id: string | undefined
  /** How long the server asks to wait, in seconds. */
  readonly retry_after: number | undefined

  constructor(
    status: number,
    problem: { code: ErrorCode; message: string; details?: FieldError[]; request_id?: string },
    retry_after?: number,
  ) {
    super(problem.message)
    this.name = 'FlowError'
    this.status = status
    this.code = problem.code
    this.details = problem.details ?? []
    this.request_id = problem.request_id
    this.retry_after = retry_after
  }
}

/** No answer came: the server could not be reached, or the connection broke. The cause says how. */
export class FlowConnectionError extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause })
    this.name = 'FlowConnectionError'
  }
}

/** No answer came in time. */
export class FlowTimeoutError extends FlowConnectionError {
  constructor(timeout_seconds: number, cause: unknown) {
    super(`No answer within ${timeout_seconds} seconds.`, cause)
    this.name = 'FlowTimeoutError'
  }
}
