/** What an operator's machines ask: is it alive, may it get traffic, how is it doing. */

import { timingSafeEqual } from 'node:crypto'
import type { Hono } from 'hono'
import type { Platform } from '../context.ts'
import { sql } from '../db/db.ts'
import type { Metrics } from './metrics.ts'

export type Health = { draining: boolean }

export function mountHealth(app: Hono, platform: Platform, metrics: Metrics, health: Health): void {
  app.get('/healthz', (c) =>
    c.json({
      status: 'ok',
      database: platform.database.mode,
      durability: platform.database.durability,
      sandbox: platform.sandbox.isolation,
    }),
  )
  app.get('/readyz', async (c) => {
    if (health.draining) return c.json({ status: 'draining' }, 503, { 'retry-after': '5' })
    try {
      await platform.database.platform.one(sql`select 1 as ready`)
      return c.json({ status: 'ready' })
    } catch (error) {
      platform.log.warn({ err: error }, 'not ready')
      return c.json({ status: 'the database does not answer' }, 503, { 'retry-after': '5' })
    }
  })
  app.get('/metrics', async (c) => {
    const token = platform.config.metrics_token
    if (!token) return c.text('Set FLOW_METRICS_TOKEN or FLOW_METRICS_PORT to read metrics.\n', 404)
    if (!same(c.req.header('authorization') ?? '', `Bearer ${token}`)) return c.text('Send the metrics token.\n', 401)
    return c.body(await metrics.registry.metrics(), 200, { 'content-type': metrics.registry.contentType })
  })
}

const same = (a: string, b: string) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
