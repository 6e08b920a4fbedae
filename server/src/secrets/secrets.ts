/** Secrets of a workspace: sealed when they are written, opened only for code of that workspace that asks by name. No
 *  operation of the API answers a value. */

import type { Page } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import type { secrets as contract, Secret } from '@flow/contract/secrets'
import { type Context, newId, type Platform } from '../context.ts'
import { conflict, notFound } from '../failure.ts'
import { rewrap } from '../rewrap.ts'
import * as store from './store.ts'

type Ops = typeof contract

/** Of one workspace. */
export const SECRETS_MAX = 1000

export const list = (ctx: Context, input: Parsed<Ops['list']>): Promise<Page<Secret>> => store.list(ctx, input)

export async function create(ctx: Context, { name, value, description }: Parsed<Ops['create']>): Promise<Secret> {
  const id = newId()
  const sealed = ctx.platform.seal.seal(value, boundTo(ctx.organization_id, id))
  const row = { id, name, description, value: sealed, created_by: ctx.actor.user_id, created_at: ctx.now }
  await store.lockWorkspace(ctx)
  const made = await store.insert(ctx, row, SECRETS_MAX)
  if (made) return made

  const isTaken = await store.findSealed(ctx, name)
  throw conflict(
    isTaken
      ? `There is a secret "${name}" already. Change its value, or choose another name.`
      : `A workspace has at most ${SECRETS_MAX.toLocaleString('en')} secrets. Remove some that nobody needs.`,
  )
}

export async function get(ctx: Context, { secret_id }: { secret_id: string }): Promise<Secret> {
  const secret = await store.find(ctx, secret_id)
  if (!secret) throw notFound('secret', secret_id)
  return secret
}

export async function update(ctx: Context, { secret_id, ...sent }: Parsed<Ops['update']>): Promise<Secret> {
  const bound = boundTo(ctx.organization_id, secret_id)
  const value = sent.value === undefined ? undefined : ctx.platform.seal.seal(sent.value, bound)

  const changed = await store.update(ctx, secret_id, { value, description: sent.description })
  if (!changed) throw notFound('secret', secret_id)
  return changed
}

export async function remove(ctx: Context, { secret_id }: { secret_id: string }): Promise<undefined> {
  const removed = await store.remove(ctx, secret_id)
  if (removed === 0) throw notFound('secret', secret_id)
}

/** The value, for code that asks for it. */
export async function read(ctx: Context, { name }: { name: string }): Promise<{ id: string; value: string }> {
  const secret = await store.findSealed(ctx, name)
  if (!secret) throw notFound('secret', name)
  return { id: secret.id, value: ctx.platform.seal.open(secret.value, boundTo(ctx.organization_id, secret.id)) }
}

/** The values under the newest master key; how many were not. */
export const wrapSecrets = (platform: Pick<Platform, 'database' | 'seal'>): Promise<number> =>
  rewrap(platform, [{ table: 'secrets', key: 'id', column: 'value' }])

const boundTo = (organization_id: string, secret_id: string) => `secret:${organization_id}:${secret_id}`
