/** Turns whatever was thrown into an answer, once. A `Failure` is told as it is; anything else is a fault whose
 *  cause is in the log and never on the wire. */

import { type Problem, statusOfCode } from '@flow/contract/common'
import type { Logger } from 'pino'
import { DatabaseUnavailable } from '../db/faults.ts'
import { conflict, Failure, unavailable } from '../failure.ts'
import { SandboxUnavailable } from '../sandbox/sandbox.ts'

export function problemOf(thrown: unknown, log: Logger): Failure {
  if (thrown instanceof Failure) return thrown
  if (thrown instanceof SandboxUnavailable)
    return unavailable('The sandbox has more to do than it can. Try again shortly.')
  if (thrown instanceof DatabaseUnavailable) return unavailable('The database does not answer. Try again shortly.')
  const fault = told[sqlState(thrown) ?? '']
  if (fault) return conflict(fault)

  log.error({ err: thrown }, 'a fault')
  return new Failure('INTERNAL', 'Something went wrong on our side. The request id finds it in the log.')
}

/** What two requests at the same moment can do to each other where no room looks for it. */
const told: Record<string, string> = {
  '23503': 'Something that it belongs to, or that belongs to it, was made or deleted at the same time.',
  '23505': 'It exists already, or was made by another request at the same time.',
  '40001': 'Another request changed the same thing at the same time. Try again.',
  '40P01': 'Another request changed the same things at the same time. Try again.',
}

/** The SQLSTATE of a PostgreSQL error, if it is one. */
export const sqlState = (thrown: unknown): string | undefined =>
  thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined

export function problemResponse(failure: Failure, request: Request, request_id: string): Response {
  const status = statusOfCode[failure.code]
  const problem: Problem = { code: failure.code, message: failure.message, details: failure.details, request_id }
  const headers: Record<string, string> = { 'x-request-id': request_id, 'cache-control': 'no-store' }
  if (failure.retry_after_seconds !== undefined) headers['retry-after'] = String(Math.ceil(failure.retry_after_seconds))
  if (status === 401) headers['www-authenticate'] = 'Bearer realm="flow"'

  if (!request.headers.get('accept')?.includes('application/problem+json')) {
    return Response.json(problem, { status, headers })
  }
  const rfc9457 = { type: 'about:blank', title: failure.code, status, detail: failure.message, ...problem }
  return Response.json(rfc9457, { status, headers: { ...headers, 'content-type': 'application/problem+json' } })
}
