/** Looks for model servers at the ports that they have unless told otherwise, on the hosts that the operator allows by
 *  name and on no other: whoever may set up a provider could call those anyway, and learns of nothing else. */

import type { DiscoveredProvider, ProviderPreset } from '@flow/contract/gateway-providers'
import type { Platform } from '../../context.ts'
import { localServers, owners } from '../providers/presets.ts'
import { listingIn, objectOf, objectsOf, parsed, textOf } from '../providers/read.ts'

const TIMEOUT_SECONDS = 3
const BYTES_MAX = 1024 * 1024
const ADDRESSES_MAX = 64
const MODELS_MAX = 1000

/** An address that is asked, and who listens there unless told otherwise. */
export type Place = { base_url: string; preset: ProviderPreset; isLoopback: boolean }
export type Found = Pick<DiscoveredProvider, 'preset' | 'base_url' | 'needs_key' | 'models'>

const loopback = /^(localhost|127\.0\.0\.1|\[::1\])$/

/** An entry with a port of its own is asked at that port, if it is a usual one; databases are left alone. */
export function placesIn(allowed_hosts: string[]): Place[] {
  const places = allowed_hosts.flatMap((entry) => {
    const [host, only] = hostOf(entry.toLowerCase())
    return localServers
      .filter(({ port }) => only === undefined || only === port)
      .map(({ port, preset }) => ({
        ...{ base_url: `http://${host}:${port}/v1`, preset },
        isLoopback: loopback.test(host),
      }))
  })
  return [...new Map(places.map((place) => [place.base_url, place])).values()].slice(0, ADDRESSES_MAX)
}

/** `host`, `host:port`, `[::1]:port` or `::1`, as the operator wrote it. */
function hostOf(entry: string): [host: string, port: number | undefined] {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(entry) ?? []
  const host = bracketed ?? plain ?? entry
  return [host.includes(':') ? `[${host}]` : host, port === undefined ? undefined : Number(port)]
}

export async function look(platform: Pick<Platform, 'fetch' | 'config'>): Promise<Found[]> {
  const places = placesIn(platform.config.allowed_hosts)
  const found = await Promise.all(places.map((place) => ask(platform, place)))
  const here = found.flatMap((one, i) => (one ? [{ ...one, isLoopback: places[i]?.isLoopback ?? false }] : []))
  // One server answers at each name of this machine: it is told once.
  const told = new Set<string>()
  return here.flatMap(({ isLoopback, ...one }) => {
    const key = isLoopback ? new URL(one.base_url).port : one.base_url
    if (told.has(key)) return []
    told.add(key)
    return [one]
  })
}

async function ask(platform: Pick<Platform, 'fetch'>, { base_url, preset }: Place): Promise<Found | undefined> {
  try {
    const limits = { timeout_seconds: TIMEOUT_SECONDS, bytes_max: BYTES_MAX }
    const response = await platform.fetch(`${base_url}/models`, { redirect: 'error', limits })
    return foundIn(base_url, preset, response.status, await response.text())
  } catch {
    // Nobody listens, or it is something else.
    return undefined
  }
}

function foundIn(base_url: string, preset: ProviderPreset, status: number, text: string): Found | undefined {
  const isClosed = status === 401 || status === 403
  if (isClosed)
    return objectOf(parsed(text)).error === undefined ? undefined : { preset, base_url, needs_key: true, models: [] }
  const { data } = listingIn(text)
  if (status !== 200 || !Array.isArray(data)) return undefined
  const listed = objectsOf(data)
  const models = listed.flatMap(({ id }) => textOf(id) ?? []).slice(0, MODELS_MAX)
  if (models.length < Math.min(listed.length, MODELS_MAX)) return undefined
  const owner = owners[textOf(listed[0]?.owned_by) ?? '']
  return { preset: owner ?? preset, base_url, needs_key: false, models }
}

/** Each with a name that nothing has, and the provider that has its address already. */
export function named(found: Found[], providers: { name: string; base_url: string }[]): DiscoveredProvider[] {
  const taken = new Set(providers.map(({ name }) => name))
  return found.map(({ preset, ...one }) => {
    const provider = providers.find(({ base_url }) => base_url === one.base_url)?.name ?? null
    let name: string = preset
    for (let number = 2; taken.has(name); number += 1) name = `${preset}-${number}`
    taken.add(name)
    return { preset, name, kind: 'openai', ...one, provider }
  })
}
