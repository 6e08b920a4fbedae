/** A process of Flow for the crash test: it dispatches events and delivers them. Told to, it emits some first. */

import { readConfig } from '../config.ts'
import { type ConnectOptions, connect } from '../db/connect.ts'
import { emit, startDispatcher } from '../events/events.ts'
import { openPlatform } from '../platform.ts'
// Hears the events.
import './webhooks.ts'

export type Orders = {
  options: ConnectOptions
  data_directory: string
  organization_id: string
  workspace_id: string
  emit: number
}

const orders = JSON.parse(process.argv[2] ?? '{}') as Orders
const { organization_id, workspace_id } = orders
const database = await connect({ ...orders.options, pool_max: 8 })
const config = readConfig({
  FLOW_DATA_DIR: orders.data_directory,
  FLOW_LOG_LEVEL: 'fatal',
  FLOW_SANDBOX_WORKERS: '1',
  FLOW_ALLOWED_HOSTS: '127.0.0.1',
})
const platform = await openPlatform(config, { database })
await platform.engine.work(platform)
startDispatcher(platform)
for (let i = 0; i < orders.emit; i += 1) {
  const now = platform.clock.now().toISOString()
  const data = { component_id: organization_id, type: 'schema', slug: 'one', workspace_id, version: `1.0.${i}` }
  await emit({ db: database.of(organization_id), organization_id, workspace_id, now }, [
    { type: 'component.published', data },
  ])
}
console.log('ready')
