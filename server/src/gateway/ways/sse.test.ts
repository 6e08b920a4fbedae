/** Every stream here is cut in every possible place. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EVENT_BYTES_MAX, EventCutter, EventReader, EventTooLong } from './sse.ts'

const text =
  'data: {"a":"naïve 😀"}\n\n: a comment\n\nevent: named\ndata: one\ndata:two\nid: 7\n\ndata\n\nevent: lonely\n\ndata: end\n\n'
const expected = [
  { event: null, data: '{"a":"naïve 😀"}' },
  { event: 'named', data: 'one\ntwo' },
  { event: null, data: '' },
  { event: null, data: 'end' },
]

const ends = { LF: '\n', CRLF: '\r\n', CR: '\r' }

for (const [name, end] of Object.entries(ends)) {
  const bytes = Buffer.from(text.replaceAll('\n', end))

  test(`events whose lines end in ${name} are read the same wherever the stream is cut`, () => {
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const reader = new EventReader()
      const pieces = [...reader.push(bytes.subarray(0, cut)), ...reader.push(bytes.subarray(cut))]
      assert.deepEqual(pieces, expected, `cut at ${cut}`)
      assert.equal(reader.isWhole, true)
    }
  })

  test(`events whose lines end in ${name} are read the same byte by byte`, () => {
    const reader = new EventReader()
    const pieces = [...bytes].flatMap((byte) => reader.push(Buffer.from([byte])))
    assert.deepEqual(pieces, expected)
  })

  test(`what passes through with lines that end in ${name} is whole events and every byte`, () => {
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const cutter = new EventCutter()
      const first = cutter.push(bytes.subarray(0, cut))
      const second = cutter.push(bytes.subarray(cut))
      assert.deepEqual(Buffer.concat([first, second]), bytes, `cut at ${cut}`)
      const reader = new EventReader()
      reader.push(first)
      assert.equal(reader.isWhole, true, `cut at ${cut}`)
      assert.equal(cutter.rest.length, 0)
    }
  })
}

test('a stream that ends within an event is not whole', () => {
  const reader = new EventReader()
  assert.deepEqual(reader.push(Buffer.from('data: one\n\ndata: tw')), [{ event: null, data: 'one' }])
  assert.equal(reader.isWhole, false)

  const cutter = new EventCutter()
  assert.equal(cutter.push(Buffer.from('data: one\n\ndata: tw')).toString(), 'data: one\n\n')
  assert.ok(cutter.rest.length > 0)
})

test('a mark of the byte order at the beginning belongs to no field', () => {
  assert.deepEqual(new EventReader().push(Buffer.from('\ufeffdata: x\n\n')), [{ event: null, data: 'x' }])
})

test('what never ends is no event', () => {
  const piece = Buffer.alloc(EVENT_BYTES_MAX / 2, 'x')
  for (const reader of [new EventReader(), new EventCutter()]) {
    assert.throws(() => {
      for (let i = 0; i < 3; i += 1) reader.push(piece)
    }, EventTooLong)
  }
})
