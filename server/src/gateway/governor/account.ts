/** Money that is leased to this process for one caller, or for one model that has a budget; spent from memory.
 *
 *  How much is leased follows from how fast it is spent, and there is always more than the next half minute takes, so that
 *  calls go on while the database is away. What is not needed goes back after seconds. */

import type { Clock } from '../../context.ts'
import type { Db } from '../../db/db.ts'
import type { Budget } from '../policies/policy.ts'
import { firstDayOf } from './cost.ts'
import * as store from './store.ts'
import type { Taker } from './takes.ts'

/** Spending of so many seconds is leased ahead; more is asked for when half of it is left. */
const AHEAD_SECONDS = 75
/** At the beginning, calls like the first one; where a budget is hard, what is set aside for one is a lot by itself. */
const FIRST_CALLS = 4
/** Two rounds within this time: the next one takes twice as much. */
const SOON_MS = 1_000
const IDLE_MS = 10_000
/** Of one request to the database, in nanocredits: a million credits, which numbers still tell exactly when a few add up. */
const TAKEN_MAX = 1e15
/** What the database has refused is not asked for again so soon. */
const DRY_MS = 200
/** Of the rate of before, in each second. */
const MEMORY = 0.8

/** A budget of somebody; `billing`: the organization's own, of everything. */
export type Purse = {
  budget: Budget
  kind: Budget['subject']['kind'] | 'billing'
  subject_id: string
  /** What all processes had used, as of when it was last asked. */
  used: number
  since: string
}

export class Account implements Taker {
  readonly organization_id: string
  readonly name: string
  readonly row: Omit<store.AccountRow, 'holder_id'>
  readonly #clock: Clock
  purses: Purse[] = []
  /** Leased, as far as it is known that it is. */
  lease = 0
  /** For calls under way. */
  reserved = 0
  /** Of calls that are over, and not yet written. */
  unwritten = 0
  /** It is kept no more; whoever calls again gets another one. */
  isGone = false
  #isHard = false
  #chunk = 0
  #need = 0
  #give = 0
  #isClosing = false
  /** It did not get what it needed: what it has may be what another process lacks. */
  #isShort = false
  /** It is only looked up what all processes have used. */
  #isLookedUp = false
  #settled = 0
  #written = 0
  /** What of ours was written when it was last asked what is used. */
  #known = 0
  #rate = 0
  #spent = 0
  #asked_at = Number.NEGATIVE_INFINITY
  #used_at = performance.now()
  #dry: { until: number; day: string } | undefined

  constructor(clock: Clock, row: Account['row']) {
    this.#clock = clock
    this.row = row
    this.organization_id = row.organization_id
    this.name = row.account
  }

  get free(): number {
    return this.lease - this.reserved - this.unwritten
  }

  /** Whether some budget may not be passed. */
  get isHard(): boolean {
    return this.#isHard
  }

  /** Other budgets hold from now on: what was leased under those of before is looked at again before it is used. */
  renew(purses: Purse[]): void {
    this.purses = purses
    this.#isHard = purses.some(({ budget }) => budget.mode === 'hard')
    this.#dry = undefined
    this.#giveBack(Math.max(0, this.free))
  }

  reserve(nanocredits: number): void {
    this.reserved += nanocredits
    this.#used_at = performance.now()
  }

  settle(reserved: number, cost: number): void {
    this.reserved -= reserved
    this.unwritten += cost
    this.#spent += cost
    this.#settled += cost
  }

