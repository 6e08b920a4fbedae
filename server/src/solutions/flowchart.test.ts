import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ComponentType } from '@flow/contract/components'
import { newOrganization, testFlow } from '../testing.ts'
import { readFlowchart } from './flowchart.ts'
import { readInThread, TooHard } from './reading.ts'
import { meaningOf, meanings } from './shapes.ts'
import { slugOf } from './skeleton.ts'

type Refusal = { code: string; message: string; details: { field: string; message: string }[] }

const shapesOf = async (text: string) => (await readFlowchart(text)).nodes.map(({ id, shape }) => [id, shape])

test("each shape of Mermaid's is read as what it is", async () => {
  const text = `flowchart TD
    A[rect] --> B(round) --> C([stadium]) --> D[[sub]] --> E[(db)] --> F((circle)) --> G>odd]
    H{diamond} --> I{{hexagon}} --> J[/right/] --> K[\\left\\] --> L[/trapezoid\\] --> M[\\inverse/] --> N(((double)))
    O@{ shape: doc, label: "A document" } --> P`
  assert.deepEqual(Object.fromEntries(await shapesOf(text)), {
    A: 'square',
    B: 'round',
    C: 'stadium',
    D: 'subroutine',
    E: 'cylinder',
    F: 'circle',
    G: 'odd',
    H: 'diamond',
    I: 'hexagon',
    J: 'lean_right',
    K: 'lean_left',
    L: 'trapezoid',
    M: 'inv_trapezoid',
    N: 'doublecircle',
    O: 'doc',
    P: 'square',
  })
})

test('labels come without markup, entities as what they stand for, and edges with what is written at them', async () => {
  const { nodes, edges } = await readFlowchart(`graph LR
    A["Read <b>the</b><br/>invoice"] -- of \`today\` --> B["5 #lt; 6 #quot;ok#quot; #9829;"]
    B -.->|maybe| C["\`**bold** and *more*\`"]
    C ==> D & E
    D --> A`)
  assert.deepEqual(
    nodes.map(({ label }) => label),
    ['Read the invoice', '5 < 6 "ok" ♥', 'bold and more', 'D', 'E'],
  )
  assert.deepEqual(
    edges.map(({ source, target, label }) => `${source}${target}${label && ` ${label}`}`),
    ['AB of `today`', 'BC maybe', 'CD', 'CE', 'DA'],
  )
})

