/** What the data plane of a process works with. */

import type { Logger } from 'pino'
import type { Clock } from '../context.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { Breakers } from './call/breaker.ts'
import type { Cache } from './call/cache.ts'
import type { Send } from './call/forward.ts'
import type { Replays } from './call/replays.ts'
import type { Crowd } from './crowd.ts'
import type { Catalog } from './front/catalog.ts'
import type { Headers } from './front/exchange.ts'
import type { SignIn } from './front/sign-in.ts'
import type { Guards } from './guardrails/guard.ts'
import type { Fault, MouthName } from './hub.ts'
import type { Policies } from './policies/policies.ts'
import type { Governor } from './policies/policy.ts'
import type { ProviderKind } from './providers/provider.ts'
import type { Journal } from './traces/journal.ts'

export type Plane = {
  clock: Clock
  log: Logger
  signIn: SignIn
  /** Counts a request of what costs nothing, or refuses it with a `Failure`; answers what is left, as headers. */
  spend(actor_id: string): Promise<Headers>
  policies: Pick<Policies, 'policyOf'>
  governor: Governor
  /** Calls that had no leave are noted here; of the others the governor's tickets see to it. */
  journal: Pick<Journal, 'note'>
  replays: Replays
  catalog: Catalog
  cache: Cache
  breakers: Breakers
  guards: Guards
  /** The calls under way, each by what ends it. */
  running: Crowd<Fault>
  /** Calls that are over, of which guardrails still look at what was answered, each by what ends it. */
  looking: Crowd<void>
  /** From 0 up to 1. */
  chance(): number
  sendTo(kind: ProviderKind): Send
  /** Told the spans of each call that is over, if anybody collects them. */
  trace: Telemetry['trace']
  /** Told of each call that is over, for the metrics. */
  noted(mouth: MouthName, http_status: number, seconds: number): void
}
