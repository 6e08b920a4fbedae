/** Real servers, as they are started on many machines: processes of their own on one PostgreSQL, with one master key,
 *  asked through HTTP. */

import { randomBytes } from 'node:crypto'
import { PlatformClient } from '@flow/sdk'
import { type RunningServer, startServer } from '../../e2e/server.ts'

export type Replicas = {
  start(): Promise<RunningServer>
  /** Of the admin, to be asked after the first start. */
  api_key(): string
  client(server: RunningServer): PlatformClient
  /** All of them. */
  remove(): Promise<void>
}

/** Nothing is measured by how often it may be asked. */
const UNLIMITED = { FLOW_RATE_LIMIT_PER_MINUTE: '100000000', FLOW_SIGN_IN_LIMIT_PER_MINUTE: '100000000' }

export function replicasOn(DATABASE_URL: string): Replicas {
  const FLOW_MASTER_KEY = randomBytes(32).toString('base64')
  const servers: RunningServer[] = []
  const api_key = () => {
    // The first start prints it, once.
    const [, key] = /API key\s+(\S+)/.exec(servers[0]?.output() ?? '') ?? []
    if (!key) throw new Error('the first start has printed no key: its database was not empty')
    return key
  }
  return {
    async start() {
      const server = await startServer({ DATABASE_URL, FLOW_MASTER_KEY, FLOW_SANDBOX_WORKERS: '2', ...UNLIMITED })
      servers.push(server)
      return server
    },
    api_key,
    client: ({ url }) => new PlatformClient({ base_url: url, auth_token: api_key() }),
    remove: async () => void (await Promise.all(servers.map((server) => server.remove()))),
  }
}
