/** Calls an address outside. */

import { z } from 'zod'
import { node, Template, TextTemplate } from './node.ts'

/** Headers that a connection decides on by itself. */
export const connectionHeader =
  /^(?:connection|content-length|expect|host|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/i
const header = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/

export const HttpNode = z.strictObject({
  ...node,
  type: z.literal('http'),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']).default('GET'),
  url: TextTemplate(4000).describe('An http or https address; `{{ CEL }}` is replaced. Private addresses are refused.'),
  headers: z
    .record(
      z
        .string()
        .regex(header, 'This is not the name of a header.')
        .refine((name) => !connectionHeader.test(name), 'This header is set by the connection itself.'),
      z.string().max(8000),
    )
    .default({}),
  query: z
    .record(z.string().min(1).max(200), Template)
    .default({})
    .describe('Added to the address, encoded; `null` leaves a parameter out.'),
  body: Template.optional().describe('Sent as JSON, or as it is when it is a text and `content-type` says so.'),
  on_status: z
    .enum(['fail', 'pass'])
    .default('fail')
    .describe(
      '`fail`: a status other than 2xx fails the node (408, 425, 429 and 5xx may be tried again by `retry`). ' +
        '`pass`: every answer is an output.',
    ),
})
