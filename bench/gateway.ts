/** What the AI gateway adds to a call, against Portkey's gateway from npm; a bare proxy in Node, by `node:http` and undici
 *  as Flow is; bare sockets in Node, without HTTP; and a bare nginx, which is the least that a proxy costs. A provider that
 *  costs next to nothing, the client and what is measured are processes of their own; what is measured has a core to itself
 *  where `taskset` is there. What counts is processor time, which others on the machine disturb the least: "per core" is
 *  how many requests a second of it answers.
 *
 *  BENCH_SECONDS says how long each is measured; BENCH_REQUESTS how many calls the memory is watched over. */

import { randomBytes } from 'node:crypto'
import { processorSeconds, residentMb, table } from './measure.ts'
import {
  arePinned,
  type Flow,
  type Gateway,
  govern,
  startClient,
  startFlow,
  startNginx,
  startPortkey,
  startProvider,
  startProxy,
  type Target,
} from './parts/gateways.ts'
import { openServer } from './parts/postgres.ts'

const SECONDS = Number(process.env.BENCH_SECONDS ?? 2)
const REQUESTS = Number(process.env.BENCH_REQUESTS ?? 20_000)
const CONNECTIONS = [1, 16, 64]
const CHUNKS = 200

const server = await openServer()
const provider = await startProvider()
const client = await startClient()
const gateways: Gateway[] = []
try {
  await measure()
} finally {
  for (const gateway of gateways) await gateway.stop()
  client.stop()
  provider.stop()
  await server?.close()
}

type Call = {
  does: string
  connections: number
  stream?: boolean
  format?: 'openai' | 'anthropic'
  requests?: number
  more?: object
}
type Measured = Awaited<ReturnType<typeof client.load>> & { cpu_us: number; per_core: number }

async function load(target: Target, call: Call, seconds = SECONDS): Promise<Measured> {
  const { does, connections, stream = false, format = 'openai', requests, more } = call
  const before = await processorSeconds(target.pid)
  const answer = await client.load({
    port: target.port,
    path: target.path,
    headers: { ...target.headersFor(format), ...more },
    body: {
      model: target.modelOf(does, format),
      messages: [
        { role: 'system', content: 'You are a helpful assistant.' },
        { role: 'user', content: 'What does the quick brown fox do?' },
      ],
      max_tokens: 100,
      stream,
      ...(stream ? { stream_options: { include_usage: true } } : {}),
    },
    connections,
    seconds,
    requests,
  })
  const cpu = ((await processorSeconds(target.pid)) ?? 0) - (before ?? 0)
  return { ...answer, cpu_us: (cpu / answer.requests) * 1e6, per_core: answer.requests / cpu }
}

/** Until the code that runs often is compiled, as it is in a server that has run for a minute. */
async function warm(gateway: Gateway): Promise<void> {
  await load(gateway, { does: 'm', connections: 64 }, 8 * SECONDS)
  await load(gateway, { does: `chunks${CHUNKS}-every3`, connections: 16, stream: true }, 4 * SECONDS)
}

async function measure(): Promise<void> {
  const nginx = await startNginx(provider.port)
  if (!nginx) console.log('nginx is left out: it is not installed here (the Debian package `nginx-light` has it).')
  const flows = [await startFlow(provider.port)]
  gateways.push(...flows)
  if (server) {
    const FLOW_MASTER_KEY = randomBytes(32).toString('base64')
    const DATABASE_URL = await server.newDatabase()
    flows.push(await startFlow(provider.port, { DATABASE_URL, FLOW_MASTER_KEY }))
    gateways.push(...flows.slice(1))
  }
  const portkey = await startPortkey(provider.port)
  gateways.push(portkey, await startProxy(provider.port), await startProxy(provider.port, 'sockets'))
  if (nginx) gateways.push(nginx)
  console.log(arePinned ? 'What is measured is pinned to a core.' : 'Nothing is pinned to a core here.')

  for (const gateway of gateways) await warm(gateway)
  await governed(flows)
  const ratio = (of: Measured | undefined, to: Measured | undefined) =>
    of && to ? `${(of.per_core / to.per_core).toPrecision(3)}×` : ''

  for (const connections of CONNECTIONS) {
    const took = new Map<Target, Measured>()
    for (const target of [provider.target, ...gateways])
      took.set(target, await load(target, { does: 'm', connections }))
    console.log(`\nWhole answers, ${connections} at a time`)
    table(
      ['', 'requests/s', 'requests/s per core', 'CPU µs', '× Portkey per core', 'p50 ms', 'p99 ms'],
      [...took].map(([target, one]) => [
        target.name,
        one.requests / one.seconds,
        one.per_core,
        one.cpu_us,
        target === provider.target ? '' : ratio(one, took.get(portkey)),
        one.p50_ms,
        one.p99_ms,
      ]),
    )
  }

  await added()
  await streamed()
  await translated([...flows, portkey], ratio)
  await cached(flows)
  await memory([...flows, portkey])
}

