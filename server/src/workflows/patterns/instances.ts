/** Multiple instances of one task. */

import assert from 'node:assert/strict'
import { all, call, chain, edge, hold, type Missing, type Pattern, task } from './pattern.ts'

const blocks = { invoice: 'export const main = ({ order }) => "invoice of " + order' }
const invoices = (items: string) => ({
  id: 'invoices',
  type: 'map',
  component_ref: 'invoice',
  items,
  input: { order: '{{ item }}' },
})

/** As many instances as the list has items, at most four. */
const reviews = ['r0', 'r1', 'r2', 'r3']
const reviewing = (join: object) => ({
  nodes: [...reviews.map((id, i) => hold(id, { when: `size(input.reviewers) > ${i}` })), task('decide', join)],
  edges: reviews.map((id) => edge(id, 'decide')),
})
const upToFour = 'one node for each instance that there may be, with a `when` that skips those beyond the list, and '

export const instances: Pattern[] = [
  {
    number: 12,
    name: 'Multiple Instances without Synchronization',
    chapter: 'multiple_instance',
    support: 'direct',
    by: 'a `map` that no edge leaves: the other branches go on without it (the execution as a whole ends with the last)',
    blocks,
    definition: {
      nodes: [task('start'), invoices('{{ input.orders }}'), task('next')],
      edges: [edge('start', 'invoices'), edge('start', 'next')],
    },
    input: { orders: ['a', 'b'] },
    expected: {
      output: { invoices: ['invoice of a', 'invoice of b'], next: 'next' },
      nodes: all('completed', 'start', 'invoices', 'next'),
    },
  },
  {
    number: 13,
    name: 'Multiple Instances with a Priori Design-Time Knowledge',
    chapter: 'multiple_instance',
    support: 'direct',
    by: 'a `map` over a list in the definition',
    blocks,
    definition: {
      nodes: [
        invoices('{{ ["first", "second", "third"] }}'),
        task('sent', { output: '{{ size(nodes.invoices.output) }}' }),
      ],
      edges: chain('invoices', 'sent'),
    },
    expected: { output: 3, nodes: all('completed', 'invoices', 'sent') },
  },
  {
    number: 14,
    name: 'Multiple Instances with a Priori Run-Time Knowledge',
    chapter: 'multiple_instance',
    support: 'direct',
    by: 'a `map` over a list from the input or an output, up to 10,000 items',
    blocks,
    definition: {
      nodes: [invoices('{{ input.orders }}'), task('sent', { output: '{{ nodes.invoices.output }}' })],
      edges: chain('invoices', 'sent'),
    },
    input: { orders: ['a', 'b'] },
    expected: { output: ['invoice of a', 'invoice of b'], nodes: all('completed', 'invoices', 'sent') },
  },
  {
    number: 15,
    name: 'Multiple Instances without a Priori Run-Time Knowledge',
    chapter: 'multiple_instance',
    support: 'composed',
    by:
      'a workflow that does the task and beside it starts itself once more when one more is asked for; it ends when ' +
      'all have. Up to 33 instances: executions start each other 32 deep',
    definition: {
      nodes: [
        hold('witness'),
        hold('more'),
        call('another', 'main', { input: {} }),
        task('heard', { output: '{{ 1 + (nodes.another.status == "completed" ? int(nodes.another.output) : 0) }}' }),
      ],
      edges: [
        edge('more', 'another', 'nodes.more.output.body.more'),
        edge('another', 'heard'),
        edge('witness', 'heard'),
      ],
    },
    async drive({ until, call, executions }) {
      await until('more', 'waiting')
      for (const [i, more] of [true, true, false].entries()) {
        await call('more', { more }, (await executions('main'))[i]?.id)
        if (more) await until('another', 'waiting', (await executions('main'))[i]?.id)
      }
      // The one that was begun last may end first.
      for (const { id } of (await executions('main')).reverse()) {
        await until('witness', 'waiting', id)
        await call('witness', null, id)
      }
    },
    async check({ executions }) {
      assert.equal((await executions('main')).length, 3)
    },
    expected: { output: 3, nodes: all('completed', 'witness', 'more', 'another', 'heard') },
  },
  {
    number: 34,
    name: 'Static Partial Join for Multiple Instances',
    chapter: 'new',
    support: 'composed',
    by: `${upToFour}\`join: {count: n}\`. A \`map\` waits for all of its items`,
    definition: reviewing({ join: { count: 2 } }),
    input: { reviewers: ['ann', 'bob', 'cleo'] },
    async drive({ until, call }) {
      await until('r2', 'waiting')
      await call('r2')
      await call('r0')
      await until('decide', 'completed')
      await call('r1')
    },
    expected: { output: 'decide', nodes: { ...all('completed', 'r0', 'r1', 'r2', 'decide'), r3: 'skipped' } },
  },
  {
    number: 35,
    name: 'Cancelling Partial Join for Multiple Instances',
    chapter: 'new',
    support: 'composed',
    by: `${upToFour}\`join: {count: n}\` with \`cancels\``,
    definition: reviewing({ join: { count: 2 }, cancels: reviews }),
    input: { reviewers: ['ann', 'bob', 'cleo'] },
    async drive({ until, call }) {
      await until('r2', 'waiting')
      await call('r2')
      await call('r0')
    },
    expected: {
      output: 'decide',
      nodes: { ...all('completed', 'r0', 'r2', 'decide'), r1: 'cancelled', r3: 'skipped' },
    },
  },
]

export const missingInstances: Missing[] = [
  {
    number: 36,
    name: 'Dynamic Partial Join for Multiple Instances',
    chapter: 'new',
    reason:
      'Nothing looks at all instances each time one of them ends: the items of a `map` see only themselves, its list ' +
      'does not grow, and the instances of WCP-15 are executions that know nothing of each other.',
  },
]
