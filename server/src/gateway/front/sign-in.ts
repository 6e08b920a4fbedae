/** Who calls, known in memory: a credential that was good a moment ago is not asked for again. Kept is what counts for
 *  a short time only; what is changed is heard of at once in this process and by notification in the others, and then
 *  nothing that was known of the organization counts. Whoever follows a pass learns that it ended: a revoked key ends
 *  its streams. Without the database, who was known of late goes on. */

import type { Inside } from '../../asking.ts'
import { authenticate, may } from '../../auth/auth.ts'
import type { Platform } from '../../context.ts'
import { Failure } from '../../failure.ts'
import { ACCESS_CHANNEL, onAccessChange } from '../../keys/keys.ts'
import { workspaceOf } from '../../organizations/organizations.ts'
import { type Crowd, newCrowd } from '../crowd.ts'
import { away } from '../faults.ts'
import type { Fault } from '../hub.ts'
import { Refusal } from '../mouths/mouth.ts'
import type { Caller } from '../policies/policy.ts'

export type Credentials = { api_key?: string; bearer?: string; workspace_id?: string; address: string }

/** A credential that counts. */
export type Pass = {
  caller: Caller
  /** The user's or the key's own id. */
  actor_id: string
  /** Calls `ended` when it counts no longer. Returns how to stop following. */
  follow(ended: (fault: Fault) => void): () => void
  /** Code asks that runs inside. */
  inside?: Inside | undefined
  /** A guardrail asks: no other looks at that. */
  is_unguarded?: true
}

export type SignIn = {
  /** Throws a `Refusal`. A promise only when somebody must be asked. */
  of(credentials: Credentials): Pass | Promise<Pass>
  close(): Promise<void>
}

/** What is known is read again after this long; without the database it counts for so much longer. */
const FRESH_MS = 15_000
const AWAY_MS = 120_000
/** After a change here its transaction may still be open: for so long everybody of the organization is read anew. */
const UNSETTLED_MS = 2_000
const KNOWN_MAX = 50_000
const WRONG_PER_MINUTE = 60

type Known = Pass & {
  read_at: number
  expires_at: number
  credentials: Credentials
  followers: Crowd<Fault>
}

export function createSignIn(platform: Platform): SignIn {
  const byCredential = new Map<string, Known>()
  const unsettled = new Map<string, number>()
  const reading = new Map<string, { era: number; known: Promise<Known> }>()
  const wrong = new WrongOnes()
  let changes = 0
  const now = () => platform.clock.now().getTime()

  const read = async (key: string, credentials: Credentials, before: Known | undefined): Promise<Known> => {
    wrong.check(credentials.address, now())
    try {
      const era = changes
      const known = await passOf(platform, credentials, before?.followers ?? newCrowd(), now())
      // Something changed while it was read: it counts for this call, and not for the next.
      if (era !== changes) known.read_at = Number.NEGATIVE_INFINITY
      if (byCredential.size >= KNOWN_MAX) forgetFirst(byCredential)
      byCredential.set(key, known)
      return known
    } catch (thrown) {
      if (!(thrown instanceof Failure)) {
        if (before && now() - before.read_at < FRESH_MS + AWAY_MS && now() < before.expires_at) return before
        throw new Refusal(away)
      }
      byCredential.delete(key)
      if (thrown.code === 'UNAUTHENTICATED') wrong.add(credentials.address, now())
      const refusal = new Refusal(faultOf(thrown))
      before?.followers.tell(refusal.fault)
      throw refusal
    }
  }

  const look = (whose: string | undefined) => {
    changes += 1
    for (const [key, known] of byCredential) {
      const { organization_id, user_id } = known.caller
      if (whose !== undefined && whose !== organization_id && whose !== user_id) continue
      known.read_at = Number.NEGATIVE_INFINITY
      if (known.followers.size > 0) read(key, known.credentials, known).catch(() => undefined)
    }
  }
  const isSettled = ({ organization_id, user_id }: Caller, at: number): boolean => {
    for (const [whose, until] of unsettled) if (at >= until) unsettled.delete(whose)
    return !unsettled.has(organization_id) && !unsettled.has(user_id)
  }
  const stopHearing = onAccessChange((whose) => {
    unsettled.set(whose, now() + UNSETTLED_MS)
    look(whose)
  })
  const listening = platform.database.listen(ACCESS_CHANNEL, look, () => look(undefined))
  listening.catch((err: unknown) => platform.log.error({ err }, 'changes of access are not heard of'))

  return {
    of(credentials) {
      const { api_key, bearer, workspace_id } = credentials
      const secret = api_key ?? bearer
      if (secret === undefined) throw new Refusal(unauthenticated)
      const key = `${workspace_id ?? ''} ${secret}`
      const known = byCredential.get(key)
      const at = now()
      const isFresh = known && at - known.read_at < FRESH_MS && at < known.expires_at
      if (isFresh && (unsettled.size === 0 || isSettled(known.caller, at))) return known
      // All that come at once wait for one reading, unless something has just changed.
      const shared = unsettled.size === 0 ? reading.get(key) : undefined
      if (shared?.era === changes) return shared.known
      const one = { era: changes, known: read(key, credentials, known) }
      const forget = () => {
        if (reading.get(key) === one) reading.delete(key)
      }
      one.known.then(forget, forget)
      reading.set(key, one)
      return one.known
    },
    async close() {
      stopHearing()
      // A database that is gone tells nothing any more.
      await listening.then((unlisten) => unlisten()).catch(() => undefined)
    },
  }
}

