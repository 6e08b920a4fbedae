/** Advanced branching and synchronization: choices of several, and merges. Joins of some of their branches are in
 *  joins.ts. */

import assert from 'node:assert/strict'
import { all, call, chain, edge, hold, type Missing, type Pattern, task } from './pattern.ts'

const services = {
  nodes: [task('report'), task('police'), task('fire'), task('ambulance')],
  edges: [
    edge('report', 'police', 'input.crime'),
    edge('report', 'fire', 'input.fire'),
    edge('report', 'ambulance', 'input.injured'),
  ],
}
const accident = { crime: false, fire: true, injured: true }

export const branching: Pattern[] = [
  {
    number: 6,
    name: 'Multi-Choice',
    chapter: 'advanced_branching',
    support: 'direct',
    by: 'edges with a `condition`, of which any number is true',
    definition: services,
    input: accident,
    expected: {
      output: { fire: 'fire', ambulance: 'ambulance' },
      nodes: { ...all('completed', 'report', 'fire', 'ambulance'), police: 'skipped' },
    },
  },
  {
    number: 7,
    name: 'Structured Synchronizing Merge',
    chapter: 'advanced_branching',
    support: 'direct',
    by: '`join: all`: it waits for the branches that were chosen, and not for the others',
    definition: {
      nodes: [...services.nodes, task('closed')],
      edges: [...services.edges, edge('police', 'closed'), edge('fire', 'closed'), edge('ambulance', 'closed')],
    },
    input: accident,
    expected: {
      output: 'closed',
      nodes: { ...all('completed', 'report', 'fire', 'ambulance', 'closed'), police: 'skipped' },
    },
  },
  {
    number: 8,
    name: 'Multi-Merge',
    chapter: 'advanced_branching',
    support: 'composed',
    by: 'what comes behind the merge is a workflow of its own, which each branch starts by a `workflow` node',
    others: { audit: { nodes: [task('audit', { output: '{{ "audit of " + input.of }}' })] } },
    definition: {
      nodes: [
        task('a'),
        task('b'),
        call('audit_a', 'audit', { input: { of: '{{ nodes.a.output }}' } }),
        call('audit_b', 'audit', { input: { of: '{{ nodes.b.output }}' } }),
      ],
      edges: [...chain('a', 'audit_a'), ...chain('b', 'audit_b')],
    },
    async check({ executions }) {
      assert.equal((await executions('audit')).length, 2)
    },
    expected: {
      output: { audit_a: 'audit of a', audit_b: 'audit of b' },
      nodes: all('completed', 'a', 'b', 'audit_a', 'audit_b'),
    },
  },
  {
    number: 37,
    name: 'Local Synchronizing Merge',
    chapter: 'new',
    support: 'direct',
    by: '`join: all` in a graph of any shape: an edge that can no longer be taken is not waited for',
    definition: {
      nodes: [task('a'), task('b'), task('c'), task('d'), task('e'), task('f')],
      edges: [
        ...chain('a', 'b', 'd', 'f'),
        edge('a', 'c', 'input.thorough'),
        ...chain('c', 'd'),
        ...chain('c', 'e', 'f'),
        ...chain('b', 'f'),
      ],
    },
    input: { thorough: false },
    expected: {
      output: 'f',
      nodes: { ...all('completed', 'a', 'b', 'd', 'f'), ...all('skipped', 'c', 'e') },
    },
  },
  {
    number: 38,
    name: 'General Synchronizing Merge',
    chapter: 'new',
    support: 'direct',
    by:
      '`join: all`: it waits while a branch may still come, however it turns out. Graphs have no circles, so that can ' +
      'always be told; a loop is an execution of its own',
    definition: {
      nodes: [task('a'), hold('b'), task('elsewhere'), task('merged')],
      edges: [
        edge('a', 'merged'),
        edge('b', 'merged', 'nodes.b.output.body.come'),
        edge('b', 'elsewhere', '!nodes.b.output.body.come'),
      ],
    },
    async drive({ until, nodes, call }) {
      await until('b', 'waiting')
      await until('a', 'completed')
      assert.equal((await nodes()).merged, 'pending')
      await call('b', { come: false })
    },
    expected: {
      output: { elsewhere: 'elsewhere', merged: 'merged' },
      nodes: all('completed', 'a', 'b', 'elsewhere', 'merged'),
    },
  },
  {
    number: 41,
    name: 'Thread Merge',
    chapter: 'new',
    support: 'direct',
    by: 'the end of a `map`: as many threads as it has items become one again. The branch between is one code block',
    blocks: { weigh: 'export const main = (n) => n * 10' },
    definition: {
      nodes: [
        { id: 'threads', type: 'map', component_ref: 'weigh', items: '{{ [1, 2, 3] }}' },
        task('one', { output: '{{ nodes.threads.output }}' }),
      ],
      edges: chain('threads', 'one'),
    },
    expected: { output: [10, 20, 30], nodes: all('completed', 'threads', 'one') },
  },
  {
    number: 42,
    name: 'Thread Split',
    chapter: 'new',
    support: 'direct',
    by: 'a `map` over as many items as there are to be threads. The branch is one code block',
    blocks: { number: 'export const main = ({ thread }) => thread' },
    definition: {
      nodes: [
        task('one'),
        {
          id: 'threads',
          type: 'map',
          component_ref: 'number',
          items: '{{ input.threads }}',
          input: { thread: '{{ index }}' },
          concurrency: 3,
        },
      ],
      edges: chain('one', 'threads'),
    },
    input: { threads: ['', '', ''] },
    expected: { output: [0, 1, 2], nodes: all('completed', 'one', 'threads') },
  },
]

export const missingMerges: Missing[] = [
  {
    number: 33,
    name: 'Generalised AND-Join',
    chapter: 'new',
    reason:
      'An edge is taken once in an execution, so there is never a second trigger on a branch that a join could keep ' +
      'for its next firing. What comes again is another execution, and executions do not meet in a join.',
  },
]
