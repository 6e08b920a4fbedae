/** What code in the sandbox may call: names as code has them, and the operations they stand for. A room that comes later
 *  adds its line here; what is not there yet says so. */

import { contract as all } from '@flow/contract'
import type { Parsed } from '@flow/contract/operation'
import type { workflows as contract } from '@flow/contract/workflows'
import { executeBlock, executing } from './components/components.ts'
import type { Context } from './context.ts'
import type { Edge } from './http/edge.ts'
import type { Offer, Offers } from './http/inside.ts'
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
  'gateway.chat_completion': 'Code cannot call the AI gateway yet.',
  'gateway.embeddings': 'Code cannot call the AI gateway yet.',
  'gateway.models': 'Code cannot call the AI gateway yet.',
  'secrets.get':
    'This platform keeps no secrets for code yet. Give the code what it needs as an input that its schema marks as secret.',
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

export function offersOf({ servedAs }: Pick<Edge, 'servedAs'>): Offers {
  const offers: Offers = { ...missing, 'workflows.wait': waiting, 'code_blocks.execute': block }
  for (const [domain, { names, operations: listed }] of Object.entries(operations)) {
    for (const name of listed) offers[`${domain}.${snake(name)}`] = { ...servedAs(domain, name), names }
  }
  return offers
}

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
