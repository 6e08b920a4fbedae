/** What a function of a room may use. The edge makes one context for each request, the engine one for each run;
 *  nobody else does. It carries types from the rooms above it, and nothing of theirs that runs. */

import { randomUUIDv7 } from 'node:crypto'
import type { Grant, Permission } from '@flow/contract/access'
import type { Logger } from 'pino'
import type { Asking, Inside, Rights } from './asking.ts'
import type { Config } from './config.ts'
import type { Database, Db } from './db/db.ts'
import type { Engine, RunName } from './engine/engine.ts'
import type { GuardedFetch } from './fetch.ts'
import type { Mail } from './mail.ts'
import type { Sandbox } from './sandbox/sandbox.ts'
import type { Seal } from './seal.ts'
import type { Telemetry } from './telemetry/telemetry.ts'

/** Who asks. A key acts for the user who made it, and never may more than that user may now. */
export type Actor = {
  kind: 'user' | 'api_key' | 'service_token' | 'system'
  /** The user's, or the key's own id. */
  id: string
  user_id: string
  name: string
  organization_id: string
  grants: Grant[]
  /** What a key was narrowed to; absent: all that its user may. */
  scopes?: Permission[]
  /** The one workspace a key was bound to. */
  workspace_id?: string
  /** The workspace of requests that name none; read together with the credential. */
  default_workspace_id?: string
  /** The sign-in that an access token belongs to. */
  session_id?: string
  /** Seconds until the credential expires, for those who remember it; absent: it does not. */
  expires_in?: number
}

/** The part of the context that a store may see. Every statement names one of the two ids. */
export type Scope = {
  db: Db
  organization_id: string
  workspace_id: string
  /** Whoever asks has a role in these solutions alone: there is nothing for them but what is in those. */
  solution_ids?: string[]
}

export type Context = Scope & {
  actor: Actor
  /** When this request or run began: ISO 8601, UTC, milliseconds. */
  now: string
  request_id: string
  /** The caller's address, for the audit log and the limits. */
  address: string
  log: Logger
  /** Enqueues a durable run in this transaction: it starts if and only if the transaction commits. */
  start<Input>(
    run: RunName<Input>,
    input: Input,
    options?: { id?: string; is_fresh?: boolean; at?: string; priority?: number },
  ): Promise<void>
  /** In whose name what is begun here runs, where that is not the actor: of what the platform does by itself. */
  rights?: Rights
  /** It is asked for by code that runs in the sandbox. */
  inside?: Inside
  /** How long the caller is willing to wait for the end of what it starts (`Prefer: wait=N`), in seconds. */
  wait_seconds: number
  platform: Platform
  /** Aborted when the caller goes away. */
  signal: AbortSignal
}

/** What an operation for everybody gets: nobody is known yet, and `db` sees all organizations. */
export type PublicContext = Pick<Context, 'db' | 'now' | 'request_id' | 'address' | 'log' | 'signal' | 'platform'> & {
  /** What the caller sent along, unchecked. */
  credentials: { api_key?: string; bearer?: string }
}

/** The running parts, one of each in a process. */
export type Platform = {
  config: Config
  clock: Clock
  log: Logger
  database: Database
  engine: Engine
  sandbox: Sandbox
  seal: Seal
  mail: Mail
  /** Aborted when the server begins to stop: whoever waits is answered now. */
  stopping: AbortSignal
  /** The way to the outside: it reaches no private address. */
  fetch: GuardedFetch
  /** What is measured and logged of runs, for the operator's collector. */
  telemetry: Telemetry
  /** What code in the sandbox may ask of the rooms. */
  asking: Asking
}

/** The one place time comes from; tests set it. */
export type Clock = { now(): Date }

let latest = { ms: 0, text: new Date(0).toISOString() }

/** A time as it is stored: ISO 8601, UTC. Much happens in one millisecond, which is written once. */
export function written(time: Date): string {
  const ms = time.getTime()
  if (ms !== latest.ms) latest = { ms, text: time.toISOString() }
  return latest.text
}

export const systemClock: Clock = { now: () => new Date() }

/** A UUID version 7: it sorts by the time it was made. */
export const newId = (): string => randomUUIDv7()

/** In whose name what is begun here runs on. */
export function rightsOf({ actor, rights }: Pick<Context, 'actor' | 'rights'>): Rights | undefined {
  if (rights) return rights
  if (actor.user_id === '' || actor.kind === 'system') return undefined
  return { user_id: actor.user_id, key_id: actor.kind === 'user' ? null : actor.id }
}

/** A context without a request: for what the platform does itself in somebody's name. */
export function contextOf(
  platform: Platform,
  db: Db,
  who: Pick<Context, 'actor' | 'organization_id' | 'workspace_id'>,
): Context {
  const ctx: Context = {
    ...who,
    db,
    platform,
    now: platform.clock.now().toISOString(),
    request_id: newId(),
    address: 'local',
    log: platform.log,
    start: (run, input, options) => platform.engine.start(ctx, run, input, options),
    wait_seconds: 0,
    signal: new AbortController().signal,
  }
  return ctx
}

/** The same context in a transaction: what it reads, writes and starts is of it. */
export function within(ctx: Context, db: Db): Context {
  const inside: Context = {
    ...ctx,
    db,
    start: (run, input, options) => ctx.platform.engine.start(inside, run, input, options),
  }
  return inside
}
