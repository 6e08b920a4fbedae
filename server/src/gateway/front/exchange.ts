/** One request and the way back to whoever sent it, whichever door it came through: a socket of Node's server, or a
 *  `Request` in the process. Whatever is written here is on its way to the client; nothing here decides. */

import type { Inside } from '../../asking.ts'

export type Asked = {
  method: string
  /** Below `/api/v1/gateway/v1`, decoded: `/chat/completions`. */
  path: string
  /** Behind the question mark, as it came. */
  query: string
  /** In lower case. */
  headers: Record<string, string | undefined>
  body: Buffer
  /** Made here: of the call, if it becomes one. */
  id: string
  /** As the client has named it; else the id. */
  request_id: string
  /** The caller's. */
  address: string
  /** When it came in, by `performance.now()`. */
  began: number
  /** What made it, where that is code that Flow runs. */
  inside?: Pick<Inside, 'trace' | 'hide'> | undefined
}

export type Headers = Record<string, string>

export type Reply = {
  /** The whole answer. */
  send(status: number, headers: Headers, body: string | Buffer): void
  /** The head of a stream, with what is there of it. */
  begin(status: number, headers: Headers, first: string | Buffer): void
  /** More of the stream. False: the client is slower than we are; wait for `drained`. */
  write(piece: string | Buffer): boolean
  end(): void
  /** Whom it tells from now on; at once, when the client has gone already. */
  tells(whom: Answerer): void
  /** The client has gone before its answer was complete. */
  readonly isGone: boolean
}

export type Answerer = {
  /** The client takes more again. */
  drained(): void
  /** The client has gone before its answer was complete. */
  gone(): void
}
