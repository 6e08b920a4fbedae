import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WorkflowConfig } from '@flow/contract/components/workflow'
import { checkWorkflow, compileWorkflow, referencesOf } from './workflow-rules.ts'

const block = (id: string, more: object = {}) => ({ id, type: 'code_block', component_ref: 'block', ...more })
const edge = (source: string, target: string, more: object = {}) => ({ source, target, ...more })
const faultsOf = (config: object) =>
  checkWorkflow(WorkflowConfig.parse(config)).map(({ field, message }) => `${field}: ${message}`)

test('a sound workflow of each type has no faults', () => {
  const sound = [
    { workflow_type: 'single', nodes: [block('a')] },
    { workflow_type: 'sequential', nodes: [block('a'), block('b'), block('c')] },
    {
      workflow_type: 'sequential',
      nodes: [block('a'), block('b')],
      edges: [edge('a', 'b', { condition: 'input.go' })],
    },
    { workflow_type: 'parallel', nodes: [block('a'), block('b')] },
    { nodes: [block('a')] },
    {
      vars: { limit: 3 },
      input_schema: { type: 'object' },
      output: { rows: '{{ nodes.each.output }}', text: 'done: {{ nodes.b.status }}' },
      nodes: [
        {
          id: 'a',
          type: 'codeblock',
          component_ref: 'block@1.2.0',
          input: { csv: '{{ input.csv }}', limit: '{{ vars.limit }}' },
        },
        { id: 'check', type: 'condition', condition: 'nodes.a.output.urgent > 0' },
        {
          id: 'each',
          type: 'map',
          component_ref: 'block',
          items: '{{ nodes.a.output.rows }}',
          input: { row: '{{ item }}', at: '{{ index }}', all: '{{ nodes.a.output }}' },
        },
        { id: 'pause', type: 'wait', until: '{{ nodes.a.output.at }}' },
        block('b', { join: 'any', on_error: 'route' }),
        block('mend', { input: '{{ nodes.b.error.message }}' }),
      ],
      edges: [
        edge('a', 'check'),
        edge('check', 'each', { condition: 'nodes.check.output == true' }),
        edge('a', 'pause', { condition: "priority in ['low', 'medium']" }),
        edge('each', 'b'),
        edge('pause', 'b'),
        edge('b', 'mend', { on: 'error' }),
      ],
    },
  ]
  for (const config of sound) assert.deepEqual(faultsOf(config), [], JSON.stringify(config))
})

test('a node whose id is a word of the language is read in brackets, and whoever does otherwise is told so', () => {
  const config = (condition: string, id = 'in') => ({
    nodes: [block(id), { id: 'asks', type: 'condition', condition }],
    edges: [edge(id, 'asks')],
  })
  for (const id of ['in', 'true', 'false', 'null']) {
    assert.deepEqual(faultsOf(config(`nodes["${id}"].output.n > 1`, id)), [])
    assert.deepEqual(faultsOf(config(`1 == nodes . ${id}.output`, id)), [
      `nodes[1].condition: "${id}" is a word of the language: write ["${id}"] for .${id}. (column 14)`,
    ])
  }
  assert.deepEqual(faultsOf(config('nodes["in"].n > 1')), [
    'nodes[1].condition: A node has output, error and status; write nodes["in"].output.n. (column 1)',
  ])
  for (const id of ['as', 'break', 'const', 'for', 'if', 'import', 'let', 'loop', 'return', 'void', 'while', 'in_']) {
    assert.deepEqual(faultsOf(config(`nodes.${id}.output.n > 1`, id)), [])
  }
})

