/** The table of contents of the product: every domain, and in it every operation. */

import { audit } from './audit.ts'
import { auth } from './auth.ts'
import { billing } from './billing.ts'
import { components } from './components.ts'
import { gatewayCalls } from './gateway-calls.ts'
import { gatewayBudgets, gatewayLimits, gatewayPrices } from './gateway-limits.ts'
import { gatewayProviders } from './gateway-providers.ts'
import { gatewayGuardrails, gatewayRoutes } from './gateway-routes.ts'
import { gatewaySettings } from './gateway-settings.ts'
import { organizations } from './organizations.ts'
import { replays } from './replays.ts'
import { secrets } from './secrets.ts'
import { solutions } from './solutions.ts'
import { state } from './state.ts'
import { tasks } from './tasks.ts'
import { triggers } from './triggers.ts'
import { users } from './users.ts'
import { webhooks } from './webhooks.ts'
import { workflows } from './workflows.ts'

export const contract = {
  audit,
  auth,
  billing,
  components,
  gatewayBudgets,
  gatewayCalls,
  gatewayGuardrails,
  gatewayLimits,
  gatewayPrices,
  gatewayProviders,
  gatewayRoutes,
  gatewaySettings,
  organizations,
  replays,
  secrets,
  solutions,
  state,
  tasks,
  triggers,
  users,
  webhooks,
  workflows,
}
export type Contract = typeof contract
