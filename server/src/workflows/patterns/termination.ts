/** How a process ends. */

import assert from 'node:assert/strict'
import { all, edge, hold, type Pattern, task } from './pattern.ts'

export const termination: Pattern[] = [
  {
    number: 11,
    name: 'Implicit Termination',
    chapter: 'structural',
    support: 'direct',
    by: 'an execution is completed when nothing of it is left to do',
    definition: { nodes: [task('a'), task('b'), hold('c')], edges: [edge('a', 'b'), edge('a', 'c')] },
    async drive({ until, status, call }) {
      await until('c', 'waiting')
      await until('b', 'completed')
      assert.notEqual(await status(), 'completed')
      await call('c')
    },
    expected: {
      output: { b: 'b', c: { method: 'POST', query: {}, body: null } },
      nodes: all('completed', 'a', 'b', 'c'),
    },
  },
  {
    number: 43,
    name: 'Explicit Termination',
    chapter: 'new',
    support: 'direct',
    by: 'a last node whose `cancels` names all others; a node that fails ends the execution, too',
    definition: {
      nodes: [
        hold('a'),
        { id: 'b', type: 'wait', seconds: 86_400 },
        task('c'),
        task('end', { cancels: ['a', 'b', 'c'] }),
      ],
      edges: [edge('a', 'end'), edge('b', 'c')],
      output: '{{ nodes.end.output }}',
    },
    async drive({ until, call }) {
      await until('b', 'waiting')
      await call('a')
    },
    expected: {
      output: 'end',
      nodes: { ...all('completed', 'a', 'end'), ...all('cancelled', 'b', 'c') },
    },
  },
]