const unauthenticated: Fault = {
  status: 401,
  type: 'authentication_error',
  code: 'invalid_api_key',
  message: 'Send an API key of Flow, as Authorization: Bearer fl_… or as X-API-Key.',
}

async function passOf(
  platform: Platform,
  credentials: Credentials,
  followers: Known['followers'],
  read_at: number,
): Promise<Known> {
  const actor = await authenticate(platform, credentials)
  const { organization_id, user_id, kind } = actor
  const named = credentials.workspace_id ?? actor.workspace_id
  const usual = actor.default_workspace_id
  const isUsual = usual !== undefined && (named ?? usual) === usual
  const workspace_id = isUsual ? usual : await workspaceOf(platform, organization_id, named)
  if (actor.workspace_id && actor.workspace_id !== workspace_id) {
    throw new Failure('NOT_FOUND', `There is no workspace "${workspace_id}".`)
  }
  if (!may(actor, 'solutions.write', { workspace_id })) {
    throw new Failure('FORBIDDEN', 'This needs the permission "solutions.write", which you do not have here.')
  }
  const key_id = kind === 'api_key' || kind === 'service_token' ? actor.id : null
  const expires_at = actor.expires_in === undefined ? Number.POSITIVE_INFINITY : read_at + actor.expires_in * 1000
  return {
    caller: { organization_id, workspace_id, user_id, key_id },
    actor_id: actor.id,
    follow: (ended) => followers.join(ended),
    read_at,
    expires_at,
    credentials,
    followers,
  }
}

const faults: Partial<Record<Failure['code'], Pick<Fault, 'status' | 'type' | 'code'>>> = {
  UNAUTHENTICATED: { status: 401, type: 'authentication_error', code: 'invalid_api_key' },
  FORBIDDEN: { status: 403, type: 'permission_error', code: 'FORBIDDEN' },
  NOT_FOUND: { status: 404, type: 'not_found_error', code: 'NOT_FOUND' },
  RATE_LIMITED: { status: 429, type: 'rate_limit_error', code: 'RATE_LIMITED' },
}

export function faultOf(failure: Failure): Fault {
  const kind = faults[failure.code] ?? { status: 400, type: 'invalid_request_error', code: failure.code }
  return { ...kind, message: failure.message, retry_after_seconds: failure.retry_after_seconds }
}

/** The oldest that nobody follows: its next call is read anew. */
function forgetFirst(byCredential: Map<string, Known>): void {
  for (const [key, known] of byCredential) {
    if (known.followers.size > 0) continue
    byCredential.delete(key)
    return
  }
}

/** Addresses that send wrong credentials are soon heard no more: each of them costs a question to the database. */
class WrongOnes {
  #counts = new Map<string, number>()
  #since = 0

  check(address: string, now: number): void {
    if (now - this.#since > 60_000 || this.#counts.size > KNOWN_MAX) this.#counts.clear()
    if ((this.#counts.get(address) ?? 0) < WRONG_PER_MINUTE) return
    const seconds = Math.max(1, Math.ceil((this.#since + 60_000 - now) / 1000))
    throw new Refusal({
      status: 429,
      type: 'rate_limit_error',
      code: 'RATE_LIMITED',
      message: 'Too many wrong credentials from this address. Wait, then go on.',
      retry_after_seconds: seconds,
    })
  }

  add(address: string, now: number): void {
    if (this.#counts.size === 0) this.#since = now
    this.#counts.set(address, (this.#counts.get(address) ?? 0) + 1)
  }
}
