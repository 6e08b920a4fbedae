import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TooLarge } from './fault.ts'
import { jsonText, Room } from './size.ts'

const values: unknown[] = [
  null,
  true,
  false,
  0,
  -1.5e300,
  '',
  'plain',
  'a "quote", a \\, a \n, a \u0001',
  'über 漢字 😀',
  'lone \ud800',
  [],
  {},
  [1, [2, {}], 'x'],
  { a: 1, 'b"': [null, { c: 'd' }], '': '' },
]

test('what is counted is the length of the JSON, to the character', () => {
  for (const value of values) {
    const { length } = JSON.stringify(value)
    assert.equal(jsonText(value, length), JSON.stringify(value))
    assert.throws(() => jsonText(value, length - 1), TooLarge, JSON.stringify(value))
  }
})

test('a value counts in each place where it stands', () => {
  const value = 'x'.repeat(100)
  assert.throws(() => jsonText([value, value], 205), TooLarge)
  assert.equal(jsonText([value, value], 207).length, 207)
})

test('nothing is looked at when there is no more room', () => {
  const beyond = {
    get field(): string {
      throw new Error('it was looked at')
    },
  }
  assert.throws(() => new Room(50).takeJson(['x'.repeat(60), beyond]), TooLarge)
})