async function added(): Promise<void> {
  const call = { does: 'wait20', connections: 16 }
  const streamed = { does: 'wait20-chunks3', connections: 16, stream: true }
  const rows: (string | number)[][] = []
  const bare = await load(provider.target, call)
  const bareStream = await load(provider.target, streamed)
  for (const gateway of gateways) {
    const whole = await load(gateway, call)
    const stream = await load(gateway, streamed)
    rows.push([
      gateway.name,
      whole.p50_ms - bare.p50_ms,
      whole.p99_ms - bare.p99_ms,
      stream.first_p50_ms - bareStream.first_p50_ms,
      stream.first_p99_ms - bareStream.first_p99_ms,
    ])
  }
  console.log('\nAdded to a provider that takes 20 ms, 16 at a time, in milliseconds')
  table(['', 'answer, p50', 'answer, p99', 'first event, p50', 'first event, p99'], rows)
}

async function streamed(): Promise<void> {
  const call = { does: `chunks${CHUNKS}-every3`, connections: 16, stream: true }
  const rows = []
  for (const gateway of gateways) {
    const { cpu_us } = await load(gateway, call)
    rows.push({ name: gateway.name, us: cpu_us / CHUNKS })
  }
  const nginx = rows.find(({ name }) => name === 'nginx')
  console.log(`\nStreams of ${CHUNKS} events, one each 3 ms, 16 at a time`)
  table(
    ['', 'CPU µs per event, the call in it', '× nginx'],
    rows.map(({ name, us }) => [name, us, nginx ? us / nginx.us : '']),
  )
}

async function translated(targets: Gateway[], ratio: (a?: Measured, b?: Measured) => string): Promise<void> {
  const took: { target: Gateway; whole: Measured; stream: Measured }[] = []
  for (const target of targets) {
    const whole = await load(target, { does: 'm', connections: 64, format: 'anthropic' })
    const streams = { does: `chunks${CHUNKS}-every3`, connections: 16, stream: true, format: 'anthropic' as const }
    took.push({ target, whole, stream: await load(target, streams) })
  }
  console.log('\nTranslated to Anthropic’s format and back: whole, 64 at a time; streams, 16 at a time')
  table(
    ['', 'requests/s per core', 'CPU µs', '× Portkey', 'CPU µs per event'],
    took.map(({ target, whole, stream }) => [
      target.name,
      whole.per_core,
      whole.cpu_us,
      ratio(whole, took.at(-1)?.whole),
      stream.cpu_us / CHUNKS,
    ]),
  )
}

async function cached(flows: Flow[]): Promise<void> {
  const rows: (string | number)[][] = []
  for (const flow of flows) {
    const call = { does: 'm', connections: 64 }
    const asked = await load(flow, call)
    const again = { ...call, more: { 'x-flow-cache-seconds': '600' } }
    await load(flow, again, 4 * SECONDS)
    const hits = await load(flow, again)
    rows.push([flow.name, hits.per_core, hits.cpu_us, hits.per_core / asked.per_core])
  }
  console.log('\nAnswers from the exact cache, 64 at a time')
  table(['', 'requests/s per core', 'CPU µs', '× asked'], rows)
}

/** Before and after there are limits and budgets, which stay for what follows. */
async function governed(flows: Flow[]): Promise<void> {
  const rows: (string | number)[][] = []
  for (const flow of flows) {
    const call = { does: 'm', connections: 64 }
    await flow.settings.settings.update({ keep_content: false })
    const bare = await load(flow, call)
    await flow.settings.settings.update({ keep_content: true })
    const free = await load(flow, call)
    await govern(flow)
    const held = await load(flow, call)
    rows.push([flow.name, bare.cpu_us, free.cpu_us, held.cpu_us, free.cpu_us / held.cpu_us])
  }
  console.log('\nFive limits and five budgets, 64 at a time, in CPU µs for each call')
  const head = ['', 'contents not kept', 'contents kept', 'and governed', 'governed / ungoverned']
  table(head, rows)
}

/** The memory after a quarter, half and all of the calls. */
async function memory(targets: Gateway[]): Promise<void> {
  const rows: (string | number)[][] = []
  for (const target of targets) {
    const seen: number[] = [(await residentMb(target.pid)) ?? 0]
    for (const share of [0.25, 0.25, 0.5]) {
      await load(target, { does: 'm', connections: 64, requests: Math.round(REQUESTS * share) }, 86_400)
      seen.push((await residentMb(target.pid)) ?? 0)
    }
    rows.push([target.name, ...seen])
  }
  console.log(`\nResident memory over ${REQUESTS.toLocaleString('en')} more calls, 64 at a time, in MB`)
  table(['', 'before', 'after a quarter', 'half', 'all'], rows)
}
