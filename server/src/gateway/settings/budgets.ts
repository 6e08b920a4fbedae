/** Budgets of calls, as they are set, with what is used of them. Keeping them is the governor's. */

import type { Page } from '@flow/contract/common'
import type { gatewayBudgets as contract, GatewayBudget } from '@flow/contract/gateway-limits'
import type { Parsed } from '@flow/contract/operation'
import { type Context, newId } from '../../context.ts'
import { notFound } from '../../failure.ts'
import { endOf, firstDayOf } from '../governor/cost.ts'
import { change, orTaken, settled } from './changes.ts'
import * as store from './limits-store.ts'
import { assertSubject } from './subjects.ts'

type Ops = typeof contract

export const waits = { create: settled<GatewayBudget>, update: settled<GatewayBudget>, remove: settled<undefined> }

const TAKEN = 'There is a budget for this subject, period and mode. Change that one.'

export async function list(ctx: Context, input: Parsed<Ops['list']>): Promise<Page<GatewayBudget>> {
  const { items, ...page } = await store.listBudgets(ctx, input)
  const told: GatewayBudget[] = []
  for (const budget of items) told.push(await withUse(ctx, budget))
  return { ...page, items: told }
}

export async function create(ctx: Context, input: Parsed<Ops['create']>): Promise<GatewayBudget> {
  await change(ctx)
  const subject = await assertSubject(ctx, input.subject)

  const { credits, period, mode } = input
  const made = { subject, period, mode, id: newId(), created_by: ctx.actor.user_id, created_at: ctx.now }
  return withUse(
    ctx,
    await orTaken(ctx, (at) => store.insertBudget(at, { ...made, nanocredits: nano(credits) }), TAKEN),
  )
}

export async function get(ctx: Context, input: { budget_id: string }): Promise<GatewayBudget> {
  return withUse(ctx, await find(ctx, input.budget_id))
}

export async function update(ctx: Context, input: Parsed<Ops['update']>): Promise<GatewayBudget> {
  await change(ctx)
  const before = await find(ctx, input.budget_id)
  const { credits = before.credits, mode = before.mode } = input

  const wanted = { id: before.id, mode, nanocredits: nano(credits) }
  return withUse(ctx, await orTaken(ctx, (at) => store.replaceBudget(at, wanted, ctx.now), TAKEN))
}

export async function remove(ctx: Context, input: { budget_id: string }): Promise<undefined> {
  await change(ctx)
  const { id } = await find(ctx, input.budget_id)

  await store.removeBudget(ctx, id)
}

const nano = (credits: number) => Math.round(credits * 1e9)

async function find(ctx: Context, id: string): Promise<store.StoredBudget> {
  const budget = await store.findBudget(ctx, id)
  if (!budget) throw notFound('budget', id)
  return budget
}

async function withUse(ctx: Context, budget: store.StoredBudget): Promise<GatewayBudget> {
  const first = firstDayOf(budget.period, Date.parse(ctx.now))
  return {
    ...budget,
    used: await store.usedOf(ctx, budget.subject, first),
    period_started_at: `${first}T00:00:00.000Z`,
    resets_at: endOf(budget.period, first).toISOString(),
  }
}
