/** The circuit breaker, one for each provider and model of an organization. It is
 *
 *  - closed: calls go through; failures of late are counted;
 *  - open: after enough of them nothing is asked for a while, so that a provider that is down costs nobody time;
 *  - half-open: then one call may try. If it succeeds the breaker closes, if not it opens again, for twice as long.
 *
 *  It also knows how long the first chunk took of late, for routes that ask the fastest. A provider that says when to
 *  come again (429 with `Retry-After`) is left alone until then, which is no failure. */

import type { Provider } from '../policies/policy.ts'

const WINDOW_MS = 30_000
const FAILURES_MIN = 5
const OPEN_FIRST_MS = 5_000
const OPEN_MAX_MS = 60_000
const AWAY_MAX_MS = 3_600_000
/** A time to the first chunk that is older says nothing any more. */
const LATE_MS = 60_000
const WEIGHT_OF_NEW = 0.3
const BREAKERS_MAX = 10_000

export class Breaker {
  #failures: number[] = []
  #successes = 0
  #successes_since = 0
  #open_until = 0
  #open_ms = OPEN_FIRST_MS
  #isOpen = false
  #isProbing = false
  #away_until = 0
  #first_chunk_ms = 0
  #measured_at = Number.NEGATIVE_INFINITY

  /** Milliseconds until the next call may go; 0: now. */
  wait(now: number): number {
    const away = Math.max(0, this.#away_until - now)
    if (!this.#isOpen) return away
    if (now < this.#open_until) return Math.max(away, this.#open_until - now)
    return this.#isProbing ? Math.max(away, 1_000) : away
  }

  /** A call goes now: of a half-open breaker it is the one that tries. */
  begin(now: number): void {
    if (this.#isOpen && now >= this.#open_until) this.#isProbing = true
  }

  succeeded(now: number, first_chunk_ms: number): void {
    const isOld = now - this.#measured_at > LATE_MS
    this.#first_chunk_ms = isOld
      ? first_chunk_ms
      : this.#first_chunk_ms + (first_chunk_ms - this.#first_chunk_ms) * WEIGHT_OF_NEW
    this.#measured_at = now
    if (this.#isOpen) {
      this.#isOpen = false
      this.#isProbing = false
      this.#open_ms = OPEN_FIRST_MS
      this.#failures = []
    }
    if (now - this.#successes_since > WINDOW_MS) {
      this.#successes_since = now
      this.#successes = 0
    }
    this.#successes += 1
  }

  failed(now: number): void {
    if (this.#isOpen) {
      if (!this.#isProbing) return
      this.#isProbing = false
      this.#open_ms = Math.min(OPEN_MAX_MS, this.#open_ms * 2)
      this.#open_until = now + this.#open_ms
      return
    }
    this.#failures = this.#failures.filter((at) => now - at < WINDOW_MS)
    this.#failures.push(now)
    const successes = now - this.#successes_since > WINDOW_MS ? 0 : this.#successes
    if (this.#failures.length < FAILURES_MIN || this.#failures.length < successes) return
    this.#isOpen = true
    this.#open_until = now + this.#open_ms
  }

  /** It ended without a word about the provider, because the client went or the request was wrong. */
  ended(): void {
    this.#isProbing = false
  }

  /** The provider has asked to be left alone. It is not believed for longer than an hour. */
  stayAway(now: number, ms: number): void {
    this.#isProbing = false
    this.#away_until = Math.max(this.#away_until, now + Math.min(ms, AWAY_MAX_MS))
  }

  /** The time to the first chunk of late; 0 when nobody knows. */
  firstChunkMs(now: number): number {
    return now - this.#measured_at > LATE_MS ? 0 : this.#first_chunk_ms
  }
}

export type Breakers = { of(provider: Provider, model: string): Breaker }

/** Those of a process. Models are named by callers: only so many are remembered, and the oldest go first. */
export function createBreakers(): Breakers {
  const byTarget = new Map<string, { breaker: Breaker; key: string | null; base_url: string }>()
  return {
    of({ id, kind, key, base_url }, model) {
      // It is everybody's: what one caller has it do is nothing to the others.
      if (kind === 'flow') return new Breaker()
      const target = `${id} ${model}`
      const known = byTarget.get(target)
      // What was earned with another key or at another address is not held against this one.
      if (known?.key === key && known.base_url === base_url) return known.breaker
      if (byTarget.size >= BREAKERS_MAX) byTarget.delete(byTarget.keys().next().value ?? '')
      const breaker = new Breaker()
      byTarget.set(target, { breaker, key, base_url })
      return breaker
    },
  }
}
