import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { BadFrame, FrameReader } from './aws-frames.ts'

function header(name: string, type: number, value: Buffer): Buffer {
  const size = Buffer.alloc(type === 7 ? 2 : 0)
  if (type === 7) size.writeUInt16BE(value.length)
  return Buffer.concat([Buffer.from([name.length]), Buffer.from(name), Buffer.from([type]), size, value])
}

function frame(headers: Buffer[], payload: string): Buffer {
  const head = Buffer.concat(headers)
  const body = Buffer.from(payload)
  const prelude = Buffer.alloc(12)
  prelude.writeUInt32BE(16 + head.length + body.length, 0)
  prelude.writeUInt32BE(head.length, 4)
  prelude.writeUInt32BE(crc32(prelude.subarray(0, 8)), 8)
  const all = Buffer.concat([prelude, head, body])
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(all))
  return Buffer.concat([all, sum])
}

const text = (name: string, value: string) => header(name, 7, Buffer.from(value))
const stream = Buffer.concat([
  frame([text(':message-type', 'event'), text(':event-type', 'contentBlockDelta')], '{"text":"naïve 😀"}'),
  frame([header('flag', 0, Buffer.alloc(0)), header('n', 4, Buffer.alloc(4)), text(':event-type', 'stop')], ''),
  frame([text(':message-type', 'exception'), text(':exception-type', 'throttlingException')], '{"message":"slow"}'),
])
const expected = [
  { event: 'contentBlockDelta', data: '{"text":"naïve 😀"}' },
  { event: 'stop', data: '' },
  { event: 'throttlingException', data: '{"message":"slow"}' },
]

test('frames are read the same wherever the stream is cut', () => {
  for (let cut = 0; cut <= stream.length; cut += 1) {
    const reader = new FrameReader()
    const pieces = [...reader.push(stream.subarray(0, cut)), ...reader.push(stream.subarray(cut))]
    assert.deepEqual(pieces, expected, `cut at ${cut}`)
    assert.equal(reader.isWhole, true)
  }
})

test('a frame with a wrong bit is refused', () => {
  for (const at of [3, 9, 20, 60]) {
    const wrong = Buffer.from(stream)
    wrong[at] = (wrong[at] ?? 0) ^ 1
    assert.throws(() => new FrameReader().push(wrong), BadFrame, `at ${at}`)
  }
})

test('a stream that ends within a frame is not whole', () => {
  const reader = new FrameReader()
  reader.push(stream.subarray(0, -1))
  assert.equal(reader.isWhole, false)
})
