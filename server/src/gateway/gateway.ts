/** The AI gateway: the door of the room. Settings are operations like all others, and are kept in memory as policies; the
 *  calls themselves come in by a way of their own, beside the edge. */

import type { BillingSummary, RateCard } from '@flow/contract/billing'
import type { Platform } from '../context.ts'
import { rewrap } from '../rewrap.ts'
import * as budgets from './settings/budgets.ts'
import { settled } from './settings/changes.ts'
import * as guardrails from './settings/guardrails.ts'
import * as limits from './settings/limits.ts'
import * as prices from './settings/prices.ts'
import * as providers from './settings/providers.ts'
import * as routes from './settings/routes.ts'
import * as general from './settings/settings.ts'
import * as calls from './traces/calls.ts'

export { type OpenGovernor, openGovernor } from './governor/governor.ts'
export { type DataPlane, openPlane } from './open.ts'
export { openPolicies, type Policies } from './policies/policies.ts'
export { openJournal } from './traces/journal.ts'
export { startRetention } from './traces/retention.ts'
export { calls }

/** What an organization says about its gateway: a domain of the contract each. */
export const settings = { budgets, general, guardrails, limits, prices, providers, routes }

/** Operations of billing that change what calls cost and may cost: whoever was answered finds it so. */
export const billingWaits = { waits: { update: settled<BillingSummary>, replaceRateCard: settled<RateCard> } }

/** The keys of providers under the newest master key; how many were not. */
export const wrapSecrets = (platform: Pick<Platform, 'database' | 'seal'>): Promise<number> =>
  rewrap(platform, [{ table: 'gateway_providers', key: 'id', column: 'key' }])
