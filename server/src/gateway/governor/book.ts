/** All that is leased to this process of one organization: accounts by caller and by model, meters by limit and whom it
 *  counts. What the organization changes holds for the next call. */

import type { Clock } from '../../context.ts'
import type { Caller, Limit, Policy } from '../policies/policy.ts'
import { Account } from './account.ts'
import { limitsOf, type Meters, type ModelPlan, type Plan, pursesOf } from './plan.ts'
import { Rate } from './rate.ts'
import { Slots } from './slots.ts'
import type { Taker } from './takes.ts'

const NOTHING: ModelPlan = { account: undefined, rates: [], slots: [] }

export class Book {
  readonly #clock: Clock
  #policy: Policy
  #plans = new WeakMap<Caller, Plan>()
  /** Calls that began before a change may still come with them. */
  readonly #former = new WeakSet<Policy>()
  readonly #accounts = new Map<string, { account: Account; caller: Caller; model: string | undefined }>()
  readonly #rates = new Map<string, Rate>()
  readonly #slots = new Map<string, Slots>()

  constructor(clock: Clock, policy: Policy) {
    this.#clock = clock
    this.#policy = policy
  }

  planOf(policy: Policy, caller: Caller): Plan {
    if (policy !== this.#policy && !this.#former.has(policy)) this.#renew(policy)
    const known = this.#plans.get(caller)
    if (known && !known.account.isGone) return known
    const plan = this.#plan(caller)
    this.#plans.set(caller, plan)
    return plan
  }

  /** Once a second: whoever has something to give back, or to look up. */
  look(): Taker[] {
    const takers: Taker[] = [...this.#slots.values()].filter((slots) => slots.look())
    for (const [name, { account, model }] of this.#accounts) {
      if (account.look()) takers.push(account)
      if (model !== undefined || !account.isIdle) continue
      account.isGone = true
      this.#accounts.delete(name)
    }
    return takers
  }

  /** Nothing is leased here, and nobody has called for a while. */
  get isIdle(): boolean {
    for (const { account } of this.#accounts.values()) if (!account.isIdle) return false
    for (const slots of this.#slots.values()) if (!slots.isIdle) return false
    return true
  }

  #renew(policy: Policy): void {
    this.#former.add(this.#policy)
    this.#policy = policy
    this.#plans = new WeakMap()
    for (const { account, caller, model } of this.#accounts.values()) account.renew(pursesOf(policy, caller, model))
  }

  #plan(caller: Caller): Plan {
    const policy = this.#policy
    const account = this.#account(caller, undefined)
    const isAbout = (model: { subject: { kind: string } }) => model.subject.kind === 'model'
    const hasModels = policy.limits.some(isAbout) || policy.budgets.some(isAbout)
    const models = new Map<string, ModelPlan>()
    return {
      policy,
      account,
      hasModels,
      ...this.#meters(caller, undefined),
      warnings: account.purses.filter(({ budget }) => budget.mode === 'warn'),
      modelOf: (model) => {
        if (!hasModels) return NOTHING
        const known = models.get(model)
        if (known) return known
        const plan = this.#modelPlan(caller, model)
        models.set(model, plan)
        return plan
      },
    }
  }

  #modelPlan(caller: Caller, model: string): ModelPlan {
    const hasBudget = pursesOf(this.#policy, caller, model).length > 0
    return { account: hasBudget ? this.#account(caller, model) : undefined, ...this.#meters(caller, model) }
  }

  #account(caller: Caller, model: string | undefined): Account {
    const { organization_id, workspace_id, user_id, key_id } = caller
    const name = model === undefined ? `${workspace_id} ${user_id} ${key_id ?? ''}` : `model ${model}`
    const known = this.#accounts.get(name)
    if (known) return known.account
    const who =
      model === undefined ? { workspace_id, user_id, key_id } : { workspace_id: null, user_id: null, key_id: null }
    const account = new Account(this.#clock, { organization_id, account: name, ...who, model: model ?? null })
    account.renew(pursesOf(this.#policy, caller, model))
    this.#accounts.set(name, { account, caller, model })
    return account
  }

  #meters(caller: Caller, model: string | undefined): Meters {
    const limits = limitsOf(this.#policy, caller, model)
    return {
      rates: limits.flatMap(({ limit, id }) => {
        const rates: Rate[] = []
        if (limit.requests_per_minute !== null) rates.push(this.#rate(limit, id, 'requests'))
        if (limit.tokens_per_minute !== null) rates.push(this.#rate(limit, id, 'tokens'))
        return rates
      }),
      slots: limits.flatMap(({ limit, id }) => (limit.concurrent === null ? [] : [this.#slot(limit, id)])),
    }
  }

  #rate(limit: Limit, id: string, unit: Rate['unit']): Rate {
    const meter = `${limit.id} ${unit} ${id}`
    const rate = this.#rates.get(meter) ?? new Rate(this.#policy.organization_id, meter, unit, limit)
    rate.limit = limit
    this.#rates.set(meter, rate)
    return rate
  }

  #slot(limit: Limit, id: string): Slots {
    const meter = `${limit.id} ${id}`
    const slots = this.#slots.get(meter) ?? new Slots(this.#policy.organization_id, meter, limit)
    slots.limit = limit
    this.#slots.set(meter, slots)
    return slots
  }
}
