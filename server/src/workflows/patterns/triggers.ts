/** Triggers: signals from outside that a task waits for. */

import assert from 'node:assert/strict'
import { all, chain, hold, type Pattern } from './pattern.ts'

export const triggers: Pattern[] = [
  {
    number: 23,
    name: 'Transient Trigger',
    chapter: 'new',
    support: 'direct',
    by: '`human_task`: an answer counts while the task is open; before and afterwards it is refused and lost',
    definition: {
      nodes: [hold('before'), { id: 'signal', type: 'human_task', title: 'Go on?' }],
      edges: chain('before', 'signal'),
    },
    async drive({ until, call, answer }) {
      await until('before', 'waiting')
      assert.equal(await answer('signal', { go: 1 }), false)
      await call('before')
      await until('signal', 'waiting')
      assert.equal(await answer('signal', { go: 2 }), true)
      assert.equal(await answer('signal', { go: 3 }), false)
    },
    expected: { output: { go: 2 }, nodes: all('completed', 'before', 'signal') },
  },
  {
    number: 24,
    name: 'Persistent Trigger',
    chapter: 'new',
    support: 'direct',
    by: '`webhook_wait`: a call that comes before the node begins is kept for it',
    definition: { nodes: [hold('before'), hold('signal')], edges: chain('before', 'signal') },
    async drive({ until, call }) {
      await until('before', 'waiting')
      assert.equal(await call('signal', { go: 1 }), 200)
      await call('before')
    },
    expected: {
      output: { method: 'POST', query: {}, body: { go: 1 } },
      nodes: all('completed', 'before', 'signal'),
    },
  },
]
