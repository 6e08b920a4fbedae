/** Cancellation and forced completion. */

import assert from 'node:assert/strict'
import { all, call, chain, code, edge, hold, type Pattern, task } from './pattern.ts'

const asked = (id: string) => ({ id, type: 'human_task', title: 'Please check' })
/** The first item is done at once, the others not before they are given up. */
const blocks = {
  check: 'export const main = (n) => (n === 0 ? "checked" : new Promise((done) => setTimeout(done, 25_000)))',
}
const checks = { id: 'checks', type: 'map', component_ref: 'check', items: '{{ [0, 1, 2] }}' }

export const cancellation: Pattern[] = [
  {
    number: 19,
    name: 'Cancel Task',
    chapter: 'cancellation',
    support: 'direct',
    by: '`cancels`',
    definition: {
      nodes: [asked('check'), hold('withdraw', { cancels: ['check'] }), task('file')],
      edges: chain('check', 'file').concat(edge('withdraw', 'file')),
    },
    async drive({ until, call, answer }) {
      await until('check', 'waiting')
      await call('withdraw')
      await until('check', 'cancelled')
      assert.equal(await answer('check', {}), false)
    },
    expected: { output: 'file', nodes: { ...all('completed', 'withdraw', 'file'), check: 'cancelled' } },
  },
  {
    number: 20,
    name: 'Cancel Case',
    chapter: 'cancellation',
    support: 'direct',
    by: '`POST …/executions/{id}/cancel`: nodes at work, tasks and children with it',
    others: { sleeper: { nodes: [{ id: 'sleep', type: 'wait', seconds: 86_400 }] } },
    definition: {
      nodes: [task('a'), asked('check'), call('child', 'sleeper')],
      edges: [edge('a', 'check'), edge('a', 'child')],
    },
    async drive({ until, cancel, executions, end }) {
      await until('check', 'waiting')
      await until('child', 'waiting')
      await cancel()
      const [child] = await executions('sleeper')
      assert.equal((await end(child?.id ?? '')).status, 'cancelled')
    },
    expected: { status: 'cancelled', output: null, nodes: { a: 'completed', ...all('cancelled', 'check', 'child') } },
  },
  {
    number: 25,
    name: 'Cancel Region',
    chapter: 'new',
    support: 'direct',
    by: '`cancels` with the nodes of the region: those at work, those that wait, those not begun',
    blocks,
    definition: {
      nodes: [
        code('at_work', 'check', { input: 1 }),
        asked('asked'),
        { id: 'later', type: 'wait', seconds: 86_400 },
        task('not_begun'),
        task('outside'),
        hold('stop', { cancels: ['at_work', 'asked', 'later', 'not_begun'] }),
        task('after'),
      ],
      edges: [
        ...chain('asked', 'not_begun'),
        ...chain('later', 'not_begun'),
        ...chain('at_work', 'not_begun'),
        ...chain('outside', 'stop', 'after'),
      ],
    },
    async drive({ until, call }) {
      await until('at_work', 'running')
      await until('asked', 'waiting')
      await until('later', 'waiting')
      await call('stop')
    },
    expected: {
      output: { after: 'after' },
      nodes: {
        ...all('completed', 'outside', 'stop', 'after'),
        ...all('cancelled', 'at_work', 'asked', 'later', 'not_begun'),
      },
    },
  },
  {
    number: 26,
    name: 'Cancel Multiple Instance Task',
    chapter: 'new',
    support: 'direct',
    by: '`cancels` with the `map`: the items at work end, the others never begin, and what comes behind it is skipped',
    blocks,
    definition: {
      nodes: [task('start'), checks, task('summary'), hold('stop', { cancels: ['checks'] }), task('stopped')],
      edges: [...chain('start', 'checks', 'summary'), ...chain('start', 'stop', 'stopped')],
    },
    async drive({ until, call }) {
      await until('checks', 'running')
      await until('stop', 'waiting')
      await call('stop')
    },
    expected: {
      output: { stopped: 'stopped' },
      nodes: { ...all('completed', 'start', 'stop', 'stopped'), checks: 'cancelled', summary: 'skipped' },
    },
  },
  {
    number: 27,
    name: 'Complete Multiple Instance Task',
    chapter: 'new',
    support: 'direct',
    by: '`cancels` with the `map`, and edges from both to what comes next (`join: any`). What its items gave so far is not told',
    blocks,
    definition: {
      nodes: [checks, hold('enough', { cancels: ['checks'] }), task('summary', { join: 'any' })],
      edges: [...chain('checks', 'summary'), ...chain('enough', 'summary')],
    },
    async drive({ until, call }) {
      await until('checks', 'running')
      await until('enough', 'waiting')
      await call('enough')
    },
    expected: { output: 'summary', nodes: { checks: 'cancelled', ...all('completed', 'enough', 'summary') } },
  },
]
