/** Places for calls at the same time, of those that all processes have in common. One that is free for a second goes
 *  back. */

import type { Db } from '../../db/db.ts'
import type { Limit } from '../policies/policy.ts'
import * as store from './store.ts'
import type { Taker } from './takes.ts'

const PART = 1 / 8
const DRY_MS = 50

export class Slots implements Taker {
  readonly organization_id: string
  readonly meter: string
  limit: Limit
  /** Ours, as far as it is known. */
  held = 0
  inUse = 0
  #need = 0
  #give = 0
  /** The most that was in use since it was last looked at. */
  #peak = 0
  #dry: { until: number; most: number } | undefined

  constructor(organization_id: string, meter: string, limit: Limit) {
    this.organization_id = organization_id
    this.meter = meter
    this.limit = limit
  }

  get most(): number {
    return this.limit.concurrent ?? 0
  }

  get free(): number {
    return Math.min(this.held, this.most) - this.inUse
  }

  use(): void {
    this.inUse += 1
    this.#peak = Math.max(this.#peak, this.inUse)
  }

  settle(): void {
    this.inUse -= 1
  }

  lack(amount: number): void {
    this.#need += amount
  }

  isDry(): boolean {
    return this.#dry !== undefined && performance.now() < this.#dry.until && this.#dry.most === this.most
  }

  /** Once a second. Whether there is something to give back. */
  look(): boolean {
    const spare = this.held - this.#peak
    this.#peak = this.inUse
    if (spare <= 0) return false
    this.held -= spare
    this.#give += spare
    return true
  }

  get isIdle(): boolean {
    return this.held === 0 && this.inUse === 0 && this.#give === 0
  }

  async ask(db: Db, holder_id: string): Promise<() => void> {
    const it = { organization_id: this.organization_id, meter: this.meter, holder_id }
    const [need, give, most] = [this.#need, this.#give, this.most]
    this.#need = 0
    this.#give = 0
    if (give > 0) await store.takeSlots(db, it, { want: -give, most })
    if (need === 0) return () => {}
    const { slots } = await store.takeSlots(db, it, { want: Math.max(need, Math.ceil(most * PART)), most })
    return () => {
      // What is to go back since then is told by the next round.
      this.held = slots - this.#give
      this.#dry = this.held - this.inUse < need ? { until: performance.now() + DRY_MS, most } : undefined
    }
  }

  failed(): void {
    this.#need = 0
    this.#give = 0
  }
}
