/** The running parts, opened in order and closed in the reverse one. A process has one platform; a test has one, too. */

import { type Logger, pino } from 'pino'
import { openAsking } from './asking.ts'
import type { Config } from './config.ts'
import { type Clock, type Platform, systemClock } from './context.ts'
import type { Database } from './db/db.ts'
import { openEngine } from './engine/engine.ts'
import { createFetch } from './fetch.ts'
import { createMail } from './mail.ts'
import { openSandbox } from './sandbox/sandbox.ts'
import { openSeal } from './seal.ts'
import { openTelemetry } from './telemetry/telemetry.ts'

export type OpenPlatform = Platform & {
  /** Tells whoever waits that the end has begun. */
  announceStop(): void
  close(deadline_ms: number): Promise<void>
}

export async function openPlatform(
  config: Config,
  { database, clock = systemClock }: { database: Database; clock?: Clock },
): Promise<OpenPlatform> {
  const log = createLog(config)
  const seal = await openSeal(config)
  const stop = new AbortController()
  const stopping = stop.signal
  const sandbox = await openSandbox({
    workers: config.sandbox_workers,
    runs_per_tenant: config.sandbox_runs_per_workspace,
    floor: config.sandbox_floor,
    packages: config.python_packages,
    log,
    stopping,
  })
  const mail = createMail(config, log)
  const fetch = createFetch(config)
  const engine = await openEngine({ database, log, clock })
  const telemetry = openTelemetry({ config, fetch, clock, log })
  const asking = openAsking()
  const running = { database, engine, sandbox, seal, mail, fetch, telemetry, asking }
  const platform: Platform = { stopping, config, clock, log, ...running }
  return {
    ...platform,
    announceStop: () => stop.abort(),
    async close(deadline_ms) {
      await engine.stop(deadline_ms)
      await sandbox.close()
      await telemetry.close()
      await fetch.close()
      await database.close()
    },
  }
}

/** Structured logs, one JSON object a line. What could be a secret is not logged in the first place; should it be,
 *  these paths are blanked. */
function createLog(config: Config): Logger {
  const secret = [
    'password',
    'token',
    'access_token',
    'refresh_token',
    'api_key',
    'authorization',
    'client_secret',
    'secret',
  ]
  return pino({
    level: config.log_level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: secret.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[secret]' },
  })
}
