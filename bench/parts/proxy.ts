/** The least that a proxy costs in Node: `node:http` in, undici out, and nothing looked at. A process of its own, which is
 *  told the provider's port and tells its own to whoever forked it. */

import { createServer, type ServerResponse } from 'node:http'
import { Pool } from 'undici'

const pool = new Pool(`http://127.0.0.1:${process.argv[2]}`, { connections: 1024 })

function forward(path: string, body: Buffer, response: ServerResponse): void {
  const pieces: Buffer[] = []
  let isWhole = false
  const headers = { 'content-type': 'application/json' }
  pool.dispatch(
    { path, method: 'POST', headers, body, headersTimeout: 0, bodyTimeout: 0 },
    {
      onRequestStart() {},
      onResponseStart(_controller, status, answered) {
        isWhole = answered['content-length'] !== undefined
        const told = { 'content-type': String(answered['content-type']) }
        response.writeHead(status, isWhole ? { ...told, 'content-length': String(answered['content-length']) } : told)
      },
      onResponseData(_controller, piece) {
        if (isWhole) pieces.push(piece)
        else response.write(piece)
      },
      onResponseEnd: () => void response.end(isWhole ? Buffer.concat(pieces) : undefined),
      onResponseError: () => void response.destroy(),
    },
  )
}

const server = createServer({ noDelay: true }, (request, response) => {
  const pieces: Buffer[] = []
  request.on('data', (piece: Buffer) => pieces.push(piece))
  request.on('end', () => forward(request.url ?? '/', Buffer.concat(pieces), response))
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  process.send?.(typeof address === 'object' ? address?.port : 0)
})
process.on('disconnect', () => process.exit(0))
