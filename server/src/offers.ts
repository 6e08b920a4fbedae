/** What code in the sandbox may call: names as code has them, and the operations they stand for. A room that comes later
 *  adds its line here; what is not there yet says so. */

import { contract as all } from '@flow/contract'
import { type ErrorCode, Id, statusOfCode } from '@flow/contract/common'
import type { Parsed } from '@flow/contract/operation'
import { SecretName } from '@flow/contract/secrets'
import type { workflows as contract } from '@flow/contract/workflows'
import { z } from 'zod'
import { executeBlock, executing } from './components/components.ts'
import type { Context } from './context.ts'
import { Failure } from './failure.ts'
import type { DataPlane } from './gateway/gateway.ts'
import type { Edge } from './http/edge.ts'
import type { Offer, Offers } from './http/inside.ts'
import { read as readSecret } from './secrets/secrets.ts'
import { settled } from './workflows/workflows.ts'

const workflow = { workflow_id: 'workflow' } as const
const state = { component_id: 'state' } as const

/** Operations of the contract, by domain. */
const operations = {
  workflows: {
    names: workflow,
    operations: ['list', 'get', 'execute', 'listExecutions', 'getExecution', 'cancelExecution', 'retryExecution'],
  },
  state: { names: state, operations: ['listScopes', 'getScope', 'get', 'put', 'remove', 'clear'] },
} as const

/** Why there is nothing by these names yet. */
const missing: Record<string, string> = {
  'agents.execute': 'This platform has no agents yet.',
  'connector_instances.execute': 'This platform has no connectors yet.',
  'datasets.query': 'This platform has no datasets yet.',
  'services.invoke': 'This platform has no hosted services yet.',
  'storage.get': 'This platform has no storage for files yet. Values of up to 256 Ki characters fit into `flow.state`.',
  'vector_indexes.search': 'This platform has no vector indexes yet.',
}

/** Waiting is a reading that takes its time. */
const waiting: Offer = {
  domain: 'workflows',
  name: 'wait',
  operation: all.workflows.getExecution,
  schema: all.workflows.getExecution.input.strict(),
  call: (ctx, input) => settledOf(ctx, input as Parsed<(typeof contract)['getExecution']>),
  own_transactions: true,
  names: workflow,
}

const settledOf = (ctx: Context, { workflow_id, execution_id }: Parsed<(typeof contract)['getExecution']>) =>
  settled(ctx, { workflow_id, id: execution_id }, ctx.wait_seconds || 60)

const block: Offer = {
  domain: 'code_blocks',
  name: 'execute',
  operation: executing,
  schema: executing.input.strict(),
  call: (ctx, input) => executeBlock(ctx, input as Parsed<typeof executing>),
  own_transactions: true,
}

/** A value is given to code alone. It is noted as a writing is, and kept nowhere to be given again. */
const secret: Offer = {
  domain: 'secrets',
  name: 'read',
  operation: {
    method: 'POST',
    path: '/secrets/{secret_id}',
    permission: 'solutions.write',
    summary: 'Give code a secret.',
    input: z.object({ name: SecretName }),
    output: z.object({ id: Id, value: z.string() }),
  },
  schema: z.strictObject({ name: SecretName }),
  call: (ctx, input) => readSecret(ctx, input as { name: string }),
  own_transactions: true,
}

/** What is asked of models, and where it stands in the gateway. */
const mouths: Record<string, string> = {
  chat_completion: '/chat/completions',
  completion: '/completions',
  embeddings: '/embeddings',
  messages: '/messages',
  models: '/models',
  rerank: '/rerank',
  responses: '/responses',
}

const called = z.looseObject({
  model: z.string().min(1).max(300),
  stream: z.literal(false, 'Code is given whole answers: leave "stream" out.').optional(),
})

function gatewayOffer(plane: Plane, name: string, path: string): Offer {
  const isList = path === '/models'
  const input = isList ? z.object({}).strict() : called
  const about = { permission: 'solutions.write', summary: 'Call a model.', input, output: z.unknown() } as const
  return {
    domain: 'gateway',
    name,
    operation: { method: isList ? 'GET' : 'POST', path: `/gateway/v1${path}`, ...about },
    schema: input,
    call: (ctx, body) => askGateway(plane, ctx, path, isList ? undefined : (body as object)),
    own_transactions: true,
    is_recorded: true,
  }
}

async function askGateway(plane: Plane, ctx: Context, path: string, body: object | undefined): Promise<unknown> {
  const { organization_id, workspace_id, actor, request_id, signal, inside } = ctx
  const key_id = actor.kind === 'user' ? null : actor.id
  const { execution_id = null, workflow_id = null } = inside ?? {}
  const caller = { organization_id, workspace_id, user_id: actor.user_id, key_id, workflow_id, execution_id }
  // Who may is found out with each call of code; none lasts longer than that.
  const pass = { caller, actor_id: actor.id, follow: () => () => {}, inside }
  const question = { path, body, pass, request_id, signal }
  const first = await plane.ask({ ...question, idempotency_key: inside?.run_key })
  // A key that is held may have been left by a process that was killed: then the model is asked again.
  const response = first.status === 409 ? await plane.ask(question) : first
  const answer = JSON.parse(await response.text()) as { error?: { message?: string } }
  if (response.ok) return answer
  const known = Object.entries(statusOfCode).find(([, status]) => status === response.status)
  const code = (known?.[0] ?? (response.status < 500 ? 'BAD_REQUEST' : 'UPSTREAM_FAILED')) as ErrorCode
  throw new Failure(code, answer.error?.message ?? `The gateway answered ${response.status}.`)
}

type Plane = Pick<DataPlane, 'ask'>

export function offersOf({ servedAs }: Pick<Edge, 'servedAs'>, plane: Plane): Offers {
  const offers: Offers = { ...missing, 'workflows.wait': waiting, 'secrets.get': secret, 'code_blocks.execute': block }
  for (const [name, path] of Object.entries(mouths)) offers[`gateway.${name}`] = gatewayOffer(plane, name, path)
  for (const [domain, { names, operations: listed }] of Object.entries(operations)) {
    for (const name of listed) offers[`${domain}.${snake(name)}`] = { ...servedAs(domain, name), names }
  }
  return offers
}

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
