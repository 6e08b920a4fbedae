/** What components of the type `state` remember: values by key, in scopes. A scope is whatever something is remembered
 *  about, and is named by whoever writes: a session, `customer:42`, a workspace. */

import { z } from 'zod'
import { Id, Json, listParameters, Page, Timestamp } from './common.ts'
import type { Domain } from './operation.ts'

const isPlain = (name: string) => !/\p{Cc}/u.test(name) && name !== '__proto__'
const Name = z.string().min(1).max(200).refine(isPlain, 'Leave out control characters.')

const Version = z
  .int()
  .min(0)
  .describe('Another one for each write of the scope, and more each time; 0 of an initial value.')

export const StateEntry = z
  .object({
    component_id: Id,
    scope: z.string(),
    key: z.string(),
    value: Json,
    version: Version,
    created_at: Timestamp.nullable(),
    updated_at: Timestamp.nullable().describe('Null of an initial value.'),
    updated_by: Id.nullable(),
    expires_at: Timestamp.nullable().describe('Of a session: when it is gone, unless somebody writes before.'),
  })
  .meta({ id: 'StateEntry' })
export type StateEntry = z.infer<typeof StateEntry>

export const StateScope = z
  .object({
    component_id: Id,
    scope: z.string(),
    values: z.record(z.string(), Json).describe('By key, initial values included.'),
    versions: z.record(z.string(), Version),
    updated_at: Timestamp.nullable(),
    expires_at: Timestamp.nullable(),
  })
  .meta({ id: 'StateScope' })
export type StateScope = z.infer<typeof StateScope>

export const StateScopeSummary = z
  .object({
    scope: z.string(),
    entries: z.int(),
    characters: z.int().describe('Of JSON, of all values.'),
    updated_at: Timestamp,
    expires_at: Timestamp.nullable(),
  })
  .meta({ id: 'StateScopeSummary' })
export type StateScopeSummary = z.infer<typeof StateScopeSummary>

const component_id = Id
const scope = Name
const key = Name
const expected = 'The version that it must have now, 0 if nothing must be there; else it is refused.'

export const state = {
  listScopes: {
    method: 'GET',
    path: '/components/{component_id}/state',
    permission: 'solutions.read',
    narrows: true,
    summary: 'List the scopes that something is remembered of.',
    input: z.object({ component_id, ...listParameters(['updated_at', 'scope']) }),
    output: Page(StateScopeSummary),
  },
  getScope: {
    method: 'GET',
    path: '/components/{component_id}/state/{scope}',
    permission: 'solutions.read',
    narrows: true,
    summary: 'Read all of a scope.',
    description: 'Of a scope that nobody has written to, these are the initial values.',
    input: z.object({ component_id, scope }),
    output: StateScope,
  },
  clear: {
    method: 'DELETE',
    path: '/components/{component_id}/state/{scope}',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Forget all of a scope.',
    input: z.object({ component_id, scope }),
  },
  get: {
    method: 'GET',
    path: '/components/{component_id}/state/{scope}/{key}',
    permission: 'solutions.read',
    narrows: true,
    summary: 'Read one value.',
    input: z.object({ component_id, scope, key }),
    output: StateEntry,
  },
  put: {
    method: 'PUT',
    path: '/components/{component_id}/state/{scope}/{key}',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Write one value.',
    description:
      'Of several who read the same version and write with it (`version`, or `If-Match`), one succeeds. Without either ' +
      'the last one counts.',
    input: z.object({ component_id, scope, key, value: Json, version: z.int().min(0).optional().describe(expected) }),
    output: StateEntry,
    refusals: [
      'CONFLICT: the component keeps nothing, or is archived, or the scope is full.',
      'PRECONDITION_FAILED: the value has another version by now.',
      'VALIDATION_ERROR: the value does not fit the schema, or is too large.',
    ],
  },
  remove: {
    method: 'DELETE',
    path: '/components/{component_id}/state/{scope}/{key}',
    permission: 'solutions.write',
    narrows: true,
    summary: 'Forget one value.',
    input: z.object({
      component_id,
      scope,
      key,
      version: z.coerce.number().int().min(1).optional().describe(expected),
    }),
    refusals: ['PRECONDITION_FAILED: the value has another version by now.'],
  },
} as const satisfies Domain
