/** Server-sent events as they come out of a socket: in any pieces, with a cut in the middle of a character, of a line
 *  end or of a field. Two readers: one only finds where events end, for streams that pass through as they are; the
 *  other reads them (https://html.spec.whatwg.org/multipage/server-sent-events.html), for streams that are translated.
 *
 *  Bytes are cut at line ends, which are never part of a longer UTF-8 character; so what is decoded is always whole. */

import { isUtf8 } from 'node:buffer'
import type { StreamPiece } from '../providers/provider.ts'

const LF = 0x0a
const CR = 0x0d
const EMPTY = Buffer.alloc(0)
/** More than this without an end is no event. */
export const EVENT_BYTES_MAX = 16 * 1024 * 1024

export class EventTooLong extends Error {
  constructor() {
    super(`An event of the stream has more than ${EVENT_BYTES_MAX} bytes.`)
  }
}

/** What has begun and not ended. A long line that comes in many pieces is put together once. */
class Rest {
  #pieces: Buffer[] = []
  length = 0

  /** Everything up to the end of the chunk, or undefined when the chunk ends no line. */
  with(chunk: Buffer): Buffer | undefined {
    if (this.length === 0) return chunk
    this.#add(chunk)
    if (chunk.indexOf(LF) < 0 && chunk.indexOf(CR) < 0) return undefined
    return this.all
  }

  get all(): Buffer {
    const [only = EMPTY] = this.#pieces
    return this.#pieces.length === 1 ? only : Buffer.concat(this.#pieces)
  }

  keep(bytes: Buffer) {
    this.#pieces = []
    this.length = 0
    if (bytes.length > 0) this.#add(bytes)
  }

  #add(bytes: Buffer) {
    this.#pieces.push(bytes)
    this.length += bytes.length
    if (this.length > EVENT_BYTES_MAX) throw new EventTooLong()
  }
}

/** Gives whole events, byte for byte, and keeps what has begun. */
export class EventCutter {
  #rest = new Rest()

  /** The events that are complete with this chunk, together; empty when none is. */
  push(chunk: Buffer): Buffer {
    const all = this.#rest.with(chunk)
    if (!all) return EMPTY
    const end = endOfEvents(all)
    if (end === all.length) {
      this.#rest.keep(EMPTY)
      return all
    }
    this.#rest.keep(all.subarray(end))
    return all.subarray(0, end)
  }

  /** What has begun and is not complete. */
  get rest(): Buffer {
    return this.#rest.all
  }
}

/** Behind the last empty line. */
function endOfEvents(bytes: Buffer): number {
  const { length } = bytes
  if (length >= 2 && bytes[length - 1] === LF && bytes[length - 2] === LF) return length
  const lines = bytes.lastIndexOf('\n\n')
  const crlf = bytes.lastIndexOf('\n\r\n')
  const cr = bytes.lastIndexOf('\r\r')
  return Math.max(lines < 0 ? 0 : lines + 2, crlf < 0 ? 0 : crlf + 3, cr < 0 ? 0 : cr + 2)
}

/** Reads events. Comments and fields that mean nothing here are passed over; an event without data is none. */
export class EventReader {
  #rest = new Rest()
  /** A line ended in CR at the end of a chunk: an LF that follows belongs to it. */
  #skipsLf = false
  #isFirstLine = true
  #event: string | null = null
  #data: string[] = []
  #length = 0

  push(chunk: Buffer): StreamPiece[] {
    let bytes = chunk
    if (this.#skipsLf && bytes.length > 0) {
      this.#skipsLf = false
      if (bytes[0] === LF) bytes = bytes.subarray(1)
    }
    const seen = this.#rest.length
    const all = this.#rest.with(bytes)
    if (!all) return []
    const pieces: StreamPiece[] = []
    let start = 0
    for (let at = seen; at < all.length; at += 1) {
      if (all[at] !== LF && all[at] !== CR) continue
      this.#line(textOf(all.subarray(start, at)), pieces)
      if (all[at] === CR) {
        if (at + 1 === all.length) this.#skipsLf = true
        if (all[at + 1] === LF) at += 1
      }
      start = at + 1
    }
    this.#rest.keep(all.subarray(start))
    if (this.#length > EVENT_BYTES_MAX) throw new EventTooLong()
    return pieces
  }

  /** Whether the stream may end here: nothing has begun that is not complete. */
  get isWhole(): boolean {
    return this.#rest.length === 0 && this.#data.length === 0
  }

  #line(text: string, pieces: StreamPiece[]) {
    const line = this.#isFirstLine ? text.replace(/^\ufeff/, '') : text
    this.#isFirstLine = false
    if (line === '') return this.#dispatch(pieces)
    const colon = line.indexOf(':')
    if (colon === 0) return
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'event') this.#event = value
    if (field !== 'data') return
    this.#data.push(value)
    this.#length += value.length
  }

  #dispatch(pieces: StreamPiece[]) {
    const [only = ''] = this.#data
    if (this.#data.length > 0) {
      pieces.push({ event: this.#event, data: this.#data.length === 1 ? only : this.#data.join('\n') })
    }
    this.#event = null
    this.#data = []
    this.#length = 0
  }
}

/** What is no UTF-8 is no JSON either, as whoever reads the event will say. */
const textOf = (line: Buffer): string => (isUtf8(line) ? line.toString() : 'data: \ufffd')

/** The events of bytes that hold whole ones, each with its empty line. */
export function eventsOf(bytes: Buffer): Buffer[] {
  const events: Buffer[] = []
  let start = 0
  while (start < bytes.length) {
    const end = endOfEvent(bytes, start)
    events.push(bytes.subarray(start, end))
    start = end
  }
  return events
}

/** Behind the next empty line. */
function endOfEvent(bytes: Buffer, from: number): number {
  let line = from
  for (let at = from; at < bytes.length; at += 1) {
    if (bytes[at] !== LF && bytes[at] !== CR) continue
    const isEmpty = at === line
    if (bytes[at] === CR && bytes[at + 1] === LF) at += 1
    line = at + 1
    if (isEmpty) return line
  }
  return bytes.length
}
