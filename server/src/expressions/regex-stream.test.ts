/** Patterns in texts that come piece by piece. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RE2JS } from 're2js'
import { Budget } from './fault.ts'
import { SPAN_MAX, streamPatternOf } from './regex-stream.ts'

const matchesOf = (sources: string[], pieces: string[]) => {
  const reader = streamPatternOf(sources).reader(new Budget(50_000_000))
  const spans = [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()]
  assert.equal(spans.map(({ text }) => text).join(''), pieces.join(''))
  return spans.filter(({ is_match }) => is_match).map(({ text }) => text)
}

/** As RE2JS itself finds them. */
function found(source: string, text: string): string[] {
  const matcher = RE2JS.compile(source).matcher(text)
  const all: string[] = []
  while (matcher.find()) if (matcher.group() !== '') all.push(matcher.group() ?? '')
  return all
}

const sources = [
  'secret',
  '(?i)Straße|KEY',
  '\\bcat\\b',
  '^a+',
  'b+$',
  '(?m)^x.*$',
  'a.*?b',
  'a.*b',
  '(a|ab)(c|bcd)?',
  '[0-9]{3,5}',
  '\\Bat\\b',
  '[^a-z ]+',
  'é|😀+',
  '(a+)+b',
  'x(yz)*',
  'ab*c|b',
  'xa*yz|(ab?)+d',
]
const letters = ['a', 'b', 'c', 'd', 'at', 'cat', ' ', '\n', 'x', 'yz', '1', '22', 'é', '😀', 'secret', 'key', 'straße']

/** The same numbers with each run. */
function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

test('in pieces the same is found as in the whole, and as RE2JS finds', () => {
  const draw = chance(11)
  for (let round = 0; round < 3_000; round += 1) {
    const text = Array.from(
      { length: Math.floor(draw() * 14) },
      () => letters[Math.floor(draw() * letters.length)],
    ).join('')
    const source = sources[round % sources.length] ?? ''
    const cut = Math.floor(draw() * (text.length + 1))
    const other = cut + Math.floor(draw() * (text.length - cut + 1))
    const expected = found(source, text)
    const about = JSON.stringify({ source, text, cut, other })
    assert.deepEqual(matchesOf([source], [text]), expected, about)
    assert.deepEqual(
      matchesOf([source], [text.slice(0, cut), text.slice(cut, other), text.slice(other)]),
      expected,
      about,
    )
    assert.deepEqual(matchesOf([source], text.split('')), expected, about)
  }
})

test('text goes on as soon as no match can', () => {
  const reader = streamPatternOf(['secret-\\d+']).reader(new Budget(50_000_000))
  assert.deepEqual(reader.push('all of this '), [{ text: 'all of this ', is_match: false }])
  assert.deepEqual(reader.push('is se'), [{ text: 'is ', is_match: false }])
  assert.deepEqual(reader.push('cure'), [{ text: 'secure', is_match: false }])
  assert.deepEqual(reader.push(' secret-1'), [{ text: ' ', is_match: false }])
  assert.deepEqual(reader.push('2.'), [
    { text: 'secret-12', is_match: true },
    { text: '.', is_match: false },
  ])
})

test('what is held back never grows beyond its bound, and a match that is longer is none', () => {
  const reader = streamPatternOf(['a[^z]*z']).reader(new Budget(50_000_000))
  let given = 0
  let told = 0
  for (let i = 0; i < 5_000; i += 1) {
    given += 1
    for (const { text } of reader.push(i === 0 ? 'a' : '-')) told += text.length
    assert.ok(given - told <= SPAN_MAX + 1)
  }
  assert.deepEqual(matchesOf(['a[^z]*z'], [`a${'-'.repeat(2_000)}z`]), [])
  assert.deepEqual(matchesOf(['a[^z]*z'], [`a${'-'.repeat(1_000)}z`])[0]?.length, 1_002)
})

