/** `kill -9` at every moment of an execution's writing: nothing is lost, nothing that is recorded runs again, and the
 *  result is the one it would have been. One workflow has all the patterns; each round begins an execution, dies, and
 *  lets the next process finish it. FLOW_CRASH=all dies at every writing instead of some. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { testModes } from '../db/testing.ts'
import { assertWhole, begunIn, endedIn, live, prepare } from './crash-testing.ts'
import type { Death } from './process-testing.ts'

const EVERY = process.env.FLOW_CRASH === 'all'
/** Otherwise one moment in so many, another one each time the tests run. */
const STRIDE = 16

const code = (id: string, slug: string, more: object = {}) => ({ id, type: 'code_block', component_ref: slug, ...more })
const edge = (source: string, target: string, more: object = {}) => ({ source, target, ...more })

const blocks: Record<string, string> = {
  add: 'export const main = ({ n }) => ({ n: n + 1 })',
  flaky:
    "export const main = async ({ n }) => { const { attempt } = await flow.call('context'); if (attempt === 1) throw new Error('once'); return { n: n * 10 } }",
  fails: "export const main = () => { throw new Error('always') }",
  square: 'export const main = (n) => n * n',
}

/** Sequence, parallel split and synchronisation, exclusive choice, the first of two, map, retry, route, rest. */
const definition = {
  nodes: [
    code('a', 'add'),
    { id: 'is_big', type: 'condition', condition: 'nodes.a.output.n > 3' },
    code('big', 'add', { input: { n: 100 } }),
    code('small', 'add', { input: { n: 1 } }),
    code('flaky', 'flaky', { retry: { max_attempts: 3, backoff_seconds: 0.02 } }),
    code('fails', 'fails', { on_error: 'route' }),
    code('mended', 'add', { input: { n: 7 } }),
    { id: 'each', type: 'map', component_ref: 'square', items: '{{ [1, 2, 3, 4, nodes.a.output.n] }}', concurrency: 2 },
    code('sync', 'add', { input: { n: '{{ nodes.flaky.output.n + nodes.mended.output.n }}' } }),
    code('first', 'add', { join: 'any', input: { n: 1000 } }),
    { id: 'rest', type: 'wait', seconds: 86_400 },
    code('last', 'add', { input: { n: '{{ nodes.sync.output.n }}' } }),
  ],
  edges: [
    edge('a', 'is_big'),
    edge('is_big', 'big', { condition: 'nodes.is_big.output' }),
    edge('is_big', 'small', { condition: '!nodes.is_big.output' }),
    edge('a', 'flaky'),
    edge('a', 'fails'),
    edge('fails', 'mended', { on: 'error' }),
    edge('a', 'each'),
    edge('flaky', 'sync'),
    edge('mended', 'sync'),
    edge('big', 'first'),
    edge('small', 'first'),
    edge('sync', 'rest'),
    edge('each', 'rest'),
    edge('first', 'rest'),
    edge('rest', 'last'),
  ],
  output: {
    last: '{{ nodes.last.output }}',
    each: '{{ nodes.each.output }}',
    first: '{{ nodes.first.output }}',
    small: '{{ nodes.small.status }}',
  },
}
const result = { last: { n: 50 }, each: [1, 4, 9, 16, 16], first: { n: 1001 }, small: 'skipped' }

for (const mode of testModes) {
  test(`a process that is killed at any writing loses nothing and repeats nothing that is recorded (${mode})`, async () => {
    const { remove, ...orders } = await prepare(mode, blocks, definition)
    const assertOf = async (told: Parameters<typeof endedIn>[0], about: string) =>
      assertWhole(endedIn(told), result, definition.nodes.length, await readFile(orders.log, 'utf8'), about)

    // How many writings there are shows in one that nobody interrupts.
    const whole = await live({ ...orders, death: { at: Infinity, when: 'after' } })
    await assertOf(whole, 'not interrupted')
    const writings = whole.flatMap((one) => ('writings' in one ? [one.writings] : []))[0] ?? 0
    assert.ok(writings > 10)

    let finish: { id: string; about: string } | undefined
    for (const death of deaths(writings)) {
      const told = await live({ ...orders, finish: finish?.id, death })
      if (finish) await assertOf(told, finish.about)
      const id = begunIn(told)
      finish = id ? { id, about: `killed ${death.when} writing ${death.at}` } : undefined
    }
    if (finish) await assertOf(await live({ ...orders, finish: finish.id }), finish.about)
    await remove()
  })
}

function deaths(writings: number): Death[] {
  const all = Array.from({ length: writings }, (_, i) => i + 1).flatMap((at) =>
    (['before', 'during', 'after'] as const).map((when) => ({ at, when })),
  )
  if (EVERY) return all
  const from = Math.floor(Math.random() * STRIDE)
  return all.filter((_, i) => i % STRIDE === from)
}
