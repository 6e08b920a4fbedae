/** A code block that other code calls: it runs at once, in the name of whoever the calling code runs for, and is recorded
 *  nowhere but in the bill. */

import { Json } from '@flow/contract/common'
import type { Component } from '@flow/contract/components'
import type { Operation, Parsed } from '@flow/contract/operation'
import { z } from 'zod'
import type { Inside } from '../asking.ts'
import { assertBudget } from '../billing/billing.ts'
import { type Actor, type Context, contextOf, type Platform } from '../context.ts'
import { conflict, Failure, notFound } from '../failure.ts'
import { resolve } from './references.ts'
import { openSession, type Ran } from './running.ts'
import * as store from './store.ts'

/** How deep code blocks call each other. */
export const BLOCKS_MAX = 8
const SECONDS = 300

/** Only code has it: whoever is outside starts a workflow. */
export const executing = {
  method: 'POST',
  path: '/code-blocks/{code_block_id}/execute',
  permission: 'solutions.write',
  narrows: true,
  summary: 'Call a code block and wait for what it gives.',
  input: z.object({
    code_block_id: z.string().min(1).max(200).describe('Its id or slug, optionally `slug@1.2.0`.'),
    input: Json.default({}),
  }),
  output: Json,
} as const satisfies Operation

export async function executeBlock(ctx: Context, input: Parsed<typeof executing>): Promise<unknown> {
  const { code_block_id: ref } = input
  if ((ctx.inside?.blocks ?? 0) >= BLOCKS_MAX) {
    throw conflict(`Code blocks call each other more than ${BLOCKS_MAX} deep.`)
  }
  const block = await resolve(ctx, ref, 'code_block')
  if (!block) throw notFound('code block', ref)
  await assertBudget(ctx)

  const session = openSession(ctx, block, SECONDS)
  try {
    const { output, error } = await session.run(block as Component, input.input)
    if (error) throw failureOf(block.slug, error)
    return output
  } finally {
    await session.close()
  }
}

/** What the platform itself runs a code block for. */
export type Calling = {
  organization_id: string
  /** In whose name: the bill says so. */
  user_id: string
  component_id: string
  input: unknown
  seconds: number
  /** It is run on behalf of code that waits for it. */
  inside: Inside | undefined
}

/** A code block, as it is published, that the platform itself calls for an organization. Its code may ask the platform
 *  for nothing. */
export async function executeFor(platform: Platform, calling: Calling): Promise<unknown> {
  const { organization_id, user_id, component_id, input, seconds, inside } = calling
  const db = platform.database.of(organization_id)
  const workspace_id = await store.workspaceOf({ db, organization_id }, component_id)
  if (workspace_id === undefined) throw notFound('code block', component_id)
  const actor: Actor = { kind: 'system', id: user_id, user_id, name: 'Flow', organization_id, grants: [] }
  const ctx = { ...contextOf(platform, db, { actor, organization_id, workspace_id }), inside }
  const block = await resolve(ctx, component_id, 'code_block')
  if (!block || block.status === 'archived') throw notFound('code block', component_id)
  await assertBudget(ctx)

  const session = openSession(ctx, block, seconds)
  try {
    const { output, error } = await session.run(block as Component, input)
    if (error) throw failureOf(block.slug, error)
    return output
  } finally {
    await session.close()
  }
}

function failureOf(slug: string, { code, message, line }: NonNullable<Ran['error']>): Failure {
  const told = `"${slug}" failed with ${code}: ${message}${line === undefined ? '' : ` (line ${line})`}`
  if (code === 'INVALID_INPUT') return new Failure('VALIDATION_ERROR', told)
  return new Failure(code === 'TIMEOUT' ? 'TIMEOUT' : 'UPSTREAM_FAILED', told)
}
