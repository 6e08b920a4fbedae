/** The socket, asked as no decent client would. */

import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Hono } from 'hono'
import { listen } from './listen.ts'

async function opened(t: TestContext) {
  const app = new Hono()
    .get('/', (c) => c.text('hello'))
    .get('/slow', async (c) => {
      await new Promise((go) => setTimeout(go, 300))
      return c.text('done')
    })
  const listening = await listen(app, '127.0.0.1', 0)
  t.after(() => listening.close(0))
  return listening
}

/** Writes raw bytes and reads until the server closes. */
const say = (port: number, text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    let answer = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })

test('a request with two hosts is refused', async (t) => {
  const { port } = await opened(t)

  const answer = await say(port, 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n')

  assert.match(answer, /^HTTP\/1\.1 400 /)
})

test('a transfer encoding that proxies read differently is refused', async (t) => {
  const { port } = await opened(t)

  const answer = await say(
    port,
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\nConnection: close\r\n\r\n',
  )

  assert.match(answer, /^HTTP\/1\.1 400 /)
})

test('a length and a transfer encoding at once are refused', async (t) => {
  const { port } = await opened(t)

  const answer = await say(
    port,
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  )

  assert.match(answer, /^HTTP\/1\.1 400 /)
})

test('a caller who never finishes its headers is let go', async (t) => {
  const { port } = await opened(t)

  const answer = await say(port, 'GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ')

  assert.match(answer, /^HTTP\/1\.1 408 /)
})

test('closing lets an answer that has begun finish, and takes nothing new', async (t) => {
  const { port, close } = await opened(t)
  const slow = fetch(`http://127.0.0.1:${port}/slow`)
  await new Promise((go) => setTimeout(go, 100))

  const closed = close(5000)

  assert.equal(await (await slow).text(), 'done')
  await closed
  await assert.rejects(fetch(`http://127.0.0.1:${port}/`))
})

test('an answer that takes longer than the deadline is cut', async (t) => {
  const { port, close } = await opened(t)
  const slow = fetch(`http://127.0.0.1:${port}/slow`)
  await new Promise((go) => setTimeout(go, 100))

  await close(20)

  await assert.rejects(slow)
})
