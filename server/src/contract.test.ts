/** Walks over every operation of the contract: what holds for all of them is tested for each of them. An operation
 *  that is new is walked the day it appears; `bodies` must then know a body for it. */

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { contract } from '@flow/contract'
import { type Permission, permissionsOf, Role } from '@flow/contract/access'
import { gateway } from '@flow/contract/gateway'
import { printOpenapi } from '@flow/contract/openapi'
import { type Domain, type Operation, placeOf } from '@flow/contract/operation'
import { newOrganization, type TestOrganization, testFlow } from './testing.ts'
import { until } from './workflows/testing.ts'

type Walked = { name: string; operation: Operation }

const domains: Record<string, Domain> = contract
const operations: Walked[] = Object.entries(domains).flatMap(([domain, all]) =>
  Object.entries(all).map(([name, operation]) => ({ name: `${domain}.${name}`, operation })),
)

/** A body that the contract accepts, for each operation that demands one. */
const bodies: Record<string, Record<string, unknown>> = {
  'auth.login': { email: 'nobody@example.com', password: 'not the password' },
  'auth.refresh': { refresh_token: 'none' },
  'auth.acceptInvitation': { token: 'none', name: 'Nobody', password: 'a long password' },
  'auth.pollCliLogin': { secret: 'none' },
  'auth.approveCliLogin': { user_code: 'BCDF-GHJK' },
  'auth.denyCliLogin': { user_code: 'BCDF-GHJK' },
  'auth.setSso': {
    issuer: 'https://id.example.com',
    client_id: 'flow',
    client_secret: 'secret',
    domains: ['example.com'],
  },
  'auth.exchangeSsoCode': { code: 'none', state: 'none' },
  'billing.update': { budget_credits: 100 },
  'billing.addCredits': { credits: 1 },
  'billing.replaceRateCard': { name: 'Card', rates: [] },
  'components.create': {
    type: 'code_block',
    name: 'Walked',
    slug: 'walked',
    config: { language: 'javascript', code: 'export const main = () => 1' },
  },
  'components.deprecate': { reason: 'Walked.' },
  'components.archive': { reason: 'Walked.' },
  'components.test': { input: {} },
  'components.convertSchema': { fields: [{ name: 'id', type: 'string' }] },
  'gatewayGuardrails.create': { name: 'Walked', action: 'block', rule: { type: 'pii', kinds: ['email'] } },
  'gatewayBudgets.create': { subject: { kind: 'user' }, credits: 1 },
  'gatewayLimits.create': { subject: { kind: 'user' }, concurrent: 1 },
  'gatewayPrices.create': { model: 'flow/echo', input: 1, output: 1 },
  'gatewayProviders.create': {
    name: 'walked',
    kind: 'openai',
    base_url: 'https://api.example.com/v1',
    key: 'sk-walked',
    skip_test: true,
  },
  'gatewayProviders.rotateKey': { key: 'sk-walked-on' },
  'gatewayRoutes.create': { name: 'walked-route', targets: [{ provider: 'flow', model: 'echo' }] },
  'organizations.create': { name: 'Another' },
  'organizations.createWorkspace': { name: 'Another', slug: 'another' },
  'organizations.createApiKey': { name: 'Another' },
  'secrets.create': { name: 'WALKED', value: 'walked' },
  'state.put': { value: 1 },
  'tasks.complete': { data: {} },
  'tasks.delegate': { assignees: ['nobody@example.com'] },
  'replays.create': { filter: {}, definition: 'pinned', mode: 'restart' },
  'solutions.create': { name: 'Walked', slug: 'walked' },
  'solutions.import': { file: 'format: flow-solution/1' },
  'solutions.addComponent': {
    component: {
      type: 'schema',
      name: 'Walked',
      slug: 'walked-in',
      config: { fields: [{ name: 'id', type: 'string' }] },
    },
  },
  'users.invite': { email: 'new@example.com', grants: [{ role: 'viewer' }] },
  'webhooks.create': { url: 'https://hooks.invalid/flow', events: ['workflow.failed'] },
  'workflows.create': { name: 'Walked', slug: 'walked', nodes: [{ id: 'one', type: 'condition', condition: 'true' }] },
}
const queries: Record<string, Record<string, string>> = {
  'auth.getCliLogin': { user_code: 'BCDF-GHJK' },
  'auth.ssoCallback': { state: 'none' },
}

