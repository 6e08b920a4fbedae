/** Providers, as they are set up. A key is tested before it is taken, sealed under the organization's own row, and opened
 *  by this process alone: for a test, and for the policy in memory. It goes to no other host than the one it was given
 *  for, so that whoever may change an address learns no key by it. */

import type { Page } from '@flow/contract/common'
import type {
  gatewayProviders as contract,
  DiscoveredProvider,
  GatewayProvider,
  GatewayProviderPreset,
  GatewayProviderTest,
} from '@flow/contract/gateway-providers'
import type { Parsed } from '@flow/contract/operation'
import { type Context, newId } from '../../context.ts'
import { conflict, invalid, notFound } from '../../failure.ts'
import { addressFault } from '../../fetch.ts'
import { presets as known, presetOf } from '../providers/presets.ts'
import type { Account } from '../providers/provider.ts'
import { change, orTaken, settled } from './changes.ts'
import { type Found, look, named, placesIn } from './discovery.ts'
import { boundTo, lastFour } from './keys.ts'
import * as store from './providers-store.ts'
import { guardrailsAt, routesUnder, targetsAt } from './routes-store.ts'
import { allows, faultsOfOptions } from './rules.ts'
import { assertWorks, type TestResult, testAccount } from './testing-keys.ts'

type Ops = typeof contract
type Wanted = Omit<Account, 'key'> & { name: string }

export const waits = {
  create: settled<GatewayProvider>,
  update: settled<GatewayProvider>,
  remove: settled<undefined>,
  rotateKey: settled<GatewayProvider>,
}

/** What asks the provider is done before the transaction begins. */
export const prepares = {
  create: async (ctx: Context, input: Parsed<Ops['create']>): Promise<TestResult | undefined> => {
    const wanted = wantedOf(input)
    assertCallable(ctx, wanted.base_url)
    return input.skip_test ? undefined : tested(ctx, { ...wanted, key: input.key ?? null })
  },
  update: async (ctx: Context, input: Parsed<Ops['update']>): Promise<TestResult | undefined> => {
    const { provider_id, key, skip_test, ...sent } = input
    const before = await get(ctx, { provider_id })
    const wanted = { ...before, ...sent }
    assertKeyStays(before, wanted.base_url, key)
    if (sent.base_url !== undefined) assertCallable(ctx, wanted.base_url)
    if (skip_test || isSameCall(input)) return undefined
    return tested(ctx, { ...wanted, key: key ?? (await openKey(ctx, provider_id)) })
  },
  rotateKey: async (ctx: Context, input: Parsed<Ops['rotateKey']>): Promise<TestResult | undefined> => {
    const provider = await get(ctx, input)
    return input.skip_test ? undefined : tested(ctx, { ...provider, key: input.key })
  },
  test: async (ctx: Context, input: Parsed<Ops['test']>): Promise<TestResult> => {
    const provider = await get(ctx, input)
    return testAccount(ctx.platform, { ...provider, key: await openKey(ctx, provider.id) })
  },
  discover: (ctx: Context, _input: Parsed<Ops['discover']>): Promise<Found[]> => look(ctx.platform),
}

export const presets = async (
  _ctx: Context,
  _input: Parsed<Ops['presets']>,
): Promise<{ items: GatewayProviderPreset[] }> => ({ items: known })

export async function discover(
  ctx: Context,
  _input: Parsed<Ops['discover']>,
  found: Found[],
): Promise<{ servers: DiscoveredProvider[]; asked: string[] }> {
  const asked = placesIn(ctx.platform.config.allowed_hosts).map(({ base_url }) => base_url)
  return { servers: named(found, await store.addresses(ctx)), asked }
}

export const list = (ctx: Context, input: Parsed<Ops['list']>): Promise<Page<GatewayProvider>> => store.list(ctx, input)

export async function create(
  ctx: Context,
  input: Parsed<Ops['create']>,
  test: TestResult | undefined,
): Promise<GatewayProvider> {
  await change(ctx)
  const wanted = wantedOf(input)
  const routes = await routesUnder(ctx, wanted.name)
  if (routes.length > 0) {
    throw conflict(`The name "${wanted.name}" is taken by ${routesNamed(routes)}. Choose another name.`)
  }

  const id = newId()
  const key = input.key === undefined ? null : sealedKey(ctx, id, input.key)
  const made = { ...wanted, id, kind: wanted.kind as GatewayProvider['kind'], models: input.models, ...toldOf(test) }
  const by = { created_by: ctx.actor.user_id, created_at: ctx.now }
  const taken = `There is a provider "${wanted.name}". Choose another name, or change that one.`
  return orTaken(ctx, (at) => store.insert(at, { ...made, ...by }, key), taken)
}

export async function get(ctx: Context, input: { provider_id: string }): Promise<GatewayProvider> {
  const provider = await store.find(ctx, input.provider_id)
  if (!provider) throw notFound('provider', input.provider_id)
  return provider
}

