/** Patterns that depend on the state of the process rather than on what has just ended. */

import assert from 'node:assert/strict'
import { all, call, chain, code, type Driven, edge, hold, type Pattern, task } from './pattern.ts'

const blocks = { nap: 'export const main = (of) => new Promise((done) => setTimeout(() => done(of), 40))' }
/** What is done by one at a time, for each case. */
const turns = {
  concurrency: { limit: 1, key: 'input.case' },
  nodes: [code('work', 'nap', { input: '{{ input.task }}' })],
}
const turn = (id: string) => call(id, 'turns', { input: { case: '{{ execution.id }}', task: id } })

/** The executions of a workflow in the order in which they ran: each began when the one before had ended. */
async function inTurn({ executions }: Driven, slug: string): Promise<unknown[]> {
  const ran = (await executions(slug)).sort((a, b) => ((a.started_at ?? '') < (b.started_at ?? '') ? -1 : 1))
  for (const [i, { started_at }] of ran.entries()) {
    const before = ran[i - 1]?.completed_at ?? ''
    assert.ok((started_at ?? '') >= before, `${started_at} is before ${before}`)
  }
  return ran.map(({ input }) => (input as { task: string }).task)
}

export const state: Pattern[] = [
  {
    number: 16,
    name: 'Deferred Choice',
    chapter: 'state',
    support: 'direct',
    by: 'nodes that wait (`human_task`, `webhook_wait`, `wait`, `workflow`) and `cancels` each other: the first counts',
    definition: {
      nodes: [
        hold('agreed', { cancels: ['refused', 'late'] }),
        hold('refused', { cancels: ['agreed', 'late'] }),
        { id: 'late', type: 'wait', seconds: 86_400, cancels: ['agreed', 'refused'] },
        task('deliver'),
        task('apologize'),
        task('remind'),
      ],
      edges: [...chain('agreed', 'deliver'), ...chain('refused', 'apologize'), ...chain('late', 'remind')],
    },
    async drive({ until, call }) {
      await until('refused', 'waiting')
      await call('refused')
      await until('agreed', 'cancelled')
      assert.equal(await call('agreed'), 409)
    },
    expected: {
      output: { apologize: 'apologize' },
      nodes: {
        ...all('completed', 'refused', 'apologize'),
        ...all('cancelled', 'agreed', 'late'),
        ...all('skipped', 'deliver', 'remind'),
      },
    },
  },
  {
    number: 17,
    name: 'Interleaved Parallel Routing',
    chapter: 'state',
    support: 'composed',
    by:
      'the tasks are executions of one workflow with `concurrency: {limit: 1, key: input.case}`; edges between the ' +
      '`workflow` nodes say what has to come before what',
    blocks,
    others: { turns },
    definition: { nodes: [turn('a'), turn('b'), turn('c')], edges: [edge('a', 'b'), edge('a', 'c')] },
    async check(at) {
      const order = await inTurn(at, 'turns')
      assert.equal(order.length, 3)
      assert.equal(order[0], 'a')
    },
    expected: { output: { b: 'b', c: 'c' }, nodes: all('completed', 'a', 'b', 'c') },
  },
  {
    number: 18,
    name: 'Milestone',
    chapter: 'state',
    support: 'direct',
    by:
      'an edge from the milestone to the task (`join: all`), and `cancels` where the state is left: before, the task ' +
      'waits; afterwards it can no longer begin',
    definition: {
      nodes: [hold('reached'), hold('passed', { cancels: ['open'] }), hold('asked'), task('open'), task('task')],
      edges: [...chain('reached', 'passed'), ...chain('reached', 'open'), ...chain('asked', 'open', 'task')],
    },
    async drive({ until, call, start, nodes, end }) {
      const late = await start({})
      await until('asked', 'waiting')
      await call('asked')
      await until('asked', 'completed')
      assert.equal((await nodes()).task, 'pending')
      await call('reached')
      await until('task', 'completed')
      await call('passed')

      for (const node of ['reached', 'passed', 'asked']) {
        await until(node, 'waiting', late)
        await call(node, null, late)
        await until(node, 'completed', late)
      }
      await end(late)
      const { open, task } = await nodes(late)
      assert.deepEqual([open, task], ['cancelled', 'skipped'])
    },
    expected: {
      output: { passed: { method: 'POST', query: {}, body: null }, task: 'task' },
      nodes: all('completed', 'reached', 'passed', 'asked', 'open', 'task'),
    },
  },
  {
    number: 39,
    name: 'Critical Section',
    chapter: 'new',
    support: 'composed',
    by: 'the sections are executions of one workflow with `concurrency: {limit: 1, key: input.case}`; what is outside runs at once',
    blocks,
    others: {
      section: {
        concurrency: { limit: 1, key: 'input.case' },
        workflow_type: 'sequential',
        nodes: [
          code('take', 'nap', { input: '{{ input.task }}' }),
          code('give_back', 'nap', { input: '{{ nodes.take.output }}' }),
        ],
      },
    },
    definition: {
      nodes: [
        task('a'),
        task('b'),
        call('a_inside', 'section', { input: { case: '{{ execution.id }}', task: 'a' } }),
        call('b_inside', 'section', { input: { case: '{{ execution.id }}', task: 'b' } }),
      ],
      edges: [...chain('a', 'a_inside'), ...chain('b', 'b_inside')],
    },
    async check(at) {
      assert.deepEqual((await inTurn(at, 'section')).sort(), ['a', 'b'])
    },
    expected: { output: { a_inside: 'a', b_inside: 'b' }, nodes: all('completed', 'a', 'b', 'a_inside', 'b_inside') },
  },
  {
    number: 40,
    name: 'Interleaved Routing',
    chapter: 'new',
    support: 'composed',
    by: 'as WCP-17, without edges between the tasks',
    blocks,
    others: { turns },
    definition: { workflow_type: 'parallel', nodes: [turn('a'), turn('b'), turn('c')] },
    async check(at) {
      assert.deepEqual((await inTurn(at, 'turns')).sort(), ['a', 'b', 'c'])
    },
    expected: { output: { a: 'a', b: 'b', c: 'c' }, nodes: all('completed', 'a', 'b', 'c') },
  },
]