test('a match is found though what began before it is too long for one', () => {
  const long = 'x'.repeat(1_010)
  assert.deepEqual(matchesOf(['BEGIN[^;]*END'], [`"BEGIN${long} BEGIN secret END`]), ['BEGIN secret END'])
  assert.deepEqual(matchesOf(['BEGIN[^;]*END'], [`BEGIN${'x'.repeat(2_000)} BEGIN a BEGIN b END.`]), [
    'BEGIN a BEGIN b END',
  ])
  // The leftmost that is short enough, and as long as it is elsewhere.
  assert.deepEqual(matchesOf(['[bc][^;]*\\d+'], [`b${long} c${long}xxxxxx c secret 12345;`]), ['c secret 12345'])
  assert.deepEqual(matchesOf(['(a[^;]*b)?(c*)'], [`a${'-'.repeat(1_030)}a-bccc`]), ['a-bccc'])
  assert.deepEqual(matchesOf(['a[^;]*b|c'], [`a${'-'.repeat(1_020)}ca-b`]), ['c', 'a-b'])
  assert.deepEqual(matchesOf(['😀[^;]*\\bb$'], [`😀${'-'.repeat(1_100)}😀 b`]), ['😀 b'])
})

test('no match that is short enough is left in a long text, and in pieces the same are found', () => {
  const draw = chance(7)
  for (let round = 0; round < 60; round += 1) {
    const pick = () =>
      ['BEGIN', 'END', ';', 'x'.repeat(Math.floor(draw() * 700)), 'x'.repeat(500)][Math.floor(draw() * 5)]
    const text = Array.from({ length: 40 }, pick).join('')
    const reader = streamPatternOf(['BEGIN[^;]*END']).reader(new Budget(50_000_000))
    const spans = [...reader.push(text), ...reader.end()]
    for (const { text: span, is_match } of spans) {
      assert.ok(!is_match || /^BEGIN[^;]*END$/.test(span))
      assert.ok(!is_match || span.length <= SPAN_MAX)
      if (is_match) continue
      for (const { index } of span.matchAll(/END/g)) {
        const before = span.slice(0, index)
        const begin = Math.max(before.lastIndexOf('BEGIN'), before.lastIndexOf(';'))
        assert.ok(begin < 0 || before[begin] === ';' || index + 3 - begin > SPAN_MAX, `${round}`)
      }
    }
    const matches = spans.filter(({ is_match }) => is_match).map((span) => span.text)
    assert.deepEqual(matchesOf(['BEGIN[^;]*END'], text.match(/.{1,97}/gs) ?? []), matches)
    assert.deepEqual(matchesOf(['BEGIN[^;]*END'], text.split('')), matches)
  }
})

test('a text that is full of beginnings costs no more than a few steps for each character', () => {
  const text = 'aX-a-'.repeat(20_000)
  const sources = ['a[^;]*Z', '[^;]*Z', 'a.*Z|aX.*Y', '(s.*|aX.{0,900})Z']
  for (const source of sources) {
    const pattern = streamPatternOf([source])
    const reader = pattern.reader(new Budget(text.length * pattern.cost * 6))
    assert.deepEqual(
      [...reader.push(text), ...reader.end()].filter(({ is_match }) => is_match),
      [],
    )
  }
})

test('a pattern that is catastrophic elsewhere is not', () => {
  const text = `${'a'.repeat(200_000)}!`
  assert.deepEqual(matchesOf(['(a+)+$', '(a|aa)+b'], [text]), [])
})

test('what costs more than it may is broken off', () => {
  const reader = streamPatternOf(['([a-z]{0,200}){0,5}x']).reader(new Budget(10_000_000))
  assert.throws(() => reader.push('a'.repeat(1_000_000)), /too costly/)
})

test('a reader that has ended reads another text as if it were its first', () => {
  const draw = chance(5)
  const readers = sources.map((source) => streamPatternOf([source]).reader(new Budget(50_000_000)))
  for (let round = 0; round < 1_000; round += 1) {
    const at = round % sources.length
    const pick = () => letters[Math.floor(draw() * letters.length)]
    const text = Array.from({ length: Math.floor(draw() * 10) }, pick).join('')
    const spans = [...(readers[at]?.push(text) ?? []), ...(readers[at]?.end() ?? [])]
    const matches = spans.filter(({ is_match }) => is_match).map((span) => span.text)
    assert.deepEqual(matches, found(sources[at] ?? '', text), JSON.stringify({ source: sources[at], text }))
  }
})
