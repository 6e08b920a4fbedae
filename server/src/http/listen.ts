/** The socket: Node's HTTP server with bounds that slow or crooked clients can't stretch, and a close that lets
 *  answers finish. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'
import type { Registry } from 'prom-client'
import { newId } from '../context.ts'

export type Listening = { port: number; close(deadline_ms: number): Promise<void> }

export async function listen(app: Hono, host: string, port: number): Promise<Listening> {
  const answer = getRequestListener(app.fetch)
  const server = createServer(
    {
      headersTimeout: 3_000,
      requestTimeout: 60_000,
      connectionsCheckingInterval: 1_000,
      keepAliveTimeout: 5_000,
      noDelay: true,
    },
    (request, response) => {
      const crooked = crookedness(request)
      if (!crooked) return answer(request, response)
      refuse(response, crooked)
    },
  )
  return opened(server, host, port)
}

/** Metrics on a port of their own, for a network that only the operator's machines are in. */
export const listenMetrics = (registry: Registry, host: string, port: number): Promise<Listening> =>
  opened(
    createServer(async (request, response) => {
      if (request.url !== '/metrics') return response.writeHead(404).end()
      const text = await registry.metrics()
      return response.writeHead(200, { 'content-type': registry.contentType }).end(text)
    }),
    host,
    port,
  )

async function opened(server: Server, host: string, port: number): Promise<Listening> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: (deadline_ms) =>
      new Promise((resolve) => {
        const cut = setTimeout(() => server.closeAllConnections(), deadline_ms)
        // A connection whose answer is done would be kept for the next request.
        const idle = setInterval(() => server.closeIdleConnections(), 50)
        server.close(() => {
          clearTimeout(cut)
          clearInterval(idle)
          resolve()
        })
      }),
  }
}

/** Node's parser accepts what proxies read differently: those are the roots of request smuggling. */
function crookedness(request: IncomingMessage): string | undefined {
  let hosts = 0
  for (let i = 0; i < request.rawHeaders.length; i += 2) if (request.rawHeaders[i]?.toLowerCase() === 'host') hosts += 1
  if (hosts > 1) return 'Send one Host header.'
  const encoding = request.headers['transfer-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'chunked') return 'The only transfer encoding is "chunked".'
  return undefined
}

function refuse(response: ServerResponse, message: string): void {
  const body = JSON.stringify({ code: 'BAD_REQUEST', message, details: [], request_id: newId() })
  response.writeHead(400, { 'content-type': 'application/json', connection: 'close' }).end(body)
}
