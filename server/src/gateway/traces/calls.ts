/** Calls as they were traced, for those who read them. Nothing here is changed by anybody. */

import type { JsonValue, Page } from '@flow/contract/common'
import type { gatewayCalls as contract, GatewayCall, GatewayCallSummary } from '@flow/contract/gateway-calls'
import type { Parsed } from '@flow/contract/operation'
import { may } from '../../auth/auth.ts'
import type { Context } from '../../context.ts'
import { forbidden, notFound } from '../../failure.ts'
import * as store from './calls-store.ts'

type Ops = typeof contract

export async function list(ctx: Context, input: Parsed<Ops['list']>): Promise<Page<GatewayCallSummary>> {
  const { workspace_id = ctx.workspace_id } = input
  const isAll = workspace_id === 'all'
  if (!mayRead(ctx, isAll ? '' : workspace_id)) {
    throw forbidden(
      isAll
        ? 'This needs a role in the organization, with the permission "solutions.read". Leave workspace_id out.'
        : 'This needs the permission "solutions.read" in that workspace, which you do not have.',
    )
  }

  return store.listCalls(ctx, isAll ? undefined : workspace_id, input)
}

export async function get(ctx: Context, { call_id }: Parsed<Ops['get']>): Promise<GatewayCall> {
  const call = await store.findCall(ctx, call_id)
  if (!call || !mayRead(ctx, call.workspace_id)) throw notFound('call', call_id)
  const kept = await store.findContent(ctx, call_id)
  if (!kept) return { ...call, content: 'none', request: null, answer: null }
  const isTold = call.user_id === ctx.actor.user_id || may(ctx.actor, 'audit.read', call)
  if (!isTold) return { ...call, content: 'withheld', request: null, answer: null }

  return { ...call, content: 'kept', request: parsed(kept.request), answer: parsed(kept.answer) }
}

/** In no workspace by name: whose role is in the organization. */
const mayRead = ({ actor }: Context, workspace_id: string): boolean => may(actor, 'solutions.read', { workspace_id })

/** A provider's answer is kept as it came, whatever it is. */
function parsed(text: string | null): JsonValue | null {
  if (text === null) return null
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
