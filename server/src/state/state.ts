/** State: what components remember, by scope and key. A value has a version, and whoever says which one they read
 *  replaces no other. A session is gone when nobody wrote to it for as long as its component says. How the values look
 *  is the component's matter; its published version counts, or its draft where nothing is published. */

import type { Page } from '@flow/contract/common'
import type { StateConfig } from '@flow/contract/components/state'
import type { Parsed } from '@flow/contract/operation'
import type { state as contract, StateEntry, StateScope, StateScopeSummary } from '@flow/contract/state'
import { get as componentOf, keyCheck, resolve, VALUE_MAX } from '../components/components.ts'
import type { Context, Platform } from '../context.ts'
import { conflict, Failure, invalid, notFound } from '../failure.ts'
import * as store from './store.ts'

type Ops = typeof contract

/** Keys of a scope, and characters of JSON that their values may come to together. */
export const ENTRIES_MAX = 1000
export const SCOPE_MAX = 4 * 1024 * 1024

export async function listScopes(ctx: Context, input: Parsed<Ops['listScopes']>): Promise<Page<StateScopeSummary>> {
  await find(ctx, input.component_id)
  return store.listScopes(ctx, input)
}

export async function getScope(ctx: Context, input: Parsed<Ops['getScope']>): Promise<StateScope> {
  const { config } = await find(ctx, input.component_id)
  const scope = await store.findScope(ctx, input)
  const isLive = scope !== undefined && !isOver(scope, ctx.now)
  const entries = isLive ? await store.entriesOf(ctx, input) : []
  const initial = Object.entries(config.initial_values).map(([key, value]) => ({ key, value, version: 0 }))
  const all = [...initial, ...entries]
  return {
    component_id: input.component_id,
    scope: input.scope,
    values: Object.fromEntries(all.map(({ key, value }) => [key, value])),
    versions: Object.fromEntries(all.map(({ key, version }) => [key, version])),
    updated_at: entries.length > 0 ? (scope?.updated_at ?? null) : null,
    expires_at: entries.length > 0 ? (scope?.expires_at ?? null) : null,
  }
}

export async function get(ctx: Context, input: Parsed<Ops['get']>): Promise<StateEntry> {
  const { component_id, scope, key } = input
  const { config } = await find(ctx, component_id)
  const of = await store.findScope(ctx, input)
  const entry = of && !isOver(of, ctx.now) ? await store.findEntry(ctx, input, key) : undefined
  if (entry) return { ...entry, expires_at: of?.expires_at ?? null }
  const value = Object.hasOwn(config.initial_values, key) ? config.initial_values[key] : undefined
  if (value === undefined) throw notFound('key', key)
  const never = { created_at: null, updated_at: null, updated_by: null, expires_at: null }
  return { component_id, scope, key, value, version: 0, ...never }
}

export async function put(ctx: Context, input: Parsed<Ops['put']>): Promise<StateEntry> {
  const { key, value } = input
  const config = await findToWrite(ctx, input.component_id)
  const characters = JSON.stringify(value).length
  if (characters > VALUE_MAX) {
    throw invalid([{ field: 'value', message: `It may have ${VALUE_MAX} characters of JSON; it has ${characters}.` }])
  }
  const faults = keyCheck(config)(key, value)
  if (faults.length > 0) throw invalid(faults.map((message) => ({ field: 'value', message })))

  const scope = await lock(ctx, input)
  const before = await store.findEntry(ctx, input, key)
  assertVersion(key, before, input.version)
  const entries = scope.entries + (before ? 0 : 1)
  const all = scope.characters + characters - (before?.characters ?? 0)
  if (entries > ENTRIES_MAX) throw conflict(`The scope "${input.scope}" has ${ENTRIES_MAX} keys already.`)
  if (all > SCOPE_MAX) throw conflict(`The scope "${input.scope}" may have ${SCOPE_MAX} characters of JSON together.`)
  const version = scope.writes + 1
  const made = await store.keepEntry(ctx, input, { key, value, characters, version, by: ctx.actor.user_id })
  const expires_at = expiryOf(config, ctx.now)
  await store.keepScope(ctx, input, { writes: version, entries, characters: all, expires_at })

  return { ...made, expires_at }
}

export async function remove(ctx: Context, input: Parsed<Ops['remove']>): Promise<undefined> {
  const config = await findToWrite(ctx, input.component_id)
  const scope = await lock(ctx, input)
  const before = await store.findEntry(ctx, input, input.key)
  if (!before) throw notFound('key', input.key)
  assertVersion(input.key, before, input.version)

  await store.removeEntry(ctx, input, input.key)
  await store.keepScope(ctx, input, {
    writes: scope.writes + 1,
    entries: scope.entries - 1,
    characters: scope.characters - before.characters,
    expires_at: expiryOf(config, ctx.now),
  })
}

export async function clear(ctx: Context, input: Parsed<Ops['clear']>): Promise<undefined> {
  const config = await findToWrite(ctx, input.component_id)
  const { writes, entries } = await lock(ctx, input)
  if (entries === 0) throw notFound('scope', input.scope)

  await store.removeEntries(ctx, input)
  const expires_at = expiryOf(config, ctx.now)
  await store.keepScope(ctx, input, { writes: writes + 1, entries: 0, characters: 0, expires_at })
}

/** Removes what has expired. For the platform's housekeeping. */
export async function forgetStates(platform: Platform): Promise<void> {
  const now = platform.clock.now().toISOString()
  await store.forgetEntries(platform.database.platform, now)
  await store.forgetScopes(platform.database.platform, now)
}

// ---- what they share

/** For whoever has a role in some solutions alone: it has to be in one of those, not only used there. */
async function find(ctx: Context, component_id: string) {
  if (ctx.solution_ids) await componentOf(ctx, { component_id })
  const found = await resolve(ctx, component_id, 'state')
  if (!found) throw notFound('component', component_id)
  return { ...found, config: found.config as StateConfig }
}

async function findToWrite(ctx: Context, component_id: string): Promise<StateConfig> {
  const { slug, status, config } = await find(ctx, component_id)
  if (status === 'archived') throw conflict(`"${slug}" is archived: it can be read, not changed.`)
  if (config.persistence === 'none') throw conflict(`"${slug}" keeps nothing: its "persistence" is "none".`)
  return config
}

/** The scope, locked. One that has expired begins anew, behind the versions that it has given out. */
async function lock(ctx: Context, at: store.Place): Promise<store.ScopeRow> {
  const scope = await store.lockScope(ctx, at)
  if (!isOver(scope, ctx.now)) return scope
  await store.removeEntries(ctx, at)
  return { ...scope, entries: 0, characters: 0 }
}

const isOver = ({ expires_at }: store.ScopeRow, now: string) => expires_at !== null && expires_at <= now

const expiryOf = ({ persistence, session_seconds }: StateConfig, now: string): string | null =>
  persistence === 'session' ? new Date(Date.parse(now) + session_seconds * 1000).toISOString() : null

function assertVersion(key: string, entry: store.EntryRow | undefined, wanted: number | undefined): void {
  const version = entry?.version ?? 0
  if (wanted === undefined || wanted === version) return
  const now = version === 0 ? 'it is not there' : `its version is ${version}`
  throw new Failure('PRECONDITION_FAILED', `"${key}" has changed since you read it: ${now}. Read it again.`)
}