test('every fault is told at once, each at its place', () => {
  const faults = faultsOf({
    vars: { limit: 3 },
    output: '{{ nodes.gone.output }}',
    input_schema: { type: 'strin' },
    nodes: [
      block('a', { input: '{{ nodes.b.output }}' }),
      block('a'),
      block('b', { input: { x: ['{{ vars.limitt }}', '{{ 1 + }}'] }, on_error: 'route' }),
      { id: 'c', type: 'condition', condition: 'inputs.x > 1' },
      { id: 'd', type: 'map', component_ref: 'block', items: 'nodes.b.output' },
      { id: 'e', type: 'map', component_ref: 'block', items: '{{ "text" }}', input: '{{ items }}' },
      { id: 'f', type: 'wait' },
      { id: 'g', type: 'wait', seconds: 1, until: 'tomorrow' },
      block('lonely'),
    ],
    edges: [
      edge('a', 'b', { condition: 'nodes.a.output.x + 1' }),
      edge('a', 'nowhere'),
      edge('b', 'c', { on: 'success', condition: 'input.x &&' }),
      edge('c', 'd', { condition: 'true' }),
      edge('d', 'e', { condition: 'false' }),
      edge('d', 'e'),
      edge('e', 'f', { condition: '"text"' }),
      edge('e', 'f', { on: 'error' }),
      edge('f', 'g', { condition: 'nodes.f.result == 1 || node.g' }),
    ],
  })
  const expected = [
    /^nodes\[1\]\.id: "a" is the id of nodes\[0\] already/,
    /^edges\[1\]\.target: There is no node "nowhere"/,
    /^edges\[5\]: edges\[4\] links the same nodes already/,
    /^edges\[7\]\.on: This edge is never taken: "e" does not have/,
    /^nodes\[2\]\.on_error: "route" needs an edge/,
    /^nodes\[6\]\.seconds: A wait has either/,
    /^nodes\[7\]\.seconds: A wait has either/,
    /^nodes\[8\]: "lonely" cannot be reached/,
    /^nodes\[0\]\.input: "b" does not come before/,
    /^nodes\[2\]\.input\.x\[1\]: Unexpected token.* \(column \d+\)$/,
    /^nodes\[2\]\.input\.x\[0\]: There is no "limitt" in vars/,
    /^nodes\[3\]\.condition: There is no variable "inputs" here/,
    /^nodes\[4\]\.items: Write the list as one expression/,
    /^nodes\[5\]\.input: There is no variable "items"/,
    /^nodes\[5\]\.items: This gives a string, not a list/,
    /^nodes\[7\]\.until: Write a time such as/,
    /^edges\[2\]\.condition: Unexpected token/,
    /^edges\[3\]\.condition: This edge is always taken. To follow the condition write nodes\.c\.output == true/,
    /^edges\[4\]\.condition: This edge is never taken/,
    /^edges\[6\]\.condition: This gives a string, not a boolean/,
    /^edges\[8\]\.condition: A node has output, error and status; write nodes\.f\.output\.result/,
    /^edges\[8\]\.condition: There is no "node" here; did you mean "nodes"/,
    /^output: There is no node "gone"/,
    /^input_schema: This is not a JSON Schema/,
  ]
  for (const pattern of expected)
    assert.ok(
      faults.some((fault) => pattern.test(fault)),
      `${pattern} in\n${faults.join('\n')}`,
    )
  assert.equal(faults.length, expected.length, faults.join('\n'))
})

test('circles are found, each once, with the way round', () => {
  const nodes = ['a', 'b', 'c', 'd', 'e', 'f'].map((id) => block(id))
  const edges = [edge('a', 'b'), edge('b', 'c'), edge('c', 'b'), edge('c', 'd'), edge('d', 'd'), edge('e', 'f')]
  assert.deepEqual(faultsOf({ nodes, edges }), [
    'nodes[3]: This node runs in a circle: d → d.',
    'nodes[1]: This node runs in a circle: b → c → b.',
  ])
})

test('the type of a workflow decides over its edges', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((id) => block(id))
  const cases: [object, RegExp[]][] = [
    [{ workflow_type: 'single', nodes: [a, b] }, [/^nodes: .*exactly one node/]],
    [{ workflow_type: 'single', nodes: [a], edges: [edge('a', 'a')] }, [/^edges: /, /circle/]],
    [{ workflow_type: 'parallel', nodes: [a, b], edges: [edge('a', 'b')] }, [/^edges: .*start at once/]],
    [{ workflow_type: 'sequential', nodes: [a, b, c], edges: [edge('a', 'c')] }, [/^edges\[0\]: .*with the next one/]],
    [{ nodes: [a, b] }, [/^edges: A graph of several nodes needs edges/]],
  ]
  for (const [config, patterns] of cases) {
    const faults = faultsOf(config)
    assert.equal(faults.length, patterns.length, faults.join('\n'))
    for (const [i, pattern] of patterns.entries()) assert.match(faults[i] ?? '', pattern)
  }
})

test('a sequence of a thousand nodes is checked, and each may read what came before', () => {
  const nodes = Array.from({ length: 1000 }, (_, i) => block(`n${i}`, i > 0 ? { input: '{{ nodes.n0.output }}' } : {}))
  const { graph, faults } = compileWorkflow(WorkflowConfig.parse({ workflow_type: 'sequential', nodes }))
  assert.deepEqual(faults, [])
  assert.equal(graph.edges.length, 999)
})

test('what a workflow refers to is named with its place', () => {
  const config = WorkflowConfig.parse({
    nodes: [
      block('a'),
      { id: 'b', type: 'wait', seconds: 1 },
      { id: 'c', type: 'map', component_ref: 'each@1.0.0', items: '{{ input }}' },
    ],
    edges: [edge('a', 'b'), edge('b', 'c')],
  })
  assert.deepEqual(referencesOf(config), [
    { field: 'nodes[0].component_ref', ref: 'block', types: ['code_block'] },
    { field: 'nodes[2].component_ref', ref: 'each@1.0.0', types: ['code_block'] },
  ])
})
