import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WorkflowConfig } from '@flow/contract/components/workflow'
import { compileWorkflow, type Graph } from '../components/workflow-rules.ts'
import * as rules from './rules.ts'

const block = (id: string, more: object = {}) => ({ id, type: 'code_block', component_ref: 'block', ...more })

/** `a>b` is an edge, `a!b` one for an error. */
function graphOf(nodes: (string | object)[], ...edges: string[]): Graph {
  const written = edges.map((edge) => {
    const [source = '', target = ''] = edge.split(/[>!]/)
    return { source, target, on: edge.includes('!') ? 'error' : 'success' }
  })
  const config = { nodes: nodes.map((node) => (typeof node === 'string' ? block(node) : node)), edges: written }
  return compileWorkflow(WorkflowConfig.parse(config)).graph
}

/** States such as `{ a: ['b'] }`: a has completed and its edges to these were taken; a word is a status. */
function statesOf(graph: Graph, told: Record<string, string[] | string>): rules.States {
  return new Map(
    Object.entries(told).map(([id, of]): [string, rules.NodeState] => {
      if (typeof of === 'string') return [id, { status: of as 'running', attempt: 1, taken: [] }]
      const taken = graph.edges
        .filter(({ source, target }) => source === id && of.includes(target))
        .map(({ index }) => index)
      return [id, { status: 'completed', attempt: 1, output: `${id}'s`, taken }]
    }),
  )
}

test('a node begins, waits or is skipped by its join', () => {
  const diamond = ['a', 'b', 'c', 'd'] as const
  const edges = ['a>b', 'a>c', 'b>d', 'c>d']
  const any = ['a', 'b', 'c', block('d', { join: 'any' })]
  const cases: [(string | object)[], Record<string, string[] | string>, { ready: string[]; skipped: string[] }][] = [
    [[...diamond], {}, { ready: ['a'], skipped: [] }],
    [[...diamond], { a: 'running' }, { ready: [], skipped: [] }],
    [[...diamond], { a: ['b', 'c'] }, { ready: ['b', 'c'], skipped: [] }],
    [[...diamond], { a: ['b'] }, { ready: ['b'], skipped: ['c'] }],
    [[...diamond], { a: [] }, { ready: [], skipped: ['b', 'c', 'd'] }],
    [[...diamond], { a: ['b', 'c'], b: ['d'], c: 'running' }, { ready: [], skipped: [] }],
    [[...diamond], { a: ['b', 'c'], b: ['d'], c: [] }, { ready: ['d'], skipped: [] }],
    [[...diamond], { a: ['b', 'c'], b: [], c: [] }, { ready: [], skipped: ['d'] }],
    [[...diamond], { a: ['b'], b: ['d'], c: 'skipped' }, { ready: ['d'], skipped: [] }],
    [[...diamond], { a: ['b', 'c'], b: ['d'], c: 'retrying' }, { ready: [], skipped: [] }],
    [any, { a: ['b', 'c'], b: ['d'], c: 'running' }, { ready: ['d'], skipped: [] }],
    [any, { a: ['b', 'c'], b: [], c: 'running' }, { ready: [], skipped: [] }],
    [any, { a: ['b', 'c'], b: [], c: [] }, { ready: [], skipped: ['d'] }],
    [any, { a: ['b', 'c'], b: ['d'], c: ['d'], d: 'running' }, { ready: [], skipped: [] }],
  ]
  for (const [nodes, told, wanted] of cases) {
    const graph = graphOf(nodes, ...edges)
    const { ready, skipped } = rules.decide(graph, statesOf(graph, told), graph.nodes)
    const ids = { ready: ready.map(({ node }) => node.id), skipped: skipped.map(({ node }) => node.id) }
    assert.deepEqual(ids, wanted, JSON.stringify(told))
  }
})

test('when a node has ended, its success edges or its error edges come into question', () => {
  const graph = graphOf(
    ['a', block('r', { on_error: 'route' }), block('c', { on_error: 'continue' }), 'x', 'y'],
    'a>x',
    'r>x',
    'r!y',
    'c>x',
  )
  const after = (id: string, status: 'completed' | 'failed') => {
    const at = graph.byId.get(id)
    return at ? rules.edgesAfter(at, status).map(({ target }) => target) : []
  }
  assert.deepEqual(after('r', 'completed'), ['x'])
  assert.deepEqual(after('r', 'failed'), ['y'])
  assert.deepEqual(after('c', 'failed'), ['x'])
  assert.deepEqual(after('a', 'completed'), ['x'])
})

