/** The table of contents of the server: which room serves which domain of the contract, and what stands beside. */

import { contract } from '@flow/contract'
import type { Hono } from 'hono'
import { cors } from 'hono/cors'
import { secureHeaders } from 'hono/secure-headers'
import * as audit from './audit/audit.ts'
import * as auth from './auth/auth.ts'
import * as billing from './billing/billing.ts'
import * as components from './components/components.ts'
import type { Platform } from './context.ts'
import * as gateway from './gateway/gateway.ts'
import { addressOf, peerOf } from './http/address.ts'
import { mountDocs } from './http/docs.ts'
import { createEdge } from './http/edge.ts'
import { type Health, mountHealth } from './http/health.ts'
import { mountHooks } from './http/hooks.ts'
import { answererOf } from './http/inside.ts'
import type { Metrics } from './http/metrics.ts'
import { offersOf } from './offers.ts'
import * as organizations from './organizations/organizations.ts'
import * as secrets from './secrets/secrets.ts'
import * as solutions from './solutions/solutions.ts'
import * as state from './state/state.ts'
import * as triggers from './triggers/triggers.ts'
import * as users from './users/users.ts'
import * as webhooks from './webhooks/webhooks.ts'
import * as tasks from './workflows/tasks.ts'
import * as workflows from './workflows/workflows.ts'

/** The app, the door that sockets reach without it, and how to close both. */
export type App = Hono & { direct: gateway.DataPlane; close(): Promise<void> }

export function createApp(platform: Platform, metrics: Metrics, health: Health): App {
  const { authenticate, may, solutionsWith } = auth
  const { workspaceOf } = organizations
  const { app, serve, servedAs, open, limits } = createEdge(
    platform,
    { authenticate, may, solutionsWith, workspaceOf, note: audit.note },
    metrics,
  )

  app.use(secureHeaders())
  app.use('/api/*', cors({ origin: platform.config.cors_origins, exposeHeaders: exposed, maxAge: 600 }))

  serve('audit', contract.audit, audit)
  serve('auth', contract.auth, auth, auth)
  serve('billing', contract.billing, billing, gateway.billingWaits)
  serve('components', contract.components, components, components)
  const settings = gateway.settings
  serve('gateway_budgets', contract.gatewayBudgets, settings.budgets, settings.budgets)
  serve('gateway_calls', contract.gatewayCalls, gateway.calls)
  serve('gateway_guardrails', contract.gatewayGuardrails, settings.guardrails, settings.guardrails)
  serve('gateway_limits', contract.gatewayLimits, settings.limits, settings.limits)
  serve('gateway_prices', contract.gatewayPrices, settings.prices, settings.prices)
  serve('gateway_providers', contract.gatewayProviders, settings.providers, settings.providers)
  serve('gateway_routes', contract.gatewayRoutes, settings.routes, settings.routes)
  serve('gateway_settings', contract.gatewaySettings, settings.general, settings.general)
  serve('organizations', contract.organizations, organizations)
  serve('replays', contract.replays, workflows.replays)
  serve('secrets', contract.secrets, secrets)
  serve('solutions', contract.solutions, solutions, solutions)
  serve('state', contract.state, state)
  serve('tasks', contract.tasks, tasks)
  serve('triggers', contract.triggers, triggers)
  serve('users', contract.users, users)
  serve('webhooks', contract.webhooks, webhooks)
  serve('workflows', contract.workflows, workflows, workflows)

  const journal = gateway.openJournal(platform)
  const governor = gateway.openGovernor(platform)
  const plane = gateway.openPlane(platform, {
    governor,
    journal,
    spend: (actor_id) => limits.spend(actor_id, 'actor'),
    noted: (mouth, status, seconds) => metrics.request(`gateway.${mouth}`, status, seconds),
  })
  // In the process; sockets reach it before the app.
  app.all(`${plane.prefix}/*`, (c) => plane.respond(c.req.raw, peerOf(c.env)))
  const { actorWith } = auth
  const doors = { actorWith, may, solutionsWith, resolve: components.resolve, note: audit.note }
  platform.asking.answerWith(answererOf(platform, doors, offersOf({ servedAs }, plane)))

  mountDocs(app)
  open()

  mountHooks(app, platform, metrics, { ...triggers, answerCallback: workflows.answerCallback })
  mountHealth(app, platform, metrics, health)
  app.get('/.well-known/jwks.json', async (c) =>
    c.json(await auth.jwks(platform), 200, { 'cache-control': 'max-age=300' }),
  )
  const pages = { '/device': auth.devicePage, '/accept-invitation': auth.invitationPage }
  for (const [path, page] of Object.entries(pages)) {
    app.all(path, (c) => page(c.req.raw, platform, addressOf(c.req.raw, peerOf(c.env), platform.config.trust_proxy)))
  }
  const close = async () => {
    await plane.close()
    await governor.close()
    await journal.close()
  }
  return Object.assign(app, { direct: plane, close })
}

const exposed = [
  'X-Request-ID',
  'ETag',
  'Link',
  'Location',
  'Retry-After',
  'Idempotent-Replayed',
  'RateLimit',
  'RateLimit-Policy',
]
