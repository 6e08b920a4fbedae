/** What every replica does now and then, beside the requests: it hands events to those who listen, fires schedules, chains
 *  the audit log, removes executions and traces of calls whose time is over and forgets what has had its day. Each task
 *  may run on several replicas at once and does no more than once. */

import { startSealer } from './audit/audit.ts'
import type { Platform } from './context.ts'
import { startDispatcher } from './events/events.ts'
import * as gateway from './gateway/gateway.ts'
import { forget } from './http/idempotency.ts'
import { forgetStates } from './state/state.ts'
import { forgetDeliveries, startScheduler } from './triggers/triggers.ts'
import { forgetMessages } from './webhooks/webhooks.ts'
import { startRetention } from './workflows/workflows.ts'

const FORGET_EVERY_MS = 3_600_000

export function startHousekeeping(platform: Platform): { stop(): Promise<void> } {
  const dispatcher = startDispatcher(platform)
  const sealer = startSealer(platform)
  const scheduler = startScheduler(platform)
  const retention = startRetention(platform)
  const traces = gateway.startRetention(platform)
  const forgetting = setInterval(() => {
    forget(platform.database.platform, platform.clock.now().toISOString()).catch((err: unknown) =>
      platform.log.warn({ err }, 'old idempotency keys were not forgotten'),
    )
    forgetDeliveries(platform).catch((err: unknown) => platform.log.warn({ err }, 'old deliveries were not forgotten'))
    forgetStates(platform).catch((err: unknown) => platform.log.warn({ err }, 'old sessions were not forgotten'))
    forgetMessages(platform).catch((err: unknown) => platform.log.warn({ err }, 'old messages were not forgotten'))
  }, FORGET_EVERY_MS)
  return {
    async stop() {
      clearInterval(forgetting)
      await dispatcher.stop()
      await scheduler.stop()
      await retention.stop()
      await traces.stop()
      await sealer.stop()
    },
  }
}
