/** What is personal data, what only looks like it, and that it is found wherever a text is cut. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PiiKind } from '@flow/contract/gateway-routes'
import { SPAN_MAX } from '../../expressions/expressions.ts'
import { piiIn } from './pii.ts'
import { PiiReader } from './pii-reader.ts'

const all = new Set(PiiKind.options)

function foundIn(pieces: string[]): string[] {
  const reader = new PiiReader(all)
  const spans = [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()]
  assert.equal(spans.map(({ text }) => text).join(''), pieces.join(''))
  return spans.flatMap(({ text, kind }) => (kind === null ? [] : [`${kind}: ${text}`]))
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
  const reader = new PiiReader(all)
  const told = (text: string) => reader.push(text).map((span) => span.text)
  assert.deepEqual(told('Hello my '), ['Hello ', 'my '])
  assert.deepEqual(told('friend, call +49 30'), ['friend,', ' ', 'call '])
  assert.deepEqual(told(' 1234567 now'), [])
  assert.deepEqual(told(' or never'), ['+49 30 1234567', ' now ', 'or '])
  for (const piece of ['x', '1 ', '4111 1111 1111 1111 ', 'sk-', '+1 ']) {
    const long = new PiiReader(all)
    let held = 0
    for (let i = 0; i < 5_000; i += 1) {
      held += piece.length
      for (const { text } of long.push(piece)) held -= text.length
      assert.ok(held < SPAN_MAX, piece)
    }
  }
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
  const digits = ['+1234567890'.padEnd(1_000, '1'), '+49 (0)'.repeat(150), '1234 '.repeat(200), '+1 2'.repeat(250)]
  for (const text of digits) for (let i = 0; i < 50; i += 1) piiIn(text, all)
})

test('what is found has other numbers and marks around it', () => {
  const card = '4111 1111 1111 1111'
  const examples: [string, string[]][] = [
    [`valid until 2027 ${card}`, [`credit_card: ${card}`]],
    [`order 1234 ${card} thanks`, [`credit_card: ${card}`]],
    [`${card} 123`, [`credit_card: ${card}`]],
    [`${card} 12/27 123`, [`credit_card: ${card}`]],
    [`1 2 3 ${card} 4242 4242 4242 4242`, [`credit_card: ${card}`, 'credit_card: 4242 4242 4242 4242']],
    ['2027 3782 822463 10005 2028', ['credit_card: 3782 822463 10005']],
    ['4111-1111-1111-1111-2027', ['credit_card: 4111-1111-1111-1111']],
    ['call +49 30 12345678 2024-05-01 please', ['phone: +49 30 12345678']],
    ['call +1 415 555 2671 4711 2023 or', ['phone: +1 415 555 2671']],
    ['+49 (0)30 1234567', ['phone: +49 (0)30 1234567']],
    ['...+44 20 7183 8750...', ['phone: +44 20 7183 8750']],
    ['2024 415-555-2671 2025', ['phone: 415-555-2671']],
    ['write to john@example.com--he knows', ['email: john@example.com']],
    ['john@example.com-', ['email: john@example.com']],
    ['john@my-example.com-pany.net', ['email: john@my-example.com-pany.net']],
    ['...john@example.com', ['email: john@example.com']],
    ['1234 219-09-9999-', ['us_ssn: 219-09-9999']],
    ['Tel.:+49 30 1234567, card:4111 1111 1111 1111', ['phone: +49 30 1234567', `credit_card: ${card}`]],
    ['it is ...10.0.0.1', ['ip_address: 10.0.0.1']],
    ['2001:db8::1: down', ['ip_address: 2001:db8::1']],
  ]
  for (const [text, expected] of examples) {
    assert.deepEqual(foundIn([text]), expected, text)
    assert.deepEqual(foundIn(text.split('')), expected, text)
  }
})

test('in a row that never ends all of it is found, wherever it is cut', () => {
  const rows = real.flatMap(([kind, examples]) =>
    examples.map((example): [string, string, string] => [kind, example, ' ']),
  )
  rows.push(['email', 'john.smith@example.com', '/'], ['api_key', `sk-${'aB3'.repeat(230)}`, '/'])
  for (const [kind, example, between] of rows) {
    for (const before of ['', '7 ', 'x/x/', '1 2 3 4 5 6 7 8 9 ']) {
      const text = before + Array.from({ length: 130 }, () => example).join(between)
      const expected = Array.from({ length: 130 }, () => `${kind}: ${example}`)
      assert.deepEqual(foundIn([text]), expected, `${before}${example}`)
      assert.deepEqual(foundIn(text.match(/.{1,61}/gs) ?? []), expected, `${before}${example}`)
    }
  }
})
