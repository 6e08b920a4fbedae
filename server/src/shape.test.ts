import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { parseShape } from './shape.ts'

const sentence = (shape: z.ZodType, value: unknown): string | undefined => {
  const [fault] = parseShape(z.object({ it: shape }), { it: value }).faults ?? []
  assert.equal(fault?.field.startsWith('it'), true)
  return fault?.message
}

test('each kind of fault has a sentence that says how to mend it', () => {
  const told: [z.ZodType, unknown, string][] = [
    [z.string(), undefined, 'It is missing.'],
    [z.string(), 3, 'It must be a string, not the number 3.'],
    [z.number(), 'three', 'It must be a number, not a string.'],
    [z.coerce.number(), 'three', 'It must be a number.'],
    [z.int(), 1.5, 'It must be a whole number, not the number 1.5.'],
    [z.boolean(), null, 'It must be true or false, not null.'],
    [z.array(z.string()), {}, 'It must be a list, not an object.'],
    [z.record(z.string(), z.string()), [], 'It must be an object, not a list.'],
    [z.string().max(3), 'four', 'It must have at most 3 characters; it has 4.'],
    [z.string().min(1), '', 'It must not be empty.'],
    [z.string().trim().min(1), '  ', 'It must not be empty.'],
    [z.string().length(2), 'one', 'It must have exactly 2 characters; it has 3.'],
    [z.array(z.int()).max(1), [1, 2], 'It must have at most 1 item; it has 2.'],
    [z.set(z.int()).min(2), new Set([1]), 'It must have at least 2 items; it has 1.'],
    [z.number().min(2), 1, 'It must be at least 2; it is 1.'],
    [z.number().positive(), 0, 'It must be more than 0; it is 0.'],
    [z.number().lt(2), 2, 'It must be less than 2; it is 2.'],
    [z.number().multipleOf(5), 7, 'It must be a multiple of 5; it is 7.'],
    [z.int(), 1e300, 'It must be at most 9007199254740991; it is 1e+300.'],
    [z.uuid(), 'x', 'It must be a UUID.'],
    [z.email(), 'x', 'It must be an e-mail address such as ada@example.com.'],
    [z.url(), 'x', 'It must be a URL such as https://example.com.'],
    [z.iso.datetime(), 'x', 'It must be a time in UTC such as 2026-01-31T08:00:00.000Z.'],
    [z.iso.date(), 'x', 'It must be a date such as 2026-01-31.'],
    [z.jwt(), 'x', 'It must be of the format jwt.'],
    [z.string().startsWith('fl_'), 'x', 'It must begin with "fl_".'],
    [z.string().endsWith('.ts'), 'x', 'It must end with ".ts".'],
    [z.string().includes('@'), 'x', 'It must contain "@".'],
    [z.string().regex(/^\d+$/), 'x', 'It must match the pattern /^\\d+$/.'],
    [z.string().regex(/^\d+$/, 'Use digits.'), 'x', 'Use digits.'],
    [z.literal('on'), 'off', 'It must be "on", not "off".'],
    [z.enum(['asc', 'desc']), 'up', 'It must be one of "asc", "desc", not "up".'],
    [z.enum(['asc', 'desc']), {}, 'It must be one of "asc", "desc".'],
    [z.string().refine(() => false), 'x', 'It is not valid.'],
    [z.string().refine(() => false, 'Use another.'), 'x', 'Use another.'],
    [z.record(z.uuid(), z.string()), { a: 'b' }, 'Its name is not allowed here: It must be a UUID.'],
    [z.map(z.string(), z.set(z.int())), new Map([['a', 1]]), 'It must be a list, not the number 1.'],
    [
      z.map(z.object({}), z.int()),
      new Map([[{}, 'a']]),
      'What "[object Object]" stands for is wrong: It must be a number, not a string.',
    ],
    [z.never(), 1, 'It must be of the type never, not the number 1.'],
  ]
  for (const [shape, value, wanted] of told) assert.equal(sentence(shape, value), wanted)
})

test('of a union the form that was meant is told', () => {
  const job = z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('wait'), seconds: z.number() }),
    z.strictObject({ type: z.literal('call'), url: z.url() }),
  ])
  assert.equal(sentence(job, { type: 'sleep' }), 'It must be one of "wait", "call", not "sleep".')
  assert.equal(sentence(job, {}), 'It is missing; it must be one of "wait", "call".')
  assert.equal(sentence(job, { type: 'wait', seconds: 'x' }), 'It must be a number, not a string.')

  const either = z.union([z.string(), z.number()])
  assert.equal(sentence(either, true), 'It must be a string, or a number.')
  assert.equal(sentence(z.union([z.literal('draft'), z.string()]), 3), 'It must be "draft", or a string.')

  const point = z.union([z.string(), z.object({ x: z.number(), y: z.number() })])
  const { faults } = parseShape(z.object({ at: point }), { at: { x: 1, y: 'two' } })
  assert.deepEqual(faults, [{ field: 'at.y', message: 'It must be a number, not a string.' }])
})

test('a field that nobody knows is told with the one that was meant', () => {
  const shape = z.strictObject({ description: z.string().optional(), max_attempts: z.int().optional() })

  const { faults } = parseShape(shape, { descripton: 'x', maxAttempts: 3, colour: 'red' })

  assert.deepEqual(faults, [
    { field: 'descripton', message: 'There is no such field; did you mean "description"?' },
    { field: 'maxAttempts', message: 'There is no such field; did you mean "max_attempts"?' },
    { field: 'colour', message: 'There is no such field; there are description, max_attempts.' },
  ])
})

test('every bad field is named with its place, and once', () => {
  const shape = z.strictObject({
    slug: z.string().min(3).regex(/^b/),
    nodes: z.array(z.object({ id: z.string().max(2), tags: z.record(z.string(), z.int()) })),
  })

  const { faults } = parseShape(shape, { slug: 'a', nodes: [{ id: 'a', tags: { of: 'x' } }, { id: 'abc' }] }, 'config')

  assert.deepEqual(faults, [
    { field: 'config.slug', message: 'It must have at least 3 characters; it has 1.' },
    { field: 'config.nodes[0].tags.of', message: 'It must be a number, not a string.' },
    { field: 'config.nodes[1].id', message: 'It must have at most 2 characters; it has 3.' },
    { field: 'config.nodes[1].tags', message: 'It is missing.' },
  ])
})

test('what fits is given with its defaults', () => {
  const shape = z.object({ name: z.string().trim(), order: z.enum(['asc', 'desc']).default('desc') })

  assert.deepEqual(parseShape(shape, { name: ' a ' }).value, { name: 'a', order: 'desc' })
})
