/** Policies in memory: what each organization has said about its gateway, compiled once, its secrets opened once.
 *
 *  A call asks for its policy without a question to the database. Whoever changes a setting tells every process, and from
 *  then on a call waits for what is new, for a second at most: without the database the policy that is known goes on
 *  to hold. What was told and not heard is found by who looks. */

import { isDeepStrictEqual } from 'node:util'
import { LRUCache } from 'lru-cache'
import { RATES_CHANNEL } from '../../billing/billing.ts'
import type { Platform } from '../../context.ts'
import type { Database } from '../../db/db.ts'
import { boundTo } from '../settings/keys.ts'
import * as store from './policies-store.ts'
import type { Policy, Provider, Route } from './policy.ts'
import { pricing } from './pricing.ts'

const CHANNEL = 'flow_gateway'
const KEPT = 5000
/** A policy that was told to have changed is waited for so long; then the one before holds until the new one is here. */
const WAIT_MS = 1000
const LOOK_MS = 5000

export type Policies = {
  /** A promise only when it must be read. */
  policyOf(organization_id: string): Policy | Promise<Policy>
  /** What is asked for from now on is of now. */
  changed(organization_id: string): void
  close(): Promise<void>
}

type Known = {
  policy?: Policy
  moment?: string
  /** While it is read. */
  reading?: Promise<Policy>
  /** Callers wait for the reading: what is known is known to be old. */
  isAwaited: boolean
  /** Told anew since the reading began. */
  isOutdated: boolean
}

type Parts = Pick<Platform, 'database' | 'seal' | 'log'>

const opened = new WeakMap<Database, Policies>()

/** One for each database of the process. */
export function openPolicies(platform: Parts): Policies {
  const before = opened.get(platform.database)
  if (before) return before
  const policies = follow(platform)
  opened.set(platform.database, policies)
  return policies
}

/** Tells every process that something was changed, when it is committed. */
export const tellChange = (db: { tell(channel: string, payload: string): void }, organization_id: string): void =>
  db.tell(CHANNEL, organization_id)

function follow(platform: Parts): Policies {
  const { database, log } = platform
  const known = new LRUCache<string, Known>({ max: KEPT })

  const read = async (organization_id: string, entry: Known): Promise<Policy> => {
    for (;;) {
      entry.isOutdated = false
      const stored = await store.load(database.of(organization_id), organization_id)
      // Told of in the meantime, it may have been read before that.
      if (entry.isOutdated) continue
      entry.moment = stored.moment
      entry.policy = compile(platform, organization_id, stored, entry.policy)
      return entry.policy
    }
  }
  const refresh = (organization_id: string, entry: Known, isAwaited: boolean): Promise<Policy> => {
    entry.isOutdated = true
    entry.isAwaited ||= isAwaited
    entry.reading ??= read(organization_id, entry)
      .catch((error: unknown) => {
        entry.moment = undefined
        if (!entry.policy) known.delete(organization_id)
        if (!entry.policy) throw error
        log.warn({ err: error, organization_id }, 'the settings of the gateway were not read anew')
        return entry.policy
      })
      .finally(() => {
        entry.reading = undefined
        entry.isAwaited = false
      })
    return entry.reading
  }
  const changed = (organization_id: string) => {
    const entry = known.peek(organization_id)
    if (entry) refresh(organization_id, entry, true).catch(() => {})
  }
  const look = async () => {
    const ids = [...known.keys()]
    if (ids.length === 0) return
    const found = await store.versions(database.platform, ids)
    for (const { organization_id, moment } of found) {
      const entry = known.peek(organization_id)
      if (entry && entry.moment !== moment) refresh(organization_id, entry, false).catch(() => {})
    }
  }
  // Without the database nothing has changed that anybody could know of.
  const lookAgain = () => void look().catch(() => {})

  const listening = Promise.all([CHANNEL, RATES_CHANNEL].map((name) => database.listen(name, changed, lookAgain)))
  listening.then(lookAgain, (err: unknown) => log.error({ err }, 'changes of the gateway are not heard'))
  const timer = setInterval(lookAgain, LOOK_MS).unref()

  return {
    changed,
    policyOf(organization_id) {
      const entry = known.get(organization_id)
      if (entry?.policy) {
        if (!entry.isAwaited || !entry.reading) return entry.policy
        return within(entry.reading, entry.policy, () => (entry.isAwaited = false))
      }
      if (entry?.reading) return entry.reading
      const fresh: Known = { isAwaited: true, isOutdated: false }
      known.set(organization_id, fresh)
      return refresh(organization_id, fresh, true)
    },
    async close() {
      clearInterval(timer)
      opened.delete(database)
      await listening.then(
        (unlisten) => Promise.all(unlisten.map((each) => each())),
        () => {},
      )
    },
  }
}

/** What is read, or after a while what is known. */
function within(reading: Promise<Policy>, known: Policy, late: () => void): Promise<Policy> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      late()
      resolve(known)
    }, WAIT_MS)
    const done = (policy: Policy) => {
      clearTimeout(timer)
      resolve(policy)
    }
    reading.then(done, () => done(known))
  })
}

const builtIn: Provider = {
  id: 'flow',
  name: 'flow',
  kind: 'flow',
  base_url: '',
  key: null,
  headers: {},
  options: {},
  models: [],
}

/** A provider of which nothing has changed is the same object as before: what was learned of it goes on to hold. */
function compile(platform: Parts, organization_id: string, stored: store.StoredPolicy, before?: Policy): Policy {
  const providers = new Map([[builtIn.name, builtIn]])
  for (const provider of stored.providers) {
    const openedOne = openProvider(platform, organization_id, provider)
    const known = before?.providers.get(provider.name)
    if (openedOne) providers.set(provider.name, known && isDeepStrictEqual(known, openedOne) ? known : openedOne)
  }
  return {
    organization_id,
    version: stored.version,
    providers,
    routes: new Map(
      stored.routes.map(({ timeouts_ms, ...route }): [string, Route] => [
        route.name,
        { ...route, timeouts: timeouts_ms },
      ]),
    ),
    limits: stored.limits,
    budgets: stored.budgets,
    month_nanocredits: stored.month_nanocredits,
    priceOf: pricing(stored),
    guardrails: new Map(stored.guardrails.map((guardrail) => [guardrail.id, guardrail])),
    cache_epoch: stored.cache_epoch,
    traces: { keep_content: stored.keep_content, retention_days: stored.retention_days },
  }
}

function openProvider(platform: Parts, organization_id: string, stored: store.StoredProvider): Provider | undefined {
  if (stored.key === null) return { ...stored, key: null }
  try {
    return { ...stored, key: platform.seal.open(stored.key, boundTo(organization_id, stored.id)) }
  } catch (err) {
    // One key that does not open takes no other provider away.
    platform.log.error({ err, organization_id, provider: stored.name }, 'a key of a provider cannot be opened')
    return undefined
  }
}
