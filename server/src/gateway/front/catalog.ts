/** Which models a provider has, where an organization has not named them: asked of the provider itself when somebody
 *  lists models, and remembered for a while. A provider that does not answer in time is listed by what was known of it;
 *  nobody's list fails for that. */

import type { Clock } from '../../context.ts'
import type { Send } from '../call/forward.ts'
import { askWhole } from '../call/whole.ts'
import type { Provider } from '../policies/policy.ts'
import { adapters } from '../providers/adapters.ts'
import type { Outgoing, ProviderKind } from '../providers/provider.ts'
import { listingIn } from '../providers/read.ts'

const FRESH_MS = 600_000
const FAILED_FRESH_MS = 30_000
const MOST = { wait_ms: 3_000, bytes: 8 * 1024 * 1024 }
const MODELS_MAX = 5_000

export type Catalog = {
  /** The names of its models, without the provider's. */
  of(provider: Provider): string[] | Promise<string[]>
}

type Known = { names: string[]; until: number; reading?: Promise<string[]> | undefined }

export function createCatalog(sendTo: (kind: ProviderKind) => Send, clock: Clock): Catalog {
  // Another key or address is another object.
  const byProvider = new WeakMap<Provider, Known>()
  return {
    of(provider) {
      const now = clock.now().getTime()
      const known = byProvider.get(provider) ?? { names: [], until: 0 }
      byProvider.set(provider, known)
      if (now < known.until) return known.names
      known.reading ??= ask(sendTo(provider.kind), provider, clock.now()).then((names) => {
        known.reading = undefined
        known.until = now + (names ? FRESH_MS : FAILED_FRESH_MS)
        known.names = names ?? known.names
        return known.names
      })
      return known.reading
    },
  }
}

/** Undefined when it could not be asked. */
async function ask(send: Send, provider: Provider, now: Date): Promise<string[] | undefined> {
  const adapter = adapters[provider.kind]
  if (!adapter) return undefined
  try {
    const listed = async (outgoing: Outgoing) => {
      const signed = adapter.sign ? await adapter.sign(outgoing, provider, now) : outgoing
      const { status, text } = await askWhole(send, signed, provider.name, MOST)
      return status === 200 ? adapter.models.answer(listingIn(text)) : undefined
    }
    const more = (adapter.models.more?.(provider) ?? []).map((outgoing) => listed(outgoing).catch(() => undefined))
    const models = await listed(adapter.models.request(provider))
    return models && namesIn([...models, ...(await Promise.all(more)).flatMap((each) => each ?? [])])
  } catch {
    return undefined
  }
}

const namesIn = (models: { id: string }[]): string[] => models.slice(0, MODELS_MAX).map(({ id }) => id)