/** The ids of what an organization has, by the name of the parameter that takes them. */
type World = { ids: Record<string, string>; organization: TestOrganization }

let worlds = 0

async function newWorld(): Promise<World> {
  const organization = await newOrganization()
  const { alice, organization_id, workspace_id } = organization
  const other = await organization.member('viewer')
  const key = await alice.organizations.createApiKey({ name: 'Walked' })
  const component = await alice.codeBlocks.create(bodies['components.create'] as never)
  // Each world has versions of its own.
  worlds += 1
  const version = `${worlds}.0.0`
  await alice.components.createVersion({ component_id: component.id, version })
  const workflow = await alice.workflows.create({ ...bodies['workflows.create'], slug: 'walked-too' } as never)
  const execution = await alice.workflows.execute({ workflow_id: workflow.id }, { wait: 30 })
  const solution = await alice.solutions.create(bodies['solutions.create'] as never)
  await alice.solutions.addComponent({ solution_id: solution.id, component_id: component.id })
  const login = await alice.auth.startCliLogin()
  const subscription = await alice.webhooks.create({ url: 'https://hooks.invalid/flow', events: ['workflow.failed'] })
  const delivery = await alice.webhooks.test({ subscription_id: subscription.id })
  const asking = { id: `ask_${organization_id.replaceAll('-', '')}`, type: 'human_task', title: 'Walked' }
  const asked = await alice.workflows.create({ name: 'Asked', slug: 'asked', nodes: [asking] } as never)
  await alice.workflows.execute({ workflow_id: asked.id })
  const { items: tasks } = await until(
    () => alice.tasks.list(),
    ({ total }) => total > 0,
  )
  const replay = await alice.replays.create({
    workflow_id: workflow.id,
    filter: { ids: [execution.id] },
    definition: 'pinned',
    mode: 'restart',
  })
  const made = (name: string) => ({ ...bodies[name] }) as never
  const ids = {
    org_id: organization_id,
    workspace_id,
    user_id: other.user_id,
    key_id: key.id,
    component_id: component.id,
    solution_id: solution.id,
    version,
    scope: 'walked',
    key: 'walked',
    a: version,
    b: version,
    workflow_id: workflow.id,
    execution_id: execution.id,
    replay_id: replay.id ?? '',
    task_id: tasks[0]?.id ?? '',
    node_id: asking.id,
    request_id: login.id,
    subscription_id: subscription.id,
    delivery_id: delivery.id,
    call_id: await callOf(organization),
    guardrail_id: (await alice.gateway.guardrails.create(made('gatewayGuardrails.create'))).id,
    secret_id: (await alice.secrets.create(made('secrets.create'))).id,
    budget_id: (await alice.gateway.budgets.create(made('gatewayBudgets.create'))).id,
    limit_id: (await alice.gateway.limits.create(made('gatewayLimits.create'))).id,
    price_id: (await alice.gateway.prices.create(made('gatewayPrices.create'))).id,
    provider_id: (await alice.gateway.providers.create(made('gatewayProviders.create'))).id,
    route_id: (await alice.gateway.routes.create(made('gatewayRoutes.create'))).id,
  }
  return { ids, organization }
}

async function callOf({ alice, admin }: TestOrganization): Promise<string> {
  const { app } = await testFlow()
  const body = JSON.stringify({ model: 'flow/echo', messages: [{ role: 'user', content: 'Walked' }] })
  const headers = { 'x-api-key': admin.api_key, 'content-type': 'application/json' }
  await app.fetch(new Request('http://flow.test/api/v1/gateway/v1/chat/completions', { method: 'POST', headers, body }))
  const { items } = await until(
    () => alice.gateway.calls.list(),
    ({ total }) => total > 0,
  )
  return items[0]?.id ?? ''
}

