/** Rate limits: so many requests a minute for each credential and for each webhook, fewer for each address where nobody
 *  is known yet. They protect this process and are counted in it. */

import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import type { Config } from '../config.ts'
import { tooMany } from '../failure.ts'

type Kind = 'actor' | 'public' | 'sign_in' | 'hook'

export type Limits = {
  /** Counts one request, or refuses it; answers what is left, as `RateLimit` headers. */
  spend(who: string, kind: Kind): Promise<Record<string, string>>
  /** Refuses an address that sent too many wrong credentials of late. */
  notExhausted(address: string): Promise<void>
  punish(address: string): Promise<void>
}

const BAD_CREDENTIALS_PER_MINUTE = 60

export function openLimits(config: Pick<Config, 'rate_limit_per_minute' | 'sign_in_limit_per_minute'>): Limits {
  const duration = 60
  const kinds = {
    actor: new RateLimiterMemory({ points: config.rate_limit_per_minute, duration }),
    public: new RateLimiterMemory({ points: Math.min(600, config.rate_limit_per_minute), duration }),
    sign_in: new RateLimiterMemory({ points: config.sign_in_limit_per_minute, duration }),
    hook: new RateLimiterMemory({ points: config.rate_limit_per_minute, duration }),
  }
  const bad = new RateLimiterMemory({ points: BAD_CREDENTIALS_PER_MINUTE, duration })
  return {
    async spend(who, kind) {
      const left = await kinds[kind].consume(who).catch((spent: unknown) => {
        throw tooMany('Too many requests. Wait, then go on.', secondsOf(spent))
      })
      // draft-ietf-httpapi-ratelimit-headers: the policy, and what is left of it.
      const { points } = kinds[kind]
      return {
        'ratelimit-policy': `"${kind}";q=${points};w=${duration}`,
        ratelimit: `"${kind}";r=${left.remainingPoints};t=${Math.ceil(left.msBeforeNext / 1000)}`,
      }
    },
    async notExhausted(address) {
      const spent = await bad.get(address)
      if (!spent || spent.remainingPoints > 0) return
      throw tooMany('Too many wrong credentials from this address. Wait, then go on.', secondsOf(spent))
    },
    async punish(address) {
      await bad.consume(address).catch(() => undefined)
    },
  }
}

const secondsOf = (spent: unknown) => (spent instanceof RateLimiterRes ? Math.max(1, spent.msBeforeNext / 1000) : 60)