export async function update(
  ctx: Context,
  input: Parsed<Ops['update']>,
  test: TestResult | undefined,
): Promise<GatewayProvider> {
  const { provider_id, key, skip_test: _, ...sent } = input
  await change(ctx)
  const before = await get(ctx, { provider_id })
  const wanted = { ...before, ...sent }
  const faults = sent.options ? faultsOfOptions(wanted.kind, sent.options) : []
  if (faults.length > 0) throw invalid(faults)
  assertKeyStays(before, wanted.base_url, key)
  await assertCallersGoOn(ctx, wanted)

  let after = await store.replace(ctx, wanted, ctx.now)
  if (key !== undefined) after = await store.replaceKey(ctx, provider_id, sealedKey(ctx, provider_id, key), ctx.now)
  return isSameCall(input) ? after : store.noteTest(ctx, provider_id, toldOf(test))
}

/** Whether the provider is asked as before. */
const isSameCall = ({ key, base_url, headers, options }: Parsed<Ops['update']>): boolean =>
  [key, base_url, headers, options].every((each) => each === undefined)

export async function remove(ctx: Context, input: { provider_id: string }): Promise<undefined> {
  await change(ctx)
  const { id, name } = await get(ctx, input)
  const targets = await targetsAt(ctx, name)
  if (targets.length > 0) {
    throw conflict(`"${name}" is called by ${routesNamed(targets)}. Lead them elsewhere first.`)
  }
  const guardrails = await guardrailsAt(ctx, name)
  if (guardrails.length > 0) {
    throw conflict(`"${name}" is called by ${guardrailsNamed(guardrails)}. Embed with another one first.`)
  }

  await store.remove(ctx, id)
}

export async function rotateKey(
  ctx: Context,
  input: Parsed<Ops['rotateKey']>,
  test: TestResult | undefined,
): Promise<GatewayProvider> {
  await change(ctx)
  const { id } = await get(ctx, input)

  await store.replaceKey(ctx, id, sealedKey(ctx, id, input.key), ctx.now)
  return store.noteTest(ctx, id, toldOf(test))
}

export async function test(ctx: Context, input: Parsed<Ops['test']>, result: TestResult): Promise<GatewayProviderTest> {
  const { id } = await get(ctx, input)
  await store.noteTest(ctx, id, toldOf(result))
  return result
}

function wantedOf(input: Parsed<Ops['create']>): Wanted {
  const { headers, options } = input
  const preset = input.preset && presetOf(input.preset)
  const { name = preset?.name, kind = preset?.kind, base_url = preset?.base_url ?? undefined } = input
  const missing = Object.entries({ name, kind, base_url }).filter(([, value]) => value === undefined)
  if (!name || !kind || !base_url) {
    throw invalid(missing.map(([field]) => ({ field, message: 'Give it, or a preset that has it.' })))
  }
  if (name === 'flow') throw conflict('The name "flow" is taken by the built-in provider. Choose another name.')
  const faults = faultsOfOptions(kind, options)
  if (faults.length > 0) throw invalid(faults)
  return { name, kind, base_url, headers, options }
}

function assertCallable({ platform }: Context, base_url: string): void {
  const message = addressFault(platform.config, new URL(base_url))
  if (message !== undefined) throw invalid([{ field: 'base_url', message }])
}

function assertKeyStays(before: GatewayProvider, base_url: string, key: string | undefined): void {
  if (!before.has_key || key !== undefined || new URL(base_url).origin === new URL(before.base_url).origin) return
  const message = 'Send the key, too: a key goes to no other host than the one it was given for.'
  throw invalid([{ field: 'key', message }])
}

async function assertCallersGoOn(ctx: Context, { name, models }: GatewayProvider): Promise<void> {
  const isLost = ({ model }: { model: string }) => !allows(models, model)
  const routes = (await targetsAt(ctx, name)).filter(isLost)
  const guardrails = (await guardrailsAt(ctx, name)).filter(isLost)
  const callers = routes.length > 0 ? routesNamed(routes) : guardrailsNamed(guardrails)
  const lost = [...routes, ...guardrails][0]
  if (lost) throw conflict(`"${lost.model}" would no longer be allowed, and is called by ${callers}.`)
}

const routesNamed = (routes: { name: string }[]) => eachNamed('route', routes)
const guardrailsNamed = (guardrails: { name: string }[]) => eachNamed('guardrail', guardrails)

const eachNamed = (kind: string, callers: { name: string }[]) => {
  const names = [...new Set(callers.map(({ name }) => `"${name}"`))]
  return `the ${names.length === 1 ? kind : `${kind}s`} ${names.join(', ')}`
}

async function tested(ctx: Context, account: Account): Promise<TestResult> {
  const result = await testAccount(ctx.platform, account)
  assertWorks(result)
  return result
}

const toldOf = (test: TestResult | undefined): store.Tested =>
  test
    ? { test_status: test.status, test_message: test.message, tested_at: test.tested_at }
    : { test_status: 'pending', test_message: '', tested_at: null }

const sealedKey = ({ platform, organization_id }: Context, id: string, key: string): store.Key => ({
  sealed: platform.seal.seal(key, boundTo(organization_id, id)),
  last_four: lastFour(key),
})

async function openKey(ctx: Context, id: string): Promise<string | null> {
  const found = await store.findSealed(ctx, id)
  return found?.key ? ctx.platform.seal.open(found.key, boundTo(ctx.organization_id, id)) : null
}
