/** The life of the server: ports → platform → first organization → app → wait → close. The ports come first: a start
 *  that can't have them has made nothing and printed no key. Nobody is served before everything is there. */

import { createApp } from './app.ts'
import * as audit from './audit/audit.ts'
import { openSecrets } from './auth/auth.ts'
import type { Config } from './config.ts'
import type { Database } from './db/db.ts'
import * as gateway from './gateway/gateway.ts'
import { startHousekeeping } from './housekeeping.ts'
import type { Health } from './http/health.ts'
import { createEntrance, type Entrance, type Listening, listen, listenMetrics } from './http/listen.ts'
import { createMetrics, type Metrics } from './http/metrics.ts'
import { openPlatform } from './platform.ts'
import * as secrets from './secrets/secrets.ts'
import * as triggers from './triggers/triggers.ts'
import * as webhooks from './webhooks/webhooks.ts'
import { welcome } from './welcome.ts'

const CLOSE_MS = 10_000

export async function serve(config: Config, database: Database): Promise<void> {
  const metrics = createMetrics()
  const entrance = createEntrance()
  const doors = await openDoors(config, entrance, metrics)
  const platform = await openPlatform(config, { database })
  await openSecrets(platform)
  for (const room of [audit, gateway, secrets, triggers, webhooks]) await room.wrapSecrets(platform)
  const health: Health = { draining: false }
  const app = createApp(platform, metrics, health)
  await welcome(platform)
  await platform.engine.work(platform)
  const housekeeping = startHousekeeping(platform)
  entrance.open(app)

  platform.log.info({ port: doors[0]?.port }, 'listening')
  console.log(`Flow answers at ${config.public_url} (API at /api/v1, its documentation at /docs). Ctrl-C stops it.`)

  let isStopping = false
  const stop = async (signal: string) => {
    // In a terminal Ctrl-C reaches us from the terminal and once more from npm.
    if (isStopping) return
    isStopping = true
    platform.log.info({ signal }, 'stopping')
    health.draining = true
    platform.announceStop()
    // What is still open after the deadline is cut; whatever was acknowledged is durable by then.
    setTimeout(() => process.exit(1), CLOSE_MS).unref()
    await Promise.all(doors.map((door) => door.close(CLOSE_MS / 4)))
    await housekeeping.stop()
    await app.close()
    await platform.close(CLOSE_MS / 4)
    process.exit(0)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop)
}

async function openDoors(config: Config, entrance: Entrance, metrics: Metrics): Promise<Listening[]> {
  const { host, port, metrics_port } = config
  const doors = [await listen(entrance, host, port)]
  if (metrics_port !== undefined) doors.push(await listenMetrics(metrics.registry, host, metrics_port))
  return doors
}