test('what is no flowchart is refused with its place, counted in the text as it was sent', async () => {
  const refusals: [string, RegExp][] = [
    ['flowchart TD\n  A[ --> B', /^Line 2, column \d+: .*A\[ --> B$/],
    ['---\ntitle: Claims\n---\n\n%% a comment\nflowchart TD\n  A --> B\n\n  %% another\n  B -->\n  C[', /^Line 1[01],/],
    ['sequenceDiagram\n  A->>B: hello', /of the type "sequence/],
    ['Hello.', /no Mermaid flowchart/],
    ['flowchart TD', /no nodes/],
    ['flowchart TD\n  A@{ shape: nonsense }', /No such shape: nonsense/],
    [`flowchart TD\n${Array.from({ length: 201 }, (_, i) => `n${i}`).join('\n')}`, /201 nodes; it may have 200/],
    [`flowchart TD\nA["${'"'.repeat(60_000)}`, /too long or too deep|does not understand/],
  ]
  for (const [text, pattern] of refusals) {
    await assert.rejects(readFlowchart(text), (error: Refusal) => {
      assert.equal(error.details[0]?.field, 'mermaid_source')
      assert.match(error.details[0]?.message ?? '', pattern)
      return true
    })
  }
})

test('a text leaves nothing to the next one, and configures nothing', async () => {
  const poison = `%%{init: {"maxEdges": 0, "flowchart": {"htmlLabels": true}}}%%
flowchart TD
  __proto__["x"] --> constructor["y"] --> toString`
  const before = await readFlowchart('flowchart TD\nA --> B')
  assert.deepEqual(
    (await readFlowchart(poison)).nodes.map(({ id }) => id),
    ['__proto__', 'constructor', 'toString'],
  )
  assert.deepEqual(await readFlowchart('flowchart TD\nA --> B'), before)
})

test('a reading that does not end is ended, and so is one that takes all memory', async () => {
  const limits = { seconds: 30, memory_mb: 64, at_once: 1 }
  const program = (code: string) => new URL(`data:text/javascript,${encodeURIComponent(code)}`)
  await assert.rejects(readInThread(program('for (;;) {}'), '', { ...limits, seconds: 0.3 }), TooHard)
  await assert.rejects(
    readInThread(program('const a = []; for (;;) a.push(new Array(1e6).fill(1.5))'), '', limits),
    TooHard,
  )
  assert.equal((await readFlowchart('flowchart TD\nA')).nodes.length, 1, 'others are read afterwards')
})

test('many flowcharts at once are all read', async () => {
  const read = await Promise.all(Array.from({ length: 6 }, (_, i) => readFlowchart(`flowchart TD\nN${i} --> M`)))
  assert.deepEqual(
    read.map(({ nodes }) => nodes[0]?.id),
    ['N0', 'N1', 'N2', 'N3', 'N4', 'N5'],
  )
})

test('the documentation has each shape with its meaning, and no other', () => {
  const page = readFileSync(new URL('../../../docs/solutions.md', import.meta.url), 'utf8')
  const documented = Object.fromEntries(
    [...page.matchAll(/^\| `[^|]*` \| ([^|]+) \| ([^|]+) \|$/gm)].flatMap(([, names = '', meaning = '']) =>
      [...names.matchAll(/`([\w-]+)`/g)].map(([, name = '']) => [name, /`(\w+)`/.exec(meaning)?.[1] ?? '']),
    ),
  )
  assert.deepEqual(documented, meanings)
})

test('every type of component can be said by a class, and every type has a shape or a class', () => {
  for (const type of ComponentType.options) assert.equal(meaningOf({ shape: 'square', classes: ['x', type] }), type)
  assert.equal(meaningOf({ shape: 'constructor', classes: ['toString'] }), 'unknown')
})

test('slugs come of labels', () => {
  assert.equal(slugOf('Éclair: prüfen & zählen!', 'A'), 'eclair-prufen-zahlen')
  assert.equal(slugOf('A', 'A'), 'node-a')
  assert.equal(slugOf('請求', 'B7x'), 'b7x')
  assert.equal(slugOf('請求', '請'), 'node')
  assert.ok(slugOf('x'.repeat(300), 'A').length <= 80)
})

// ---- told through the product

const claims = `flowchart TD
  start([A claim comes]) --> read[Read the claim]
  read --> large{More than 1,000?}
  large -->|yes| ask(Ask an expert)
  large -->|no| pay[[Pay out]]
  ask --> pay
  pay --> log[(History)]
  pay --> read
  form[/Claim/] --> read
  strange@{ shape: cloud, label: "Somewhere" } --> read`

test('a flowchart becomes components by the shapes of its nodes, and a workflow by its edges', async () => {
  const { alice } = await newOrganization()

  const solution = await alice.solutions.create({ name: 'Claims', slug: 'claims', mermaid_source: claims })

  const { skeleton } = solution
  assert.equal(solution.mermaid_source, claims)
  assert.deepEqual(
    skeleton?.nodes.map(({ node_id, type, slug }) => [node_id, type, slug]),
    [
      ['read', 'code_block', 'read-the-claim'],
      [null, 'model', 'claims-model'],
      ['ask', 'agent', 'ask-an-expert'],
      ['pay', 'workflow', 'pay-out'],
      ['log', 'state', 'history'],
      ['form', 'schema', 'claim'],
    ],
  )
  assert.deepEqual(skeleton?.unknown_shapes, [{ node_id: 'strange', shape: 'cloud', label: 'Somewhere' }])
  assert.deepEqual(
    skeleton?.left_out.map(({ source, target, reason }) => [source, target, /"(\w+)"/.exec(reason)?.[1] ?? reason]),
    [
      ['large', 'ask', 'ask'],
      ['ask', 'pay', 'ask'],
      ['pay', 'log', 'log'],
      ['form', 'read', 'form'],
      ['strange', 'read', 'strange'],
      ['pay', 'read', 'It would close a circle: a workflow runs in none.'],
    ],
  )
  assert.equal(solution.component_count, 7)

  const workflow = await alice.workflows.get({ workflow_id: skeleton?.workflow_id ?? '' })
  assert.equal(workflow.slug, 'claims-workflow')
  assert.deepEqual(
    workflow.nodes.map(({ id, type }) => [id, type]),
    [
      ['read', 'code_block'],
      ['large', 'condition'],
      ['pay', 'workflow'],
    ],
  )
  assert.deepEqual(
    workflow.edges.map(({ source, target, condition }) => [source, target, condition]),
    [
      ['read', 'large', undefined],
      ['large', 'pay', undefined],
    ],
  )
  const run = await alice.workflows.execute({ workflow_id: workflow.id, input: { amount: 1 } }, { wait: 30 })
  assert.equal(run.status, 'completed', JSON.stringify(run.error))
})

test('a skeleton of every type is sound, and what can be published can be published as it is', async () => {
  const { alice } = await newOrganization()
  const types = ComponentType.options
  const mermaid_source = `flowchart TD\n${types.map((type) => `  ${type}x["The ${type}"]:::${type}`).join('\n')}`

  const { skeleton } = await alice.solutions.create({ name: 'All', slug: 'all', mermaid_source })

  assert.deepEqual(skeleton?.nodes.map(({ type }) => type).sort(), [...types].sort())
  for (const { component_id, type } of skeleton?.nodes ?? []) {
    if (type === 'agent') continue
    assert.equal((await alice.components.publish({ component_id })).status, 'published', type)
  }
})

test('each type that a workflow runs is a node of the skeleton, and runs', async () => {
  const { alice } = await newOrganization()
  const mermaid_source = 'flowchart LR\n  a[Read] --> b{{Shape}} --> c[\\Check/] --> d>Ask] --> e[[Decide]]'
  const { skeleton } = await alice.solutions.create({ name: 'Whole', slug: 'whole', mermaid_source })

  const workflow_id = skeleton?.workflow_id ?? ''
  const run = await alice.workflows.execute({ workflow_id, input: { amount: 1 } }, { wait: 30 })

  assert.equal(run.status, 'completed', JSON.stringify(run.error))
  assert.deepEqual(
    run.nodes.map(({ type }) => type),
    ['code_block', 'transform', 'validation', 'prompt', 'workflow'],
  )
})

test('decisions with answers of their own lead where the answer is', async () => {
  const { alice } = await newOrganization()
  const mermaid_source = `flowchart TD
    q{How urgent?} -->|high| one[Now]
    q -->|low| two[Later]
    q --> three[Always]
    q -->|soon| two
    q -->|never| four[Not at all]`
  const { skeleton } = await alice.solutions.create({ name: 'Urgent', slug: 'urgent', mermaid_source })

  const workflow_id = skeleton?.workflow_id ?? ''
  const run = await alice.workflows.execute({ workflow_id }, { wait: 30 })
  assert.deepEqual(
    run.nodes.map(({ id, status }) => [id, status]),
    [
      ['q', 'completed'],
      ['one', 'completed'],
      ['two', 'skipped'],
      ['three', 'completed'],
      ['four', 'skipped'],
    ],
  )
  const { edges } = await alice.workflows.get({ workflow_id })
  assert.equal(edges[1]?.condition, 'nodes["q"].output == "low" || nodes["q"].output == "soon"')
})

test('where all answers lead to the same, it is taken always; yes and no lead apart', async () => {
  const { alice } = await newOrganization()
  const mermaid_source = `flowchart TD
    q{Good?} -->|Yes| one[Keep]
    q -->|No| two[Drop]
    r{Sure?} -->|yes| three[End]
    r -->|no| three`
  const { skeleton } = await alice.solutions.create({ name: 'Good', slug: 'good', mermaid_source })
  const { edges } = await alice.workflows.get({ workflow_id: skeleton?.workflow_id ?? '' })
  assert.deepEqual(
    edges.map(({ target, condition }) => [target, condition]),
    [
      ['one', 'nodes["q"].output'],
      ['two', '!nodes["q"].output'],
      ['three', undefined],
    ],
  )
})

test('a slug that is taken gets a number, and what was there is left alone', async () => {
  const { alice } = await newOrganization()
  const fields = [{ name: 'id', type: 'string' as const }]
  const there = await alice.schemas.create({ name: 'Mine', slug: 'read', config: { fields } })
  const mermaid_source = 'flowchart TD\n  a[Read] --> b[Read] --> c[Read 2]'

  const { skeleton } = await alice.solutions.create({ name: 'Read', slug: 'reads', mermaid_source })

  assert.deepEqual(
    skeleton?.nodes.map(({ slug }) => slug),
    ['read-2', 'read-3', 'read-2-2'],
  )
  assert.deepEqual(await alice.components.get({ component_id: there.id }), there)
})

test('a new flowchart makes what is new in it, and changes nothing that is there', async () => {
  const { alice } = await newOrganization()
  const first = 'flowchart TD\n  a[One] --> b[Two]'
  const solution = await alice.solutions.create({ name: 'Grows', slug: 'grows', mermaid_source: first })
  const solution_id = solution.id
  const [one] = solution.skeleton?.nodes ?? []
  const component_id = one?.component_id ?? ''
  await alice.components.update({ component_id, slug: 'renamed', name: 'Renamed' })

  const grown = await alice.solutions.update({ solution_id, mermaid_source: `${first}\n  b --> c[Three]` })

  assert.deepEqual(
    grown.skeleton?.nodes.map(({ node_id, slug }) => [node_id, slug]),
    [
      ['a', 'renamed'],
      ['b', 'two'],
      ['c', 'three'],
    ],
  )
  assert.equal(grown.skeleton?.workflow_id, solution.skeleton?.workflow_id)
  assert.equal(grown.component_count, 4)
  const without = await alice.solutions.update({ solution_id, mermaid_source: null })
  assert.deepEqual([without.mermaid_source, without.component_count], [null, 4])
})

test('a flowchart that is refused leaves nothing behind', async () => {
  const { alice } = await newOrganization()
  const made = { name: 'Claims', slug: 'claims' }
  await assert.rejects(alice.solutions.create({ ...made, mermaid_source: 'flowchart TD\n  A[' }), {
    code: 'VALIDATION_ERROR',
  })
  await assert.rejects(alice.solutions.create({ ...made, mermaid_source: 'x'.repeat(65_537) }), {
    code: 'VALIDATION_ERROR',
  })
  assert.equal((await alice.solutions.list()).total, 0)
  const { id: solution_id } = await alice.solutions.create(made)
  await alice.solutions.update({ solution_id, status: 'archived' })
  await assert.rejects(alice.solutions.update({ solution_id, mermaid_source: 'flowchart TD\n  A' }), {
    code: 'CONFLICT',
  })
  assert.equal((await alice.components.list()).total, 0)
})

test('the same request sent twice makes one skeleton', async () => {
  const { alice } = await newOrganization()
  const input = { name: 'Once', slug: 'once', mermaid_source: 'flowchart TD\n  A[One]' }
  const sent = () => alice.solutions.create(input, { idempotency_key: 'once' })

  assert.deepEqual(await sent(), await sent())
  assert.equal((await alice.components.list()).total, 1)
})

test('a builder in one solution can draw it', async () => {
  const { alice, member } = await newOrganization()
  await testFlow()
  const { id: solution_id } = await alice.solutions.create({ name: 'Ours', slug: 'ours' })
  const { client } = await member({ role: 'solution_builder', scope: 'solution', scope_id: solution_id })

  const drawn = await client.solutions.update({ solution_id, mermaid_source: claims })

  assert.equal(drawn.component_count, 7)
})
