/** Secrets of a workspace: values that code needs and nobody may read. A value is written, sealed and replaced; it is
 *  answered by no operation. Code in the sandbox asks for it by name (`flow.secrets.get`). */

import { z } from 'zod'
import { Id, listParameters, Page, Timestamp } from './common.ts'
import type { Domain } from './operation.ts'

export const SecretName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_.-]*$/, 'Begin with a letter; use letters, digits and _ . - after it.')
  .max(100)
  .describe('What code asks for. Unique in the workspace; it never changes.')

const VALUE_MAX = 32_768
const written = {
  value: z
    .string()
    .min(1)
    .max(VALUE_MAX)
    .describe(`The secret, up to ${VALUE_MAX.toLocaleString('en')} characters. Written, never read again.`),
  description: z.string().max(2000),
}

export const Secret = z
  .object({
    id: Id,
    workspace_id: Id,
    name: z.string(),
    description: z.string(),
    version: z.int().min(1).describe('Counts the values that it has had.'),
    value_changed_at: Timestamp,
    created_by: Id,
    created_at: Timestamp,
    updated_at: Timestamp,
  })
  .meta({ id: 'Secret', description: 'A secret of a workspace, without its value.' })
export type Secret = z.infer<typeof Secret>

const secret_id = Id

export const secrets = {
  list: {
    method: 'GET',
    path: '/secrets',
    permission: 'solutions.read',
    summary: 'List the secrets of the workspace, without their values.',
    input: z.object(listParameters(['created_at', 'name', 'value_changed_at'])),
    output: Page(Secret),
  },
  create: {
    method: 'POST',
    path: '/secrets',
    permission: 'connectors.write',
    summary: 'Keep a secret.',
    description:
      'The value is sealed, and no operation answers it. Code of the workspace reads it by `flow.secrets.get`, with the ' +
      'rights of whoever started it (`solutions.write`); each reading is in the audit log.',
    creates: '/secrets/{secret_id}',
    input: z.object({ name: SecretName, value: written.value, description: written.description.default('') }),
    output: Secret,
    refusals: ['CONFLICT: the name is taken, or the workspace has 1,000 secrets.'],
  },
  get: {
    method: 'GET',
    path: '/secrets/{secret_id}',
    permission: 'solutions.read',
    summary: 'Read what is known of a secret, without its value.',
    input: z.object({ secret_id }),
    output: Secret,
  },
  update: {
    method: 'PATCH',
    path: '/secrets/{secret_id}',
    permission: 'connectors.write',
    summary: 'Replace the value of a secret, or its description: what is not sent stays.',
    description: 'Code that asks from now on is given the new value.',
    input: z.object({ secret_id, ...z.object(written).partial().shape }),
    output: Secret,
  },
  remove: {
    method: 'DELETE',
    path: '/secrets/{secret_id}',
    permission: 'connectors.write',
    summary: 'Forget a secret.',
    input: z.object({ secret_id }),
  },
} as const satisfies Domain
