/** The life of the server: platform → first organization → app → listen → wait → close. */

import { createApp } from './app.ts'
import { openSecrets } from './auth/auth.ts'
import type { Config } from './config.ts'
import type { Database } from './db/db.ts'
import { startHousekeeping } from './housekeeping.ts'
import type { Health } from './http/health.ts'
import { listen, listenMetrics } from './http/listen.ts'
import { createMetrics } from './http/metrics.ts'
import { openPlatform } from './platform.ts'
import { welcome } from './welcome.ts'

const CLOSE_MS = 10_000

export async function serve(config: Config, database: Database): Promise<void> {
  const platform = await openPlatform(config, { database })
  await openSecrets(platform)
  const metrics = createMetrics()
  const health: Health = { draining: false }
  const app = createApp(platform, metrics, health)
  await welcome(platform)
  await platform.engine.work(platform)
  const housekeeping = startHousekeeping(platform)

  const doors = [await listen(app, config.host, config.port)]
  if (config.metrics_port !== undefined) {
    doors.push(await listenMetrics(metrics.registry, config.host, config.metrics_port))
  }
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
    await platform.close(CLOSE_MS / 4)
    process.exit(0)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop)
}
