/** How many requests or tokens may still be used in this minute: a share of the allowance that all processes have in
 *  common. A share belongs to its minute and ends with it. What was used without having been reserved is a debt, which is
 *  taken off what comes next. */

import type { Db } from '../../db/db.ts'
import type { Limit } from '../policies/policy.ts'
import * as store from './store.ts'
import type { Taker } from './takes.ts'

/** So much of the allowance is taken at a time. */
const PART = 1 / 16
export const MINUTE_MS = 60_000

export class Rate implements Taker {
  readonly organization_id: string
  readonly meter: string
  readonly unit: 'requests' | 'tokens'
  limit: Limit
  #minute = 0
  #share = 0
  #used = 0
  /** What the processes had taken together, as of when it was last asked. */
  #taken = 0
  #need = 0
  #chunk = 0
  /** What the database had not to give at this allowance. */
  #dry_at: number | undefined
  #lastShare = 0
  /** Used while the database was away. */
  #owed = 0

  constructor(organization_id: string, meter: string, unit: Rate['unit'], limit: Limit) {
    this.organization_id = organization_id
    this.meter = meter
    this.unit = unit
    this.limit = limit
  }

  get most(): number {
    return (this.unit === 'requests' ? this.limit.requests_per_minute : this.limit.tokens_per_minute) ?? 0
  }

  freeAt(now_ms: number): number {
    const minute = Math.floor(now_ms / MINUTE_MS)
    if (minute !== this.#minute) this.#begin(minute)
    return Math.min(this.#share, this.most) - this.#used
  }

  /** Of all processes, as far as it is known here. */
  get remaining(): number {
    return Math.max(0, Math.min(this.most, this.most - this.#taken + this.#share - this.#used))
  }

  use(amount: number): void {
    this.#used += amount
  }

  /** What had been reserved at that time becomes what was used in the end. */
  settle(reserved_ms: number, reserved: number, used: number, now_ms: number): void {
    this.freeAt(now_ms)
    const isSame = Math.floor(reserved_ms / MINUTE_MS) === this.#minute
    this.#used += isSame ? used - reserved : Math.max(0, used - reserved)
  }

  lack(amount: number): void {
    this.#need += amount
  }

  /** There is no more in this minute, unless the allowance is raised. */
  isDry(): boolean {
    return this.#dry_at === this.most
  }

  get isLow(): boolean {
    return !this.isDry() && this.#share - this.#used < this.#chunk / 2
  }

  async ask(db: Db): Promise<() => void> {
    const minute = this.#minute
    const most = this.most
    const need = this.#need
    const owed = this.#owed
    const want = Math.max(need, this.#chunk, Math.ceil(most * PART))
    this.#chunk = want
    this.#need = 0
    const at = new Date(minute * MINUTE_MS).toISOString()
    const { granted, taken } = await store.takeRate(db, this, { want, most, owed, minute: at })
    return () => {
      if (minute !== this.#minute) return
      this.#owed = 0
      this.#share += granted
      this.#taken = taken
      if (granted < want) this.#dry_at = most
    }
  }

  /** Without the database everybody goes on with the share of the minute before: together these were no more than the
   *  allowance. */
  failed(): void {
    this.#need = 0
    if (this.#share > 0 || this.#lastShare === 0) return
    this.#share = this.#lastShare
    this.#owed = this.#lastShare
  }

  #begin(minute: number): void {
    const minutes = minute - this.#minute
    this.#lastShare = minutes === 1 ? this.#share : 0
    // A debt is paid back by the minutes that follow.
    this.#used = Math.max(0, this.#used - this.#share - Math.max(0, minutes - 1) * this.most)
    this.#minute = minute
    this.#share = 0
    this.#taken = 0
    this.#owed = 0
    this.#chunk = 0
    this.#dry_at = undefined
  }
}

/** Tells a limit as OpenAI's clients read it, with the time until the minute is over. */
export function tellRate(headers: Record<string, string>, { unit, most, remaining }: Rate, now_ms: number): void {
  headers[`x-ratelimit-limit-${unit}`] = String(most)
  headers[`x-ratelimit-remaining-${unit}`] = String(remaining)
  headers[`x-ratelimit-reset-${unit}`] = `${Math.ceil((MINUTE_MS - (now_ms % MINUTE_MS)) / 1000)}s`
}
