/** The workflows that processes die in: one for each pattern that has a life of its own, small, with code blocks so that
 *  calls can be counted. What their nodes wait for is answered as attending-testing.ts says. Each gives the same result
 *  however it is interrupted. */

import type { JsonValue } from '@flow/contract/common'
import { call, chain, code, edge, hold } from './patterns/pattern.ts'

export type CrashPattern = { name: string; slug: string; definition: object; input?: JsonValue; output: JsonValue }

/** Long enough for what can wait a moment to be recorded meanwhile: that the node is at work, and its items. */
const nap = 'await new Promise((done) => setTimeout(done, 40))'

export const blocks: Record<string, string> = {
  add: 'export const main = ({ n }) => ({ n: n + 1 })',
  slow: `export const main = async ({ n }) => { ${nap}; return { n: n + 1 } }`,
  less: 'export const main = ({ n }) => ({ n: n - 1 })',
  flaky: `export const main = async ({ n }) => { const { attempt } = await flow.call('context'); ${nap}; if (attempt === 1) throw new Error('once'); return { n: n * 10 } }`,
  fails: "export const main = () => { throw new Error('always') }",
  square: `export const main = async (n) => { ${nap}; return n * n }`,
  sum: 'export const main = (all) => ({ n: Object.values(all).reduce((sum, one) => sum + (one?.n ?? one), 0) })',
}

const add = (id: string, more: object = {}) => code(id, 'add', more)
const sum = (id: string, more: object = {}) => code(id, 'sum', more)
const ask = (id: string, more: object = {}) => ({ id, type: 'human_task', title: 'How many?', ...more })
const rest = (id: string) => ({ id, type: 'wait', seconds: 86_400 })
const each = (items: string) => ({ id: 'each', type: 'map', component_ref: 'square', items, concurrency: 2 })

/** Workflows that others start. */
export const children: Record<string, object> = {
  child: { workflow_type: 'sequential', nodes: [add('one'), add('two')] },
  turn: { concurrency: { limit: 1, key: 'input.of' }, nodes: [add('work', { input: { n: '{{ input.n }}' } })] },
  endless: { nodes: [hold('never_called')] },
}

const simple: CrashPattern[] = [
  {
    name: 'Sequence',
    slug: 'sequence',
    definition: { workflow_type: 'sequential', nodes: [add('a'), code('b', 'slow'), add('c')] },
    output: { n: 6 },
  },
  {
    name: 'Parallel split and synchronization',
    slug: 'parallel',
    definition: {
      nodes: [add('a'), code('b', 'slow'), add('c'), sum('d')],
      edges: [...chain('a', 'b', 'd'), ...chain('a', 'c', 'd')],
    },
    output: { n: 10 },
  },
  {
    name: 'Exclusive choice and simple merge',
    slug: 'exclusive',
    definition: {
      nodes: [add('a'), add('big'), add('small'), add('merged', { join: 'any', input: { n: 1 } })],
      edges: [
        edge('a', 'big', 'n > 3'),
        edge('a', 'small', 'n <= 3'),
        ...chain('big', 'merged'),
        ...chain('small', 'merged'),
      ],
    },
    output: { n: 2 },
  },
  {
    name: 'Multi-choice and synchronizing merge',
    slug: 'multi-choice',
    definition: {
      nodes: [add('a'), add('b'), add('c'), add('d'), sum('merged')],
      edges: [
        edge('a', 'b', 'n > 3'),
        edge('a', 'c', 'n > 2'),
        edge('a', 'd', 'n > 100'),
        ...['b', 'c', 'd'].map((id) => edge(id, 'merged')),
      ],
    },
    output: { n: 10 },
  },
  {
    name: 'Discriminator (the first of two)',
    slug: 'discriminator',
    definition: {
      nodes: [add('a'), add('b'), hold('c'), add('first', { join: 'any', input: { n: 1 } })],
      edges: [...chain('a', 'b', 'first'), ...chain('a', 'c', 'first')],
    },
    output: { n: 2 },
  },
  {
    name: 'Partial join (two of three)',
    slug: 'partial-join',
    definition: {
      nodes: [add('a'), add('b'), hold('c'), add('two', { join: { count: 2 }, input: { n: 1 } })],
      edges: ['a', 'b', 'c'].map((id) => edge(id, 'two')),
    },
    output: { n: 2 },
  },
  {
    name: 'Map',
    slug: 'map',
    definition: {
      nodes: [add('a'), each('{{ [1, 2, 3, 4, 5, nodes.a.output.n] }}'), sum('all')],
      edges: chain('a', 'each', 'all'),
    },
    output: { n: 71 },
  },
  {
    name: 'Retry',
    slug: 'retry',
    definition: {
      workflow_type: 'sequential',
      nodes: [add('a'), code('flaky', 'flaky', { retry: { max_attempts: 3, backoff_seconds: 0.02 } }), add('b')],
    },
    output: { n: 41 },
  },
  {
    name: 'A retry that rests',
    slug: 'late-retry',
    definition: {
      workflow_type: 'sequential',
      nodes: [code('flaky', 'flaky', { retry: { max_attempts: 2, backoff_seconds: 3600 } }), add('b')],
    },
    output: { n: 31 },
  },
  {
    name: 'Error route',
    slug: 'error-route',
    definition: {
      nodes: [code('fails', 'fails', { on_error: 'route' }), add('mended', { input: { n: 7 } }), add('fine')],
      edges: [{ source: 'fails', target: 'mended', on: 'error' }, edge('fails', 'fine')],
    },
    output: { mended: { n: 8 } },
  },
]

