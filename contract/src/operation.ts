/** What an operation is: everything that can be asked of Flow is one of these, said once. The server, the OpenAPI
 *  document, the SDK and the tests that walk over all operations read it; nothing is generated from it. What must
 *  never be forgotten (permission, limits, audit) is a field here and is checked at one door, the server's edge. */

import type { z } from 'zod'
import type { Permission } from './access.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export type Operation = {
  method: Method
  /** Below `/api/v1`; a parameter is written `{solution_id}` and names a field of `input`. */
  path: string
  /** What the caller needs. `public`: nothing. `authenticated`: any valid credential. */
  permission: Permission | 'authenticated' | 'public'
  /** A role in one solution is enough: the room shows and changes what is in those solutions (`solution_ids` of the
   *  context) and nothing besides. Without it an operation needs a role in the workspace. */
  narrows?: true
  /** One sentence for people. */
  summary: string
  /** More, where the sentence is not enough: rules, units, the source of a rule. Markdown. */
  description?: string
  /** Every input by name, wherever it travels (see `placeOf`). */
  input: z.ZodObject
  /** What is answered. Absent: nothing (204). */
  output?: z.ZodType
  /** The status of success where it is not the usual one (POST 200, with `creates` 201, without output 204). */
  status?: 200 | 202
  /** A POST that makes a new thing: 201, with `Location` from this path and the answer's `id`. */
  creates?: string
  /** The answer is a stream of server-sent events whose data is `output`; it resumes after `Last-Event-ID`. */
  streams?: true
  /** The answer is a file of this media type; the function gives its text in pieces. */
  downloads?: string
  /** Of a GET: the fields of the answer that change by themselves, such as what is used of a budget. `If-Match` does not
   *  look at them. */
  moving?: readonly string[]
  /** What the caller can meet besides the refusals every operation knows. */
  refusals?: readonly string[]
  /** How large a body may be, in bytes. 1 MiB unless told. */
  body_bytes_max?: number
  /** Who counts as one caller for the rate limit: most operations by credential, sign-in by address. */
  rate?: 'sign_in'
  /** It speaks a format of others: refusals are in that format, fields that are not named travel on, and where it
   *  streams, `stream: true` in the body asks for server-sent events. Such operations are served by a way of their own
   *  (gateway.ts). */
  mouth?: { errors: z.ZodType; streams?: true }
  /** The answer holds a secret that is shown once: it must not be cached, and is stored nowhere in the clear. */
  secret?: true
}

export type Domain = Record<string, Operation>

export type Input<O extends Operation> = z.input<O['input']>
export type Parsed<O extends Operation> = z.output<O['input']>
export type Output<O extends Operation> = O extends { output: infer T extends z.ZodType } ? z.output<T> : undefined

export type Place = 'path' | 'query' | 'body'

/** The one rule that places an input: by its name in the path, else in the query where there is no body, else in
 *  the body. */
export function placeOf(operation: Pick<Operation, 'method' | 'path'>, field: string): Place {
  if (operation.path.includes(`{${field}}`)) return 'path'
  return operation.method === 'GET' || operation.method === 'DELETE' ? 'query' : 'body'
}

/** What a success answers with. */
export function statusOf(operation: Operation): number {
  if (operation.status) return operation.status
  if (operation.creates) return 201
  return operation.output || operation.downloads ? 200 : 204
}
