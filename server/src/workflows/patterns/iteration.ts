/** Iteration: a graph has no circles, so what comes again is an execution of its own. */

import assert from 'node:assert/strict'
import { all, call, chain, code, edge, type Pattern, task } from './pattern.ts'

const blocks = {
  visit:
    'export const main = ({ trail, left, at }) => ({ trail: trail + at, left: left - 1, left_by: left <= 1 ? at : "" })',
}
/** One task of the circle: it is left here, or goes on with the other task. */
const station = (at: string, next: string) => ({
  nodes: [
    code('visit', 'visit', { input: { trail: '{{ input.trail }}', left: '{{ input.left }}', at } }),
    call('on', next, { input: '{{ nodes.visit.output }}' }),
  ],
  edges: [edge('visit', 'on', 'left > 0')],
  output: '{{ nodes.on.status == "completed" ? nodes.on.output : nodes.visit.output }}',
})

export const iteration: Pattern[] = [
  {
    number: 10,
    name: 'Arbitrary Cycles',
    chapter: 'structural',
    support: 'composed',
    by:
      'each task of the circle is a workflow that starts the next one: it is entered and left anywhere, up to 32 ' +
      'tasks deep, for executions start each other no deeper. Within one graph a circle is refused',
    blocks,
    others: { 'at-a': station('a', 'at-b'), 'at-b': station('b', 'at-a') },
    definition: {
      nodes: [
        task('start'),
        call('enter_a', 'at-a', { input: '{{ input }}' }),
        call('enter_b', 'at-b', { input: '{{ input }}' }),
        task('circle', {
          join: 'any',
          output: '{{ nodes.enter_a.output != null ? nodes.enter_a.output : nodes.enter_b.output }}',
        }),
        task('left_by_a', { output: '{{ nodes.circle.output.trail }}' }),
        task('left_by_b', { output: '{{ nodes.circle.output.trail }}' }),
      ],
      edges: [
        edge('start', 'enter_a', 'input.enter == "a"'),
        edge('start', 'enter_b', 'input.enter == "b"'),
        ...chain('enter_a', 'circle'),
        ...chain('enter_b', 'circle'),
        edge('circle', 'left_by_a', 'left_by == "a"'),
        edge('circle', 'left_by_b', 'left_by == "b"'),
      ],
    },
    input: { enter: 'b', trail: '', left: 4 },
    async drive({ start, end }) {
      const other = await end(await start({ enter: 'a', trail: '', left: 3 }))
      assert.deepEqual(other.output, { left_by_a: 'aba' })
    },
    expected: {
      output: { left_by_a: 'baba' },
      nodes: {
        ...all('completed', 'start', 'enter_b', 'circle', 'left_by_a'),
        ...all('skipped', 'enter_a', 'left_by_b'),
      },
    },
  },
  {
    number: 21,
    name: 'Structured Loop',
    chapter: 'new',
    support: 'composed',
    by:
      'a workflow that starts itself while a condition holds, before or behind its task: up to 33 rounds. To do one ' +
      'task again until it succeeds is `retry`, up to 100 times',
    blocks: { halve: 'export const main = ({ n, rounds }) => ({ n: n / 2, rounds: rounds + 1 })' },
    definition: {
      nodes: [
        code('halve', 'halve', { input: '{{ input }}' }),
        call('again', 'main', { input: '{{ nodes.halve.output }}' }),
      ],
      edges: [edge('halve', 'again', 'n > 1')],
      output: '{{ nodes.again.status == "completed" ? nodes.again.output : nodes.halve.output }}',
    },
    input: { n: 8, rounds: 0 },
    expected: { output: { n: 1, rounds: 3 }, nodes: all('completed', 'halve', 'again') },
  },
  {
    number: 22,
    name: 'Recursion',
    chapter: 'new',
    support: 'direct',
    by: 'a `workflow` node that names its own workflow, 32 deep',
    blocks: {
      less: 'export const main = ({ n }) => ({ n: n - 1 })',
      times: 'export const main = ({ n, rest }) => n * (rest ?? 1)',
    },
    definition: {
      nodes: [
        code('less', 'less', { input: { n: '{{ input.n }}' } }),
        call('rest', 'main', { when: 'nodes.less.output.n > 0', input: '{{ nodes.less.output }}' }),
        code('times', 'times', { input: { n: '{{ input.n }}', rest: '{{ nodes.rest.output }}' } }),
      ],
      edges: [...chain('less', 'rest', 'times'), edge('less', 'times')],
    },
    input: { n: 4 },
    expected: { output: 24, nodes: all('completed', 'less', 'rest', 'times') },
  },
]
