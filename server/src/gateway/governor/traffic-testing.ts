/** Random calls, as clients make them: whole and in streams, left in the middle, refused by the provider, tried again,
 *  taken from the cache; and a process that makes them until it is killed. It takes its orders as JSON in its first
 *  argument, tells each call that was answered as a line of JSON, and ends well when its input ends. */

import { writeSync } from 'node:fs'
import { createApp } from '../../app.ts'
import { readConfig } from '../../config.ts'
import { newId, systemClock } from '../../context.ts'
import { type ConnectOptions, connect } from '../../db/connect.ts'
import { createMetrics } from '../../http/metrics.ts'
import { openPlatform } from '../../platform.ts'
import { PREFIX } from '../front/front.ts'
import { chance } from '../mouths/mouths-testing.ts'

export type Answered = { request_id: string; status: number; nanocredits: number | null }
export type Orders = {
  options: ConnectOptions
  data_directory: string
  master_key: string
  keys: string[]
  seed: number
}
type Respond = (request: Request) => Promise<Response>

const kinds = ['whole', 'whole', 'stream', 'stream', 'left', 'refused', 'again', 'broken', 'kept', 'untold'] as const

/** One call; what was told of it, or undefined where the client did not wait. */
export async function anyCall(respond: Respond, key: string, draw: () => number): Promise<Answered | undefined> {
  const pick = <Value>(values: readonly Value[]): Value => values[Math.floor(draw() * values.length)] as Value
  const kind = pick(kinds)
  const usage = { input: Math.floor(draw() * 60), output: 1 + Math.floor(draw() * 60) }
  const say = 'word '.repeat(1 + Math.floor(draw() * 30))
  const steps = {
    whole: { say, usage },
    stream: { say, usage },
    left: { say: 'word '.repeat(40), between_ms: 5 },
    refused: { status: pick([400, 429, 503]) },
    again: { attempts: [{ status: 503 }, { say, usage }] },
    broken: { say, cut_after: 4 },
    kept: { say: pick(['a', 'b', 'c']) },
    untold: { say, usage: null },
  }
  const request_id = newId()
  const gone = new AbortController()
  if (kind === 'left') setTimeout(() => gone.abort(), draw() * 60)
  const isStream = kind === 'left' || kind === 'stream' || draw() < 0.3
  const body = {
    model: 'flow/scripted',
    messages: [{ role: 'user', content: JSON.stringify(steps[kind]) }],
    ...(isStream ? { stream: true } : {}),
    ...(draw() < 0.8 ? { max_tokens: 20 + Math.floor(draw() * 200) } : {}),
  }
  const request = new Request(`http://flow.test${PREFIX}/chat/completions`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      'x-request-id': request_id,
      ...(kind === 'kept' ? { 'x-flow-cache-seconds': '60' } : {}),
    },
    signal: gone.signal,
  })
  try {
    const response = await respond(request)
    await response.text()
    const cost = response.headers.get('x-flow-cost')
    return { request_id, status: response.status, nanocredits: cost === null ? null : Math.round(Number(cost) * 1e9) }
  } catch {
    return undefined
  }
}

export async function openProcess({ options, data_directory, master_key }: Omit<Orders, 'keys' | 'seed'>) {
  const database = await connect({ ...options, pool_max: 6 })
  const config = readConfig({
    FLOW_DATA_DIR: data_directory,
    FLOW_LOG_LEVEL: 'fatal',
    FLOW_SANDBOX_WORKERS: '1',
    FLOW_MASTER_KEY: master_key,
    FLOW_RATE_LIMIT_PER_MINUTE: '1000000',
  })
  const platform = await openPlatform(config, { database, clock: systemClock })
  const app = createApp(platform, createMetrics(), { draining: false })
  const close = async () => {
    await app.close()
    await platform.close(1_000)
  }
  return { platform, app, close }
}

if (import.meta.main) {
  const orders = JSON.parse(process.argv[2] ?? '{}') as Orders
  const { app, close } = await openProcess(orders)
  const draw = chance(orders.seed)
  let isEnding = false
  process.stdin.on('end', () => {
    isEnding = true
  })
  process.stdin.resume()
  const client = async () => {
    while (!isEnding) {
      const key = orders.keys[Math.floor(draw() * orders.keys.length)] ?? ''
      const answered = await anyCall(app.direct.respond, key, draw)
      if (answered) writeSync(1, `${JSON.stringify(answered)}\n`)
    }
  }
  await Promise.all(Array.from({ length: 6 }, client))
  await close()
  process.exit(0)
}