const parametersOf = ({ operation }: Walked) => [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)

function requestOf(
  walked: Walked,
  ids: Record<string, string>,
  more: { key?: string; method?: string; body?: unknown } = {},
): Request {
  const { operation, name } = walked
  const path = operation.path.replace(/\{(\w+)\}/g, (_, parameter: string) => {
    const id = ids[parameter]
    assert.ok(id, `the walk has no "${parameter}": give newWorld() one`)
    return id
  })
  const query = queries[name] ? `?${new URLSearchParams(queries[name])}` : ''
  const method = more.method ?? operation.method
  const headers: Record<string, string> = more.key ? { 'x-api-key': more.key } : {}
  const bodyless = method === 'GET' || method === 'DELETE'
  if (!bodyless) headers['content-type'] = 'application/json'
  const body = bodyless ? undefined : JSON.stringify(more.body ?? bodies[name] ?? {})
  return new Request(`http://flow.test/api/v1${path}${query}`, { method, headers, body })
}

const codeOf = async (response: Response) => ((await response.json()) as { code: string }).code

test('openapi.json is what the contract prints', () => {
  const printed = readFileSync(new URL('../../contract/openapi.json', import.meta.url), 'utf8')

  assert.equal(printed, printOpenapi({ ...contract, gateway }), 'Run `npm run openapi` and read the difference.')
})

test('no operation answers without credentials, unless it says so', async () => {
  const { fetch } = await testFlow()
  const { ids } = await newWorld()
  for (const walked of operations) {
    if (walked.operation.permission === 'public') continue

    const response = await fetch(requestOf(walked, ids))

    assert.equal(response.status, 401, walked.name)
    assert.equal(await codeOf(response), 'UNAUTHENTICATED', walked.name)
    assert.ok(response.headers.get('www-authenticate'), walked.name)
  }
})

test('no operation answers a method that its path does not have', async () => {
  const { fetch } = await testFlow()
  const { ids, organization } = await newWorld()
  const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']
  const takes = (path: string) =>
    operations.filter(({ operation }) => operation.path === path).map(({ operation }) => operation.method)
  for (const walked of operations) {
    const allowed: string[] = takes(walked.operation.path)
    const method = methods.find((each) => !allowed.includes(each)) ?? 'TRACE'

    const response = await fetch(requestOf(walked, ids, { key: organization.admin.api_key, method }))

    assert.equal(response.status, 405, `${method} ${walked.operation.path}`)
    const told = allowed.includes('GET') ? [...allowed, 'HEAD'] : allowed
    assert.deepEqual(response.headers.get('allow')?.split(', ').sort(), told.sort(), walked.name)
  }
})

for (const role of Role.options) {
  test(`a ${role} may do what the matrix says, and nothing else`, async () => {
    const { fetch } = await testFlow()
    const may: readonly Permission[] = permissionsOf[role]
    const { ids, organization } = await sharedWorld()
    const { api_key } = await organization.member(role)
    for (const walked of operations) {
      const { permission } = walked.operation
      if (permission === 'public' || permission === 'authenticated') continue

      // A field that no operation knows is refused only after the caller was let in.
      const request = requestOf(walked, ids, { key: api_key, body: { no_such_field: 1 } })
      const response = await fetch(
        bodyless(walked)
          ? new Request(`${request.url}${request.url.includes('?') ? '&' : '?'}no_such_field=1`, request)
          : request,
      )

      assert.equal(response.status, may.includes(permission) ? 422 : 403, `${role}: ${walked.name}`)
    }
  })
}

