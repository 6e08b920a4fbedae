/** The shapes every domain shares: identifiers, times, pages and the body of a refusal. */

import { z } from 'zod'

export const Id = z.uuid().describe('A UUID, version 7 where Flow made it.')
export const Slug = z
  .string()
  .min(3)
  .max(100)
  .regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/, 'Use lowercase letters, digits and single hyphens between them.')
  .describe('Lowercase letters, digits and hyphens, 3 to 100 characters.')
export const Timestamp = z.iso.datetime({ precision: 3 }).describe('ISO 8601 in UTC, with milliseconds.')
export const Email = z.email().max(254).toLowerCase()
/** A semantic version (semver.org, 2.0.0) without build metadata; its numbers have at most 15 digits, so that they are
 *  exact everywhere. */
export const Semver = z
  .string()
  .max(100)
  .regex(
    /^(?:0|[1-9]\d{0,14})(?:\.(?:0|[1-9]\d{0,14})){2}(?:-(?:0|[1-9]\d{0,14}|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d{0,14}|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?$/,
    'Use a semantic version such as 1.2.0.',
  )
export const Tag = z.string().trim().min(1).max(50)
export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue }
/** Any JSON value. What is read has come through a JSON parser and what is answered goes through a printer, so it
 *  is not walked again. */
export const Json = z.custom<JsonValue>((value) => value !== undefined)
/** Text with something in it besides white space. */
export const text = (max: number, min = 1) => z.string().trim().min(min).max(max)

/** A page of a noun. */
export const Page = <Item extends z.ZodType>(item: Item) =>
  z.object({
    items: z.array(item),
    total: z.int().min(0).describe('How many there are on all pages.'),
    limit: z.int(),
    offset: z.int(),
  })
export type Page<Item> = { items: Item[]; total: number; limit: number; offset: number }

/** The parameters of every list. `sort` takes only the fields that the noun names; the id breaks ties. */
export const listParameters = <Field extends string>(sortable: readonly [Field, ...Field[]]) => ({
  limit: z.coerce.number().int().min(1).max(100).default(25).describe('How many items a page has, 1 to 100.'),
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0).describe('How many items to skip.'),
  sort: z.enum(sortable).default(sortable[0]).describe('The field to sort by.'),
  order: z.enum(['asc', 'desc']).default('desc'),
  search: z
    .string()
    .trim()
    .min(1)
    .max(200)
    .optional()
    .describe('Full text over name and description; the last word matches as a prefix.'),
})
export type ListParameters = {
  limit: number
  offset: number
  sort: string
  order: 'asc' | 'desc'
  search?: string | undefined
}

/** Query parameters are text: this reads `true` and `false`. */
export const Flag = z.enum(['true', 'false']).transform((value) => value === 'true')

/** Query parameters are text: this reads several values of one kind, with commas between. */
export const list = <Item extends z.ZodType<unknown, string>>(item: Item) =>
  z
    .string()
    .max(1000)
    .transform((text) => text.split(',').map((one) => one.trim()))
    .pipe(z.array(item))

export const ErrorCode = z.enum([
  'BAD_REQUEST',
  'UNAUTHENTICATED',
  'BUDGET_EXCEEDED',
  'FORBIDDEN',
  'NOT_FOUND',
  'METHOD_NOT_ALLOWED',
  'CONFLICT',
  'PRECONDITION_FAILED',
  'PAYLOAD_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'VALIDATION_ERROR',
  'RATE_LIMITED',
  'INTERNAL',
  'UPSTREAM_FAILED',
  'UNAVAILABLE',
  'TIMEOUT',
])
export type ErrorCode = z.infer<typeof ErrorCode>

export const statusOfCode: Record<ErrorCode, number> = {
  BAD_REQUEST: 400,
  UNAUTHENTICATED: 401,
  BUDGET_EXCEEDED: 402,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  CONFLICT: 409,
  PRECONDITION_FAILED: 412,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  VALIDATION_ERROR: 422,
  RATE_LIMITED: 429,
  INTERNAL: 500,
  UPSTREAM_FAILED: 502,
  UNAVAILABLE: 503,
  TIMEOUT: 504,
}

export const FieldError = z
  .object({ field: z.string().describe('A path such as `nodes[2].id`.'), message: z.string() })
  .meta({ id: 'FieldError' })
export type FieldError = z.infer<typeof FieldError>

export const Problem = z
  .object({
    code: ErrorCode,
    message: z.string().describe('A sentence the caller can act on.'),
    details: z.array(FieldError),
    request_id: z.string(),
  })
  .meta({
    id: 'Problem',
    description: 'A refusal. As `application/problem+json` (RFC 9457) when `Accept` asks for it.',
  })
export type Problem = z.infer<typeof Problem>
