/** Asks a provider for its models: the call that proves that a key works. It goes out through the guarded fetch, follows
 *  no redirect with the key, and what is told of its answer never has the key in it. */

import type { GatewayProviderTest } from '@flow/contract/gateway-providers'
import type { Platform } from '../../context.ts'
import { Failure, invalid } from '../../failure.ts'
import { adapters } from '../providers/adapters.ts'
import { withoutKey } from '../providers/faults.ts'
import { type Account, type Adapter, type Outgoing, ProviderFault } from '../providers/provider.ts'
import { listingIn } from '../providers/read.ts'

const TIMEOUT_SECONDS = 15
const BYTES_MAX = 8 * 1024 * 1024
const MODELS_MAX = 1000
const MESSAGE_MAX = 1000

/** `blames`: what is to be mended, if it is anything of ours. */
export type TestResult = GatewayProviderTest & { blames?: 'key' | 'base_url' }

type Parts = Pick<Platform, 'fetch' | 'clock'>

export async function testAccount(platform: Parts, account: Account): Promise<TestResult> {
  const began = performance.now()
  const told = await modelsOf(platform, account).then(
    (models) => ({
      status: 'success' as const,
      message: countOf(account, models),
      models: models.slice(0, MODELS_MAX),
    }),
    (thrown: unknown) => ({ status: 'failed' as const, models: [], ...reasonOf(thrown, account) }),
  )
  const duration_ms = Math.round(performance.now() - began)
  return { ...told, duration_ms, tested_at: platform.clock.now().toISOString() }
}

/** Refuses what the provider refuses. */
export function assertWorks(test: TestResult): void {
  if (test.status === 'success') return
  if (test.blames) throw invalid([{ field: test.blames, message: test.message }])
  const said = /[.!?]$/.test(test.message) ? test.message : `${test.message}.`
  throw new Failure('UPSTREAM_FAILED', `${said} With skip_test it is saved all the same.`)
}

async function modelsOf(platform: Parts, account: Account): Promise<string[]> {
  const adapter = adapters[account.kind]
  if (!adapter) throw new Failure('BAD_REQUEST', `There is no adapter for providers of the kind "${account.kind}".`)
  const ask = async (asked: Outgoing) => {
    const outgoing = adapter.sign ? await adapter.sign(asked, account, platform.clock.now()) : asked
    const { status, headers, text } = await send(platform, outgoing)
    if (status < 200 || status >= 300) throw new ProviderFault(adapter.fault(status, headers, text.slice(0, 65_536)))
    return read(adapter, text)
  }
  const models = await ask(adapter.models.request(account))
  // The first list has shown that the key works.
  const more = (adapter.models.more?.(account) ?? []).map((asked) => ask(asked).catch((): string[] => []))
  return [...models, ...(await Promise.all(more)).flat()]
}

async function send(platform: Parts, { url, method, headers, body }: Outgoing) {
  const response = await platform.fetch(url, {
    method,
    headers,
    body: method === 'GET' ? undefined : body,
    redirect: 'error',
    limits: { timeout_seconds: TIMEOUT_SECONDS, bytes_max: BYTES_MAX },
  })
  return { status: response.status, headers: Object.fromEntries(response.headers), text: await response.text() }
}

function read(adapter: Adapter, text: string): string[] {
  try {
    return adapter.models.answer(listingIn(text)).map(({ id }) => id)
  } catch (error) {
    if (error instanceof ProviderFault) throw error
    throw new Failure('UPSTREAM_FAILED', 'The answer is not a list of models: this may be another kind of provider.')
  }
}

function reasonOf(thrown: unknown, account: Account): { message: string; blames?: TestResult['blames'] } {
  if (thrown instanceof ProviderFault) {
    const { status, message } = thrown.fault
    const isKey = status === 401 || status === 403
    if (isKey && account.key === null) return { message: 'The provider asks for a key.', blames: 'key' }
    const said =
      `The provider ${isKey ? 'refuses the key' : `answers ${status}`}: ${withoutKey(message, account)}`.slice(
        0,
        MESSAGE_MAX,
      )
    return isKey ? { message: said, blames: 'key' } : { message: said }
  }
  if (!(thrown instanceof Failure)) throw thrown
  const message = withoutKey(thrown.message, account).slice(0, MESSAGE_MAX)
  return thrown.code === 'BAD_REQUEST' ? { message, blames: 'base_url' } : { message }
}

function countOf({ key }: Account, models: string[]): string {
  const works = key === null ? 'It answers' : 'The key works'
  if (models.length === 0) return `${works}.`
  return models.length === 1 ? `${works}; one model may be called.` : `${works}; ${models.length} models may be called.`
}
