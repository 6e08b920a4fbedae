/** The AI gateway: the door of the room. Settings are operations like all others, and are kept in memory as policies; the
 *  calls themselves come in by a way of their own, beside the edge. */

import type { Platform } from '../context.ts'
import { rewrap } from '../rewrap.ts'
import * as calls from './calls.ts'
import * as guardrails from './settings/guardrails.ts'
import * as limits from './settings/limits.ts'
import * as prices from './settings/prices.ts'
import * as providers from './settings/providers.ts'
import * as routes from './settings/routes.ts'
import * as general from './settings/settings.ts'

export { openJournal } from './journal.ts'
export { type DataPlane, openPlane } from './open.ts'
export { openPolicies, type Policies } from './policies.ts'
export { startRetention } from './retention.ts'
export { ungoverned } from './ungoverned.ts'
export { calls }

/** What an organization says about its gateway: a domain of the contract each. */
export const settings = { general, guardrails, limits, prices, providers, routes }

/** The keys of providers under the newest master key; how many were not. */
export const wrapSecrets = (platform: Pick<Platform, 'database' | 'seal'>): Promise<number> =>
  rewrap(platform, [{ table: 'gateway_providers', key: 'id', column: 'key' }])
