/** What the pool remembers of tenants: what they have in the workers now, and how long their runs compute. */

import { sharing } from './limits.ts'
import type { Pace } from './placement.ts'
import { Recent } from './recent.ts'

type Tenant = { runs: number; long: number; held_mb: number; average_ms: number; seen: number }

const REMEMBERED = 1000
/** The weight of the latest run in the average: a tenant that mends its ways is believed after some ten runs. */
const WEIGHT = 0.2

export class Tenants {
  readonly #present = new Map<string, Tenant>()
  /** Those with nothing in the workers; who has been away for long begins anew. */
  readonly #absent = new Recent<Tenant>(REMEMBERED)
  readonly #runs_max: number

  /** One tenant may have half of the places at most, so that there is always room for another. */
  constructor(workers: number, runs_max = Number.POSITIVE_INFINITY) {
    this.#runs_max = Math.min(runs_max, (workers * sharing.runs_per_worker) / 2)
  }

  #of(name: string): Tenant {
    return this.#present.get(name) ?? this.#absent.get(name) ?? { runs: 0, long: 0, held_mb: 0, average_ms: 0, seen: 0 }
  }

  /** `depth`: how much other code waits for the run. */
  mayGo(name: string, depth: number): boolean {
    const { runs, held_mb } = this.#of(name)
    const share = sharing.lanes[depth] ?? 1
    return runs < Math.ceil(this.#runs_max * share) && held_mb < sharing.held_mb_per_tenant * share
  }

  pace(name: string): Pace {
    const { average_ms, seen, long } = this.#of(name)
    if (long > 0 || average_ms > sharing.heavy_run_ms) return 'heavy'
    return seen >= sharing.quick_after && average_ms < sharing.quick_run_ms ? 'quick' : 'usual'
  }

  enters(name: string): void {
    const tenant = this.#of(name)
    tenant.runs++
    this.#present.set(name, tenant)
  }

  leaves(name: string): void {
    const tenant = this.#present.get(name)
    if (!tenant) return
    tenant.runs--
    if (tenant.runs > 0) return
    this.#present.delete(name)
    this.#absent.set(name, tenant, 1)
  }

  /** What its waiting runs keep in memory has changed. */
  holds(name: string, by_mb: number): void {
    this.#of(name).held_mb += by_mb
  }

  computed(name: string, ms: number, wasLong: boolean): void {
    const tenant = this.#of(name)
    if (wasLong) tenant.long--
    tenant.seen++
    tenant.average_ms += (ms - tenant.average_ms) * WEIGHT
  }

  /** One of its runs computes right now, and has for long: that is known before the run has ended. */
  computesLong(name: string): void {
    this.#of(name).long++
  }
}
