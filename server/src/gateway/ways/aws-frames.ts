/** Amazon's event streams (`application/vnd.amazon.eventstream`), out of a socket in any pieces. A frame is: its length
 *  and that of its headers, a checksum of both (4 bytes each), headers, the payload, and a checksum of all before it.
 *  https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html */

import { crc32 } from 'node:zlib'
import type { StreamPiece } from '../providers/provider.ts'

const PRELUDE = 12
const CHECKSUM = 4
const FRAME_MAX = 24 * 1024 * 1024
const TEXT = 7

export class BadFrame extends Error {}

export class FrameReader {
  #rest: Buffer = Buffer.alloc(0)

  /** What the frames that are complete say: the event is its type, or that of its exception. */
  push(chunk: Buffer): StreamPiece[] {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const pieces: StreamPiece[] = []
    while (bytes.length >= PRELUDE) {
      const length = bytes.readUInt32BE(0)
      if (crc32(bytes.subarray(0, 8)) !== bytes.readUInt32BE(8) || length > FRAME_MAX || length < PRELUDE + CHECKSUM) {
        throw new BadFrame('A frame of the stream does not begin like one.')
      }
      if (bytes.length < length) break
      pieces.push(readFrame(bytes.subarray(0, length)))
      bytes = bytes.subarray(length)
    }
    this.#rest = bytes
    return pieces
  }

  get isWhole(): boolean {
    return this.#rest.length === 0
  }
}

function readFrame(frame: Buffer): StreamPiece {
  const end = frame.length - CHECKSUM
  if (crc32(frame.subarray(0, end)) !== frame.readUInt32BE(end)) {
    throw new BadFrame('A frame of the stream has the wrong checksum.')
  }
  const headers_end = PRELUDE + frame.readUInt32BE(4)
  const headers = readHeaders(frame.subarray(PRELUDE, headers_end))
  const event = headers.get(':exception-type') ?? headers.get(':error-code') ?? headers.get(':event-type') ?? null
  return { event, data: frame.toString('utf8', headers_end, end) }
}

/** Those that are text; the others are passed over by their length. */
function readHeaders(bytes: Buffer): Map<string, string> {
  const headers = new Map<string, string>()
  for (let at = 0; at < bytes.length; ) {
    const name_end = at + 1 + bytes.readUInt8(at)
    const name = bytes.toString('utf8', at + 1, name_end)
    const type = bytes.readUInt8(name_end)
    const isSized = type === TEXT || type === 6
    const start = name_end + (isSized ? 3 : 1)
    const length = isSized ? bytes.readUInt16BE(name_end + 1) : (fixed[type] ?? 0)
    if (type === TEXT) headers.set(name, bytes.toString('utf8', start, start + length))
    at = start + length
  }
  return headers
}

/** True, false, byte, short, integer, long; then bytes and text, which tell theirs; timestamp, UUID. */
const fixed = [0, 0, 1, 2, 4, 8, 0, 0, 8, 16]