test('a node gets what leads to it', () => {
  const graph = graphOf(['a', block('b', { on_error: 'route' }), 'c', 'd', 'e'], 'a>c', 'b>c', 'c>d', 'b!e')
  const input = (id: string, states: rules.States) => {
    const at = graph.byId.get(id)
    return at && rules.inputByDefault(at, states, 'the input')
  }
  const states = statesOf(graph, { a: ['c'], b: ['c'], c: ['d'] })
  assert.equal(input('a', states), 'the input')
  assert.deepEqual(input('c', states), { a: "a's", b: "b's" })
  assert.equal(input('d', states), "c's")
  assert.deepEqual(input('c', statesOf(graph, { a: ['c'], b: [] })), { a: "a's" })

  const error = { code: 'CODE_FAILED', message: 'no', node_id: 'b' }
  const failed: rules.States = new Map([['b', { status: 'failed', attempt: 1, error, taken: [3] }]])
  assert.deepEqual(input('e', failed), error)
})

test('the whole gives what the one end gives, or an object of the ends that were reached', () => {
  const one = graphOf(['a', 'b'], 'a>b')
  assert.equal(rules.outputByDefault(one, statesOf(one, { a: ['b'], b: [] })), "b's")
  assert.equal(rules.outputByDefault(one, statesOf(one, { a: [], b: 'skipped' })), null)
  const two = graphOf(['a', 'b', 'c'], 'a>b', 'a>c')
  assert.deepEqual(rules.outputByDefault(two, statesOf(two, { a: ['b', 'c'], b: [], c: [] })), { b: "b's", c: "c's" })
  assert.deepEqual(rules.outputByDefault(two, statesOf(two, { a: ['b'], b: [], c: 'skipped' })), { b: "b's" })
})

test('pauses grow up to their limit, and are left to chance as far as is said', () => {
  const retry = { max_attempts: 10, backoff_seconds: 2, multiplier: 3, max_backoff_seconds: 20, jitter: 0.1 }
  const at = graphOf([block('a', { retry })]).nodes[0]
  const pauses = (chance: number) =>
    at && [1, 2, 3, 4].map((attempt) => Math.round(rules.backoffOf(at, attempt, chance) * 1000) / 1000)
  assert.deepEqual(pauses(0.5), [2, 6, 18, 20])
  assert.deepEqual(pauses(0), [1.8, 5.4, 16.2, 18])
  assert.deepEqual(pauses(1), [2.2, 6.6, 19.8, 22])
})

test('an input that is kept already is not kept twice, and is put together again', () => {
  const rows = [{ id: 1 }]
  const whole = { csv: 'text' }
  const sources = new Map<unknown, string>([
    [rows, 'parse'],
    [whole, ''],
  ])
  const sourceOf = (id: string) => (id === '' ? whole : rows)
  const cases: [unknown, { input: unknown; input_from: rules.InputFrom | null }][] = [
    [rows, { input: null, input_from: { '': 'parse' } }],
    [whole, { input: null, input_from: { '': '' } }],
    [
      { rows, limit: 3 },
      { input: { limit: 3 }, input_from: { rows: 'parse' } },
    ],
    [
      { a: rows, b: whole },
      { input: {}, input_from: { a: 'parse', b: '' } },
    ],
    [{ limit: 3 }, { input: { limit: 3 }, input_from: null }],
    [[rows], { input: [rows], input_from: null }],
    [null, { input: null, input_from: null }],
    [5, { input: 5, input_from: null }],
  ]
  for (const [value, wanted] of cases) {
    const split = rules.splitInput(value, sources)
    assert.deepEqual(split, wanted)
    assert.deepEqual(rules.joinInput(split.input, split.input_from, sourceOf), value)
  }
})

test('what is run again: what failed or never ran, or what is named, and what comes after', () => {
  const graph = graphOf(['a', 'b', 'c', 'd', 'x'], 'a>b', 'b>c', 'c>d', 'a>x')
  const states = statesOf(graph, { a: ['b', 'x'], b: ['c'], c: 'failed', x: 'skipped' })
  assert.deepEqual([...rules.rerunOf(graph, states)], ['c', 'd'])
  assert.deepEqual([...rules.rerunOf(graph, states, 'b')], ['b', 'c', 'd'])
  assert.deepEqual([...rules.rerunOf(graph, states, 'a')].sort(), ['a', 'b', 'c', 'd', 'x'])
})
