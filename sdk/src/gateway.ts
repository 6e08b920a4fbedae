/** The AI gateway's namespaces: what an organization says about it, and what was called. */

import { contract } from '@flow/contract'
import { type Methods, methodsOf } from './methods.ts'
import type { Transport } from './transport.ts'

export type GatewaySettings = {
  calls: Methods<typeof contract.gatewayCalls>
  providers: Methods<typeof contract.gatewayProviders>
  routes: Methods<typeof contract.gatewayRoutes>
  guardrails: Methods<typeof contract.gatewayGuardrails>
  limits: Methods<typeof contract.gatewayLimits>
  budgets: Methods<typeof contract.gatewayBudgets>
  prices: Methods<typeof contract.gatewayPrices>
  settings: Methods<typeof contract.gatewaySettings>
}

export const gatewaySettings = (transport: Transport): GatewaySettings => ({
  calls: methodsOf(contract.gatewayCalls, transport),
  providers: methodsOf(contract.gatewayProviders, transport),
  routes: methodsOf(contract.gatewayRoutes, transport),
  guardrails: methodsOf(contract.gatewayGuardrails, transport),
  limits: methodsOf(contract.gatewayLimits, transport),
  budgets: methodsOf(contract.gatewayBudgets, transport),
  prices: methodsOf(contract.gatewayPrices, transport),
  settings: methodsOf(contract.gatewaySettings, transport),
})
