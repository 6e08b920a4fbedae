/** The queue before the workers: tenants take turns, each in the order of their own runs. A tenant's runs stand in lanes,
 *  by how deep they lie: what other code waits for goes before what nobody waits for. It is bounded, for each and for
 *  all: who comes to a full queue is told at once. */

import { sharing } from './limits.ts'

/** Refused before anything ran: the caller answers 503 and says when to come again. */
export class SandboxUnavailable extends Error {
  readonly code: 'SANDBOX_FULL' | 'SANDBOX_DOWN' | 'SANDBOX_CLOSED'

  constructor(code: SandboxUnavailable['code'], message: string) {
    super(message)
    this.name = 'SandboxUnavailable'
    this.code = code
  }
}

type Queued = { tenant: string; depth: number; size: number }
/** By depth; those that are deeper than there are lanes stand in the last one. */
type Own<Item> = { lanes: Item[][]; length: number }

export class FairQueue<Item extends Queued> {
  readonly #ownByTenant = new Map<string, Own<Item>>()
  #length = 0
  #size = 0

  get length(): number {
    return this.#length
  }

  add(item: Item): void {
    const { length } = this.#ownByTenant.get(item.tenant) ?? { length: 0 }
    if (this.#length >= sharing.queue || this.#size + item.size > sharing.queue_size) {
      throw new SandboxUnavailable('SANDBOX_FULL', 'The sandbox is full: too many runs wait for their turn.')
    }
    if (length >= sharing.queue_per_tenant) {
      throw new SandboxUnavailable('SANDBOX_FULL', `The sandbox is full: ${length} of your runs wait for their turn.`)
    }
    this.#laneFor(item).push(item)
  }

  /** Back to where it was, after a start that came to nothing: before all the tenant's others. */
  addFirst(item: Item): void {
    this.#laneFor(item).unshift(item)
  }

  #laneFor(item: Item): Item[] {
    const own = this.#ownByTenant.get(item.tenant) ?? { lanes: sharing.lanes.map(() => []), length: 0 }
    this.#ownByTenant.set(item.tenant, own)
    own.length++
    this.#length++
    this.#size += item.size
    return laneOf(own, item.depth)
  }

  /** The next item whose tenant may go on now; its tenant then stands last. */
  take(mayGo: (tenant: string, depth: number) => boolean): Item | undefined {
    for (const [tenant, own] of this.#ownByTenant) {
      const item = firstOf(own, (depth) => mayGo(tenant, depth))
      if (!item) continue
      this.#ownByTenant.delete(tenant)
      this.#left(tenant, own, item)
      return item
    }
    return undefined
  }

  remove(item: Item): boolean {
    const own = this.#ownByTenant.get(item.tenant)
    const lane = own && laneOf(own, item.depth)
    const at = lane?.indexOf(item) ?? -1
    if (!own || !lane || at < 0) return false
    lane.splice(at, 1)
    this.#left(item.tenant, own, item)
    return true
  }

  #left(tenant: string, own: Own<Item>, item: Item): void {
    own.length--
    this.#length--
    this.#size -= item.size
    if (own.length > 0) this.#ownByTenant.set(tenant, own)
    else this.#ownByTenant.delete(tenant)
  }
}

const laneOf = <Item>({ lanes }: Own<Item>, depth: number): Item[] => lanes[Math.min(depth, lanes.length - 1)] ?? []

/** The deepest first. */
function firstOf<Item>({ lanes }: Own<Item>, mayGo: (depth: number) => boolean): Item | undefined {
  for (let depth = lanes.length - 1; depth >= 0; depth--) {
    const lane = lanes[depth]
    if (lane && lane.length > 0 && mayGo(depth)) return lane.shift()
  }
  return undefined
}
