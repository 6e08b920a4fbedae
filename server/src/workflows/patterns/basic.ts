/** Basic control flow: WCP-1 to WCP-5. */

import { all, chain, edge, type Pattern, task } from './pattern.ts'

export const basic: Pattern[] = [
  {
    number: 1,
    name: 'Sequence',
    chapter: 'basic',
    support: 'direct',
    by: 'an edge, or `workflow_type: sequential`',
    definition: {
      workflow_type: 'sequential',
      nodes: [
        task('a'),
        task('b', { output: '{{ nodes.a.output + "b" }}' }),
        task('c', { output: '{{ nodes.b.output + "c" }}' }),
      ],
    },
    expected: { output: 'abc', nodes: all('completed', 'a', 'b', 'c') },
  },
  {
    number: 2,
    name: 'Parallel Split',
    chapter: 'basic',
    support: 'direct',
    by: 'several edges that leave a node, or `workflow_type: parallel`',
    definition: { nodes: [task('a'), task('b'), task('c')], edges: [edge('a', 'b'), edge('a', 'c')] },
    expected: { output: { b: 'b', c: 'c' }, nodes: all('completed', 'a', 'b', 'c') },
  },
  {
    number: 3,
    name: 'Synchronization',
    chapter: 'basic',
    support: 'direct',
    by: '`join: all`',
    definition: {
      nodes: [task('a'), task('b'), task('c', { output: '{{ nodes.a.output + nodes.b.output + "c" }}' })],
      edges: [edge('a', 'c'), edge('b', 'c')],
    },
    expected: { output: 'abc', nodes: all('completed', 'a', 'b', 'c') },
  },
  {
    number: 4,
    name: 'Exclusive Choice',
    chapter: 'basic',
    support: 'direct',
    by: 'edges with a `condition`, of which one is true',
    definition: {
      nodes: [{ id: 'is_large', type: 'condition', condition: 'input.amount > 1000' }, task('large'), task('small')],
      edges: [edge('is_large', 'large', 'nodes.is_large.output'), edge('is_large', 'small', '!nodes.is_large.output')],
    },
    input: { amount: 20 },
    expected: {
      output: { small: 'small' },
      nodes: { ...all('completed', 'is_large', 'small'), large: 'skipped' },
    },
  },
  {
    number: 5,
    name: 'Simple Merge',
    chapter: 'basic',
    support: 'direct',
    by: '`join: any` (or `all`: what was not chosen is not waited for)',
    definition: {
      nodes: [
        { id: 'is_large', type: 'condition', condition: 'input.amount > 1000' },
        task('large'),
        task('small'),
        task('booked', { join: 'any' }),
      ],
      edges: [
        edge('is_large', 'large', 'nodes.is_large.output'),
        edge('is_large', 'small', '!nodes.is_large.output'),
        ...chain('large', 'booked'),
        ...chain('small', 'booked'),
      ],
    },
    input: { amount: 2000 },
    expected: {
      output: 'booked',
      nodes: { ...all('completed', 'is_large', 'large', 'booked'), small: 'skipped' },
    },
  },
]
