/** What is personal data, what only looks like it, and that it is found wherever a text is cut. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PiiKind } from '@flow/contract/gateway-routes'
import { SPAN_MAX } from '../../expressions/expressions.ts'
import { piiIn } from './pii.ts'
import { Segments } from './segments.ts'

const all = new Set(PiiKind.options)

function foundIn(pieces: string[]): string[] {
  const segments = new Segments()
  const cut = [...pieces.flatMap((piece) => segments.push(piece)), segments.end()]
  assert.equal(cut.join(''), pieces.join(''))
  return cut.flatMap((text) => piiIn(text, all).map(({ start, end, kind }) => `${kind}: ${text.slice(start, end)}`))
}

const real: [PiiKind, string[]][] = [
  ['email', ['bob@example.com', 'first.last+tag@mail.example.co.uk', 'jürgen@example.de']],
  ['phone', ['+49 30 1234567', '+1-415-555-2671', '(415) 555-2671', '415.555.2671', '+442071838750']],
  [
    'credit_card',
    ['4111111111111111', '4111 1111 1111 1111', '5555-5555-5555-4444', '3782 822463 10005', '6011111111111117'],
  ],
  [
    'iban',
    ['DE89370400440532013000', 'DE89 3704 0044 0532 0130 00', 'GB29 NWBK 6016 1331 9268 19', 'NO93 8601 1117 947'],
  ],
  ['us_ssn', ['123-45-6789', '123 45 6789']],
  ['ip_address', ['192.168.10.7', '2001:db8::ff00:42:8329', 'fe80::1ff:fe23:4567:890a', '::ffff:10.1.2.3']],
  [
    'api_key',
    [
      `sk-proj-${'aB3'.repeat(10)}`,
      `sk-ant-api03-${'x1Y'.repeat(12)}`,
      `ghp_${'a1B2'.repeat(9)}`,
      'AKIAIOSFODNN7EXAMPLE',
      `fl_${'q7'.repeat(16)}`,
    ],
  ],
]

test('each kind is found, among words and marks', () => {
  for (const [kind, examples] of real) {
    for (const example of examples) {
      for (const around of ['$', 'It is $.', 'take $, please', '"$"', 'x: $\ny', '<$>', '请看$吧', 'A 12 $ B 7']) {
        // A number before a number is another number.
        if (around.includes('12 $') && /^[\d(]/.test(example)) continue
        assert.deepEqual(foundIn([around.replace('$', example)]), [`${kind}: ${example}`], around)
      }
    }
  }
})

test('what has no right checksum, or cannot be given out, is left alone', () => {
  const none = [
    '4111111111111112',
    '1234 5678 9012 3456',
    '0000 0000 0000 0000',
    'order 41111111111111111111',
    'DE89370400440532013001',
    'DE8937040044053201300',
    '000-12-3456',
    '666-12-3456',
    '912-34-5678',
    '123-00-4567',
    '999.1.1.1',
    'v1.2.3.4',
    '1.2.3.4.5',
    'std::vector<abc::def>',
    '12:34:56',
    '2026-11-30 10:20:30',
    'sk-short',
    'user@localhost',
    '3.14159265358979323846',
    'sum of 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17',
    '550e8400-e29b-41d4-a716-446655440000',
    'the year 1999 2000 2001',
    'a@b',
  ]
  for (const text of none) assert.deepEqual(foundIn([text]), [], text)
})

test('the same is found wherever a text is cut', () => {
  const text = real.map(([kind, examples]) => `${kind} is ${examples.join(' or ')};`).join(' ')
  const expected = foundIn([text])
  assert.equal(expected.length, real.flatMap(([, examples]) => examples).length)
  for (let cut = 0; cut <= text.length; cut += 1) {
    assert.deepEqual(foundIn([text.slice(0, cut), text.slice(cut)]), expected, `cut at ${cut}`)
  }
  assert.deepEqual(foundIn(text.split('')), expected)
})

test('words go on at once, and nothing is held beyond the bound', () => {
  const segments = new Segments()
  assert.deepEqual(segments.push('Hello my '), ['Hello ', 'my '])
  assert.deepEqual(segments.push('friend, call +49 30'), ['friend,', ' ', 'call '])
  assert.deepEqual(segments.push(' 1234567 now'), [])
  assert.deepEqual(segments.push(' or never'), ['+49 30 1234567 now ', 'or '])
  const long = new Segments()
  const pieces = Array.from({ length: 5_000 }, () => long.push('x')).flat()
  assert.deepEqual([...new Set(pieces.map(({ length }) => length))], [SPAN_MAX])
})

test('texts made to be slow are not', () => {
  const evil = [
    'a.'.repeat(500),
    '1 '.repeat(500),
    `${'a-'.repeat(400)}@`,
    `x@${'a.'.repeat(500)}`,
    '+1'.repeat(500),
    ':'.repeat(1000),
  ]
  for (const text of evil) for (let i = 0; i < 50; i += 1) piiIn(text, all)
})