test("no operation finds what is another organization's", async () => {
  const { fetch } = await testFlow()
  const mine = await newWorld()
  const theirs = await newWorld()
  for (const walked of operations) {
    const parameters = parametersOf(walked)
    if (parameters.length === 0 || walked.operation.permission === 'public') continue
    for (const foreign of parameters) {
      const ids = { ...mine.ids, [foreign]: theirs.ids[foreign] ?? '' }

      const response = await fetch(requestOf(walked, ids, { key: mine.organization.admin.api_key }))

      assert.equal(response.status, 404, `${walked.name} with another organization's ${foreign}`)
      assert.equal(await codeOf(response), 'NOT_FOUND', walked.name)
    }
  }
})

test('no operation takes a field that it does not name', async () => {
  const { fetch } = await testFlow()
  const { ids, organization } = await newWorld()
  for (const walked of operations) {
    if (bodyless(walked)) continue

    const body = { ...bodies[walked.name], no_such_field: 1 }
    const response = await fetch(requestOf(walked, ids, { key: organization.admin.api_key, body }))

    assert.equal(response.status, 422, walked.name)
    const { details } = (await response.json()) as { details: { field: string }[] }
    assert.deepEqual(
      details.map(({ field }) => field),
      ['no_such_field'],
      walked.name,
    )
  }
})

test('no operation takes a body that is not JSON, or not an object', async () => {
  const { fetch } = await testFlow()
  const { ids, organization } = await newWorld()
  for (const walked of operations) {
    if (bodyless(walked)) continue
    for (const text of ['{"a":', '[]', '"text"']) {
      const request = new Request(requestOf(walked, ids, { key: organization.admin.api_key }), {
        body: text,
        method: walked.operation.method,
      })

      const response = await fetch(request)

      assert.equal(response.status, 400, `${walked.name} with ${text}`)
    }
  }
})

test('no operation leaves out a field that it demands', async () => {
  const { fetch } = await testFlow()
  const { ids, organization } = await newWorld()
  for (const walked of operations) {
    const demanded = Object.entries(walked.operation.input.shape).filter(
      ([field, schema]) => placeOf(walked.operation, field) === 'body' && !schema.safeParse(undefined).success,
    )
    if (demanded.length === 0) continue

    const response = await fetch(requestOf(walked, ids, { key: organization.admin.api_key, body: {} }))

    assert.equal(response.status, 422, walked.name)
    const { details } = (await response.json()) as { details: { field: string }[] }
    const named = new Set(details.map(({ field }) => field))
    for (const [field] of demanded) assert.ok(named.has(field), `${walked.name} does not name ${field}`)
  }
})

test('each operation is called by a story', () => {
  const stories = globSync('**/*.test.ts', { cwd: import.meta.dirname })
    .filter((file) => file !== 'contract.test.ts')
    .map((file) => readFileSync(`${import.meta.dirname}/${file}`, 'utf8'))
    .join('\n')
  // Clients know these under another name.
  const aliases: Record<string, string> = {
    gatewayCalls: 'gateway\\.calls',
    gatewayGuardrails: 'gateway\\.guardrails',
    gatewayBudgets: 'gateway\\.budgets',
    gatewayLimits: 'gateway\\.limits',
    gatewayPrices: 'gateway\\.prices',
    gatewayProviders: 'gateway\\.providers',
    gatewayRoutes: 'gateway\\.routes',
    gatewaySettings: 'gateway\\.settings',
    components: '(?:components|codeBlocks|models|observability|prompts|schemas|states|tools|transforms|validations)',
  }
  const untold = operations.filter(({ name }) => {
    const [domain = '', operation = ''] = name.split('.')
    return !new RegExp(`\\.${aliases[domain] ?? domain}\\s*\\.${operation}\\(`).test(stories)
  })
  assert.deepEqual(
    untold.map(({ name }) => name),
    [],
  )
})

const bodyless = ({ operation }: Walked) => operation.method === 'GET' || operation.method === 'DELETE'

// Refusals change nothing, so one world serves for all of them.
let shared: Promise<World> | undefined
const sharedWorld = () => {
  shared ??= newWorld()
  return shared
}
