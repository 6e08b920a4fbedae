/** The queue before the workers: tenants take turns, each in the order of their own runs. It is bounded, for each and
 *  for all: who comes to a full queue is told at once. */

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

export class FairQueue<Item extends { tenant: string; size: number }> {
  readonly #itemsByTenant = new Map<string, Item[]>()
  #length = 0
  #size = 0

  get length(): number {
    return this.#length
  }

  add(item: Item): void {
    const own = this.#itemsByTenant.get(item.tenant) ?? []
    if (this.#length >= sharing.queue || this.#size + item.size > sharing.queue_size) {
      throw new SandboxUnavailable('SANDBOX_FULL', 'The sandbox is full: too many runs wait for their turn.')
    }
    if (own.length >= sharing.queue_per_tenant) {
      throw new SandboxUnavailable(
        'SANDBOX_FULL',
        `The sandbox is full: ${own.length} of your runs wait for their turn.`,
      )
    }
    if (own.push(item) === 1) this.#itemsByTenant.set(item.tenant, own)
    this.#length++
    this.#size += item.size
  }

  /** Back to where it was, after a start that came to nothing: before all the tenant's others. */
  addFirst(item: Item): void {
    const own = this.#itemsByTenant.get(item.tenant) ?? []
    if (own.unshift(item) === 1) this.#itemsByTenant.set(item.tenant, own)
    this.#length++
    this.#size += item.size
  }

  /** The next item whose tenant may go on now; its tenant then stands last. */
  take(mayGo: (tenant: string) => boolean): Item | undefined {
    for (const [tenant, own] of this.#itemsByTenant) {
      if (!mayGo(tenant)) continue
      const item = own.shift()
      this.#itemsByTenant.delete(tenant)
      if (own.length > 0) this.#itemsByTenant.set(tenant, own)
      this.#length--
      if (item) this.#size -= item.size
      return item
    }
    return undefined
  }

  remove(item: Item): boolean {
    const own = this.#itemsByTenant.get(item.tenant)
    const at = own?.indexOf(item) ?? -1
    if (!own || at < 0) return false
    own.splice(at, 1)
    if (own.length === 0) this.#itemsByTenant.delete(item.tenant)
    this.#length--
    this.#size -= item.size
    return true
  }
}
