/** Guardrails, as they are set: one that is saved can be run. Running them is the data plane's. */

import type { FieldError, Page } from '@flow/contract/common'
import type { gatewayGuardrails as contract, GatewayGuardrail } from '@flow/contract/gateway-routes'
import type { Parsed } from '@flow/contract/operation'
import * as components from '../../components/components.ts'
import { type Context, newId } from '../../context.ts'
import { conflict, invalid, notFound } from '../../failure.ts'
import { change, orTaken, settled } from './changes.ts'
import { modelsOfProviders } from './providers-store.ts'
import * as store from './routes-store.ts'
import { allows, faultsOfGuardrail } from './rules.ts'

type Ops = typeof contract

export const waits = {
  create: settled<GatewayGuardrail>,
  update: settled<GatewayGuardrail>,
  remove: settled<undefined>,
}

export const list = (ctx: Context, input: Parsed<Ops['list']>): Promise<Page<GatewayGuardrail>> =>
  store.listGuardrails(ctx, input)

export async function create(ctx: Context, input: Parsed<Ops['create']>): Promise<GatewayGuardrail> {
  await change(ctx)
  await assertRunnable(ctx, input)

  const made = { ...input, id: newId(), created_by: ctx.actor.user_id, created_at: ctx.now }
  return orTaken(ctx, (at) => store.insertGuardrail(at, made), taken(input.name))
}

export async function get(ctx: Context, input: { guardrail_id: string }): Promise<GatewayGuardrail> {
  const guardrail = await store.findGuardrail(ctx, input.guardrail_id)
  if (!guardrail) throw notFound('guardrail', input.guardrail_id)
  return guardrail
}

export async function update(ctx: Context, input: Parsed<Ops['update']>): Promise<GatewayGuardrail> {
  const { guardrail_id, ...sent } = input
  await change(ctx)
  const wanted = { ...(await get(ctx, { guardrail_id })), ...sent }
  await assertRunnable(ctx, wanted)

  return orTaken(ctx, (at) => store.replaceGuardrail(at, wanted, ctx.now), taken(wanted.name))
}

export async function remove(ctx: Context, input: { guardrail_id: string }): Promise<undefined> {
  await change(ctx)
  const { id, name } = await get(ctx, input)
  const routes = await store.routesWithGuardrail(ctx, id)
  if (routes.length > 0) {
    const names = routes.map((route) => `"${route.name}"`).join(', ')
    throw conflict(`Routes have the guardrail "${name}": ${names}. Take it out of them first.`)
  }

  await store.removeGuardrail(ctx, id)
}

const taken = (name: string) => `There is a guardrail "${name}". Choose another name.`

async function assertRunnable(ctx: Context, guardrail: Parameters<typeof faultsOfGuardrail>[0]): Promise<void> {
  const { rule } = guardrail
  const faults = faultsOfGuardrail(guardrail)
  if (rule.type === 'code_block') faults.push(...(await faultsOfCode(ctx, rule.component_id)))
  if (rule.type === 'topics') faults.push(...(await faultsOfModel(ctx, rule.model)))
  if (faults.length > 0) throw invalid(faults)
}

async function faultsOfCode(ctx: Context, component_id: string): Promise<FieldError[]> {
  const field = 'rule.component_id'
  const block = await components.held(ctx, component_id)
  if (block?.type !== 'code_block') return [{ field, message: `There is no code block "${component_id}" here.` }]
  const isPublished = block.published_version !== null && block.status !== 'archived'
  return isPublished ? [] : [{ field, message: `"${block.slug}" is not published. Publish it first.` }]
}

async function faultsOfModel(ctx: Context, name: string): Promise<FieldError[]> {
  const [provider = '', ...rest] = name.split('/')
  const model = rest.join('/')
  const found = [{ name: 'flow', models: [] }, ...(await modelsOfProviders(ctx))].find((one) => one.name === provider)
  if (found && model !== '' && allows(found.models, model)) return []
  return [{ field: 'rule.model', message: `There is no model "${name}". Give one as provider/model.` }]
}
