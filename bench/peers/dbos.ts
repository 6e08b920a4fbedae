/** The same graph of ten nodes in DBOS, each node a step, on the PostgreSQL that is given. A process of its own; it
 *  prints what it measured as JSON.
 *
 *    node bench/peers/dbos.ts '{"url": "postgres://…", "at_a_time": [1, 16, 64], "seconds": 4}' */

import { DBOS } from '@dbos-inc/dbos-sdk'
import { rateOf } from '../measure.ts'

type Orders = { url: string; at_a_time: number[]; seconds: number }
const { url, at_a_time, seconds } = JSON.parse(process.argv[2] ?? '{}') as Orders

/** As many sessions as it takes at a time: with its default of 20 it is slower. */
const POOL = 64

const step = (name: string, text: string) => DBOS.runStep(async () => text.length > 3, { name })

const graph = DBOS.registerWorkflow(
  async (text: string) => {
    await step('n0', text)
    for (const i of [0, 3, 6]) {
      await Promise.all([step(`n${i + 1}`, text), step(`n${i + 2}`, text)])
      await step(`n${i + 3}`, text)
    }
  },
  { name: 'graph' },
)

DBOS.setConfig({ name: 'bench', systemDatabaseUrl: url, systemDatabasePoolSize: POOL, logLevel: 'error' })
await DBOS.launch()
const rates = []
for (const many of at_a_time) rates.push(await rateOf(() => graph('hello'), many, seconds))
console.log(JSON.stringify(rates))
await DBOS.shutdown()
process.exit(0)