  /** What is used of a budget now, as far as it is known here. */
  usedOf(purse: Purse): number {
    return (
      (purse.since === firstDayOf(purse.budget.period, this.#clock.now().getTime()) ? purse.used : 0) +
      this.#settled -
      this.#known
    )
  }

  written(cost: number): void {
    this.unwritten -= cost
    this.lease -= cost
    this.#written += cost
  }

  /** So much more is needed by somebody. */
  lack(nanocredits: number): void {
    this.#need += nanocredits
  }

  /** What is left of the budgets beside what is leased, as of when it was last asked; null: no bound. */
  rest: number | null = 0

  /** It was asked for a moment ago, and there was none. */
  isDry(): boolean {
    if (!this.#dry) return false
    if (performance.now() < this.#dry.until && this.#dry.day === this.#today) return true
    this.#dry = undefined
    return false
  }

  /** More had better be asked for before somebody has to wait for it. */
  get isLow(): boolean {
    return this.free < this.#chunk / 2 && performance.now() - this.#asked_at > DRY_MS && !this.isDry()
  }

  /** Once a second: what is too much goes back. Whether there is something to ask. */
  look(): boolean {
    this.#isLookedUp = this.#spent > 0 && this.purses.some(({ budget }) => budget.mode === 'warn')
    this.#rate = MEMORY * this.#rate + (1 - MEMORY) * this.#spent
    this.#spent = 0
    if (performance.now() - this.#used_at > IDLE_MS && this.isEmpty) {
      if (this.lease <= 0) return false
      this.#isClosing = true
      this.lease = 0
      return true
    }
    if (this.#isShort && this.isEmpty && this.lease > 0) {
      this.#isShort = false
      this.#giveBack(this.lease)
      return true
    }
    const ahead = Math.ceil(this.#rate * AHEAD_SECONDS)
    if (performance.now() - this.#asked_at > SOON_MS) this.#chunk = Math.max(this.#chunk / 2, ahead)
    if (this.free <= 2 * Math.max(this.#chunk, ahead)) return this.#isLookedUp
    this.#giveBack(this.free - Math.ceil(Math.max(this.#chunk, ahead)))
    return true
  }

  /** Nothing is under way or on its way into the database. */
  get isEmpty(): boolean {
    return this.reserved === 0 && this.unwritten === 0
  }

  /** Nobody has used it for long, and nothing is leased. */
  get isIdle(): boolean {
    return this.isEmpty && this.lease <= 0 && this.#give === 0 && performance.now() - this.#used_at > 2 * IDLE_MS
  }

  async ask(db: Db, holder_id: string): Promise<() => void> {
    const row = { ...this.row, holder_id }
    if (this.#isClosing) {
      this.#isClosing = false
      await store.removeLease(db, row)
      return () => {}
    }
    const need = Math.min(this.#need, TAKEN_MAX)
    const give_back = this.#give
    const want = need === 0 && (give_back > 0 || this.#isLookedUp) ? 0 : this.#more(need)
    this.#need = 0
    this.#give = 0
    this.#isLookedUp = false
    const { purses } = this
    const told = purses.map(this.#told)
    const written = this.#written
    const granted = await store.takeMoney(db, row, told, { need, want, give_back })
    return () => {
      this.lease += granted.granted
      this.rest = granted.rest
      this.#known = written
      for (const [i, purse] of purses.entries()) {
        purse.used = granted.used[i] ?? 0
        purse.since = told[i]?.since ?? ''
      }
      // Where there is no more, twice as much is no use.
      if (granted.granted < want) this.#chunk = granted.granted
      this.#isShort = granted.granted < need
      if (this.#isShort) this.#dry = { until: performance.now() + DRY_MS, day: this.#today }
      else if (need > 0) this.#dry = undefined
    }
  }

  /** How much is taken: like the spending of the next while, or twice as much as a moment ago. */
  #more(need: number): number {
    const now = performance.now()
    const before = now - this.#asked_at < SOON_MS ? this.#chunk * 2 : this.#chunk
    const first = this.#isHard ? need : need * FIRST_CALLS
    this.#chunk = Math.min(TAKEN_MAX, Math.ceil(Math.max(before, first, this.#rate * AHEAD_SECONDS)))
    this.#asked_at = now
    return this.#chunk
  }

  failed(): void {
    this.#need = 0
    this.#give = 0
    this.#isClosing = false
  }

  /** It is no longer ours from here on; the database hears of it later. */
  #giveBack(nanocredits: number): void {
    this.#give += nanocredits
    this.lease -= nanocredits
  }

  readonly #told = ({ budget, kind, subject_id }: Purse): store.Purse => ({
    kind,
    subject_id,
    since: firstDayOf(budget.period, this.#clock.now().getTime()),
    nanocredits: budget.nanocredits,
    is_hard: budget.mode === 'hard',
  })

  get #today(): string {
    return this.#clock.now().toISOString().slice(0, 10)
  }
}
