/** Opens the data plane of a process: its parts, put together. */

import { setTimeout as wait } from 'node:timers/promises'
import type { Platform } from '../context.ts'
import { createBreakers } from './call/breaker.ts'
import { createCache } from './call/cache.ts'
import { createForward } from './call/forward.ts'
import { createReplays } from './call/replays.ts'
import { newCrowd } from './crowd.ts'
import { stopping } from './faults.ts'
import { createCatalog } from './front/catalog.ts'
import { createFront, type Front } from './front/front.ts'
import { createSignIn } from './front/sign-in.ts'
import { createGuards } from './guardrails/guard.ts'
import { createMeans } from './guardrails/means.ts'
import type { Plane } from './plane.ts'
import { openPolicies } from './policies/policies.ts'
import { createFlow } from './providers/flow.ts'

export type DataPlane = Front & { close(): Promise<void> }
type Parts = Pick<Plane, 'governor' | 'journal' | 'noted' | 'spend'>

export function openPlane(platform: Platform, parts: Parts): DataPlane {
  const { config, clock, log } = platform
  const forward = createForward(config, log)
  const signIn = createSignIn(platform)
  const policies = openPolicies(platform)
  const flow = createFlow(() => clock.now().getTime())
  const sendTo: Plane['sendTo'] = (kind) => (kind === 'flow' ? flow : forward.send)
  const running: Plane['running'] = newCrowd()
  const looking: Plane['looking'] = newCrowd()
  const plane: Plane = {
    ...parts,
    policies,
    clock,
    log,
    signIn,
    replays: createReplays(platform),
    cache: createCache(),
    catalog: createCatalog(sendTo, clock),
    breakers: createBreakers(),
    guards: createGuards(createMeans(platform, (question) => front.ask(question))),
    running,
    looking,
    chance: Math.random,
    trace: platform.telemetry.trace,
    sendTo,
  }
  const front = createFront(plane, config)
  let last_words_until = Number.POSITIVE_INFINITY
  const stop = () => {
    last_words_until = performance.now() + LAST_WORDS_MS
    setTimeout(() => running.tell(stopping), LAST_WORDS_MS).unref()
  }
  platform.stopping.addEventListener('abort', stop, { once: true })
  const close = async () => {
    platform.stopping.removeEventListener('abort', stop)
    running.tell(stopping)
    last_words_until = Math.min(last_words_until, performance.now() + LAST_WORDS_MS)
    while (looking.size > 0 && performance.now() < last_words_until) await wait(LOOK_MS)
    looking.tell()
    await signIn.close()
    await policies.close()
    await forward.close()
  }
  return { ...front, close }
}

/** What is under way when the server stops has so long to end by itself; connections are cut a little later. */
const LAST_WORDS_MS = 2_000
const LOOK_MS = 20
