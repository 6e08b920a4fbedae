/** The socket: Node's HTTP server with bounds that slow or crooked clients can't stretch, and a close that lets
 *  answers finish. A port is taken before there is anything behind it; until then, who asks is told to come again. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'
import type { Registry } from 'prom-client'
import { BadConfig } from '../config.ts'
import { newId } from '../context.ts'

export type Listening = { port: number; close(deadline_ms: number): Promise<void> }

/** Answers what is below its prefix straight from the socket, without the framework. */
export type Direct = { prefix: string; answer(request: IncomingMessage, response: ServerResponse): void }
type App = Pick<Hono, 'fetch'> & { direct?: Direct | undefined }
export type Entrance = App & {
  /** From now on it is this app that answers. */
  open(app: App): void
}

/** What listens while the rest is being opened. */
export function createEntrance(): Entrance {
  let app: App | undefined
  return {
    fetch: (...asked) => app?.fetch(...asked) ?? starting(),
    get direct() {
      return app?.direct
    },
    open: (opened) => {
      app = opened
    },
  }
}

function starting(): Response {
  const problem = { code: 'UNAVAILABLE', message: 'Flow is starting.', details: [], request_id: newId() }
  return Response.json(problem, { status: 503, headers: { 'retry-after': '1', 'cache-control': 'no-store' } })
}

/** Throws `BadConfig` when the port can't be had. */
export async function listen(app: App, host: string, port: number): Promise<Listening> {
  const answer = getRequestListener(app.fetch)
  const server = createServer(
    {
      headersTimeout: 3_000,
      requestTimeout: 60_000,
      connectionsCheckingInterval: 1_000,
      // Longer than the proxies in front keep theirs (60 s is usual): whoever closes first must not be us.
      keepAliveTimeout: 75_000,
      noDelay: true,
    },
    (request, response) => {
      const crooked = crookedness(request)
      if (crooked) return refuse(response, crooked)
      const { direct } = app
      if (direct && isBelow(direct.prefix, request.url)) return direct.answer(request, response)
      return answer(request, response)
    },
  )
  return opened(server, host, port, 'PORT')
}

const isBelow = (prefix: string, url = '') => url.startsWith(prefix) && url.charCodeAt(prefix.length) === 0x2f

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
    'FLOW_METRICS_PORT',
  )

async function opened(server: Server, host: string, port: number, setting: string): Promise<Listening> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(refused(error, host, port, setting)))
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

function refused(error: NodeJS.ErrnoException, host: string, port: number, setting: string): Error {
  const { code = '' } = error
  if (code === 'EADDRINUSE') {
    return new BadConfig(
      `${setting}: the port ${port} of ${host} is in use by another program, perhaps another Flow. Stop that one, or ` +
        `set ${setting} to another port.`,
    )
  }
  if (code === 'EACCES') {
    return new BadConfig(
      `${setting}: this user may not listen on the port ${port}. Set ${setting} to one above 1023, or start Flow as a ` +
        'user who may.',
    )
  }
  if (!['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'ENOTFOUND', 'EAI_AGAIN', 'EINVAL'].includes(code)) return error
  return new BadConfig(
    `FLOW_HOST: this machine has no address "${host}". Set FLOW_HOST to one of its own: 127.0.0.1 for callers on this ` +
      'machine only, 0.0.0.0 for all.',
  )
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