const waiting: CrashPattern[] = [
  {
    name: 'Wait of a day',
    slug: 'wait',
    definition: { workflow_type: 'sequential', nodes: [add('a'), rest('rest'), add('b')] },
    output: { n: 5 },
  },
  {
    name: 'Human task',
    slug: 'human-task',
    definition: { workflow_type: 'sequential', nodes: [add('a'), ask('ask'), add('b')] },
    output: { n: 6 },
  },
  {
    name: 'Human task that expires into a route',
    slug: 'expiry',
    definition: {
      nodes: [
        ask('silent', { due_seconds: 3600, on_due: 'expire', on_error: 'route' }),
        add('answered'),
        add('escalated', { input: { n: 7 } }),
      ],
      edges: [{ source: 'silent', target: 'escalated', on: 'error' }, edge('silent', 'answered')],
    },
    output: { escalated: { n: 8 } },
  },
  {
    name: 'Webhook wait',
    slug: 'webhook-wait',
    definition: {
      workflow_type: 'sequential',
      nodes: [add('a'), hold('called'), add('b', { input: '{{ nodes.called.output.body }}' })],
    },
    output: { n: 6 },
  },
  {
    name: 'Deferred choice',
    slug: 'deferred-choice',
    definition: {
      nodes: [
        hold('called', { cancels: ['never_asked'] }),
        ask('never_asked', { cancels: ['called'] }),
        add('b', { join: 'any', input: { n: 1 } }),
      ],
      edges: [...chain('called', 'b'), ...chain('never_asked', 'b')],
    },
    output: { n: 2 },
  },
  {
    name: 'Cancel region',
    slug: 'cancel-region',
    definition: {
      nodes: [
        add('a'),
        ask('never_asked'),
        hold('never_called'),
        rest('never_over'),
        call('never_ended', 'endless'),
        add('not_begun'),
        hold('stop', { cancels: ['never_asked', 'never_called', 'never_over', 'never_ended', 'not_begun'] }),
        add('b', { input: { n: 1 } }),
      ],
      edges: [
        ...['never_asked', 'never_called', 'never_over', 'never_ended'].flatMap((id) => chain('a', id, 'not_begun')),
        ...chain('a', 'stop', 'b'),
      ],
      output: '{{ nodes.b.output }}',
    },
    output: { n: 2 },
  },
]

const several: CrashPattern[] = [
  {
    name: 'Child workflow',
    slug: 'parent',
    definition: { workflow_type: 'sequential', nodes: [add('a'), call('child', 'child'), add('b')] },
    output: { n: 7 },
  },
  {
    name: 'Recursion',
    slug: 'recursion',
    definition: {
      nodes: [code('less', 'less'), call('deeper', 'recursion', { when: 'nodes.less.output.n > 0' }), sum('sum')],
      edges: [...chain('less', 'deeper', 'sum'), ...chain('less', 'sum')],
    },
    output: { n: 3 },
  },
  {
    name: 'Critical section',
    slug: 'critical-section',
    definition: {
      nodes: [
        call('left', 'turn', { input: { of: '{{ execution.id }}', n: 1 } }),
        call('right', 'turn', { input: { of: '{{ execution.id }}', n: 2 } }),
        sum('both'),
      ],
      edges: [...chain('left', 'both'), ...chain('right', 'both')],
    },
    output: { n: 5 },
  },
  {
    name: 'Many at once',
    slug: 'crash',
    definition: {
      nodes: [
        add('a'),
        code('flaky', 'flaky', { retry: { max_attempts: 3, backoff_seconds: 0.02 } }),
        code('fails', 'fails', { on_error: 'route' }),
        add('mended', { input: { n: 7 } }),
        each('{{ [1, 2, 3, 4, nodes.a.output.n] }}'),
        call('child', 'child'),
        ask('ask'),
        sum('sync'),
        add('first', { join: 'any', input: { n: 1000 } }),
        rest('rest'),
        add('last', { input: { n: '{{ nodes.sync.output.n }}' } }),
      ],
      edges: [
        ...['flaky', 'fails', 'each', 'child', 'ask'].map((id) => edge('a', id)),
        { source: 'fails', target: 'mended', on: 'error' },
        ...['flaky', 'mended', 'child', 'ask'].map((id) => edge(id, 'sync')),
        ...chain('mended', 'first'),
        ...chain('child', 'first'),
        ...['sync', 'each', 'first'].map((id) => edge(id, 'rest')),
        ...chain('rest', 'last'),
      ],
    },
    output: { n: 60 },
  },
]

export const crashPatterns: CrashPattern[] = [...simple, ...waiting, ...several]
