import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TooLarge } from './fault.ts'
import { compileTemplate } from './template.ts'

const names = ['input', 'nodes', 'vars']
const variables = { input: { n: 3, name: 'Ann', list: [1, 2], nothing: null, yes: true }, nodes: {}, vars: {} }

function render(template: unknown): unknown {
  const { template: compiled, faults } = compileTemplate(template, { names })
  assert.deepEqual(faults, [])
  return compiled.render(variables)
}

test('templates become JSON, and values keep their type', () => {
  const cases: [unknown, unknown][] = [
    ['{{ input.n }}', 3],
    ['{{input}}', variables.input],
    ['  {{ input.n }}', '  3'],
    [
      'n is {{ input.n }}, list is {{ input.list }}, nothing is "{{ input.nothing }}"',
      'n is 3, list is [1,2], nothing is ""',
    ],
    ['{{ input.name }}{{ input.yes }}', 'Anntrue'],
    ['plain', 'plain'],
    ['a } b { c', 'a } b { c'],
    [
      { a: ['{{ input.n + 1 }}', { b: '{{ input.list[0] }}' }], c: 1, d: null },
      { a: [4, { b: 1 }], c: 1, d: null },
    ],
    ['{{ {"a": {"b": "}}"}} }}', { a: { b: '}}' } }],
    ["{{ '{{' }}", '{{'],
    [5, 5],
    [null, null],
    [[], []],
  ]
  for (const [template, wanted] of cases) assert.deepEqual(render(template), wanted, JSON.stringify(template))
})

test('every fault of a template is told, with its place', () => {
  const { faults } = compileTemplate({ a: '{{ nope }}', b: ['{{ 1 + }}', 'x {{ input.n'], 'c d': '{{ }}' }, { names })
  assert.deepEqual(
    faults.map(({ place }) => place),
    ['.a', '.b[0]', '.b[1]', '.c d'],
  )
  for (const { message } of faults) assert.match(message, /\.$/)
})

test('a whole value that is selected is not copied', () => {
  assert.equal(render('{{ input }}'), variables.input)
  assert.equal((render({ all: '{{ input.list }}' }) as { all: unknown }).all, variables.input.list)
})

test('a template is as large as its JSON, its own text and its keys included', () => {
  const templates = [
    '{{ input }}',
    'plain "text"',
    { a: ['{{ input.n }}', '{{ input.name }} and {{ input.list }}', null, 1.5, {}, []], 'b"': '{{ input.list }}' },
  ]
  for (const template of templates) {
    const { template: compiled } = compileTemplate(template, { names })
    const { length } = JSON.stringify(compiled.render(variables))
    assert.deepEqual(compiled.render(variables, length), compiled.render(variables))
    assert.throws(() => compiled.render(variables, length - 1), TooLarge, JSON.stringify(template))
  }
})

test('what is put in many times ends the rendering where it has no more room', () => {
  const s = 'x'.repeat(1_000_000)
  let reads = 0
  const input = {
    get s() {
      reads++
      return s
    },
  }
  const { template } = compileTemplate(
    Object.fromEntries(Array.from({ length: 700 }, (_, i) => [`o${i}`, '{{ input.s }}'])),
    {
      names,
    },
  )
  assert.throws(() => template.render({ input }, 8 * 1024 * 1024), TooLarge)
  assert.ok(reads < 30, `it was read ${reads} times`)
})

test('a text of many values is refused before the values are written', () => {
  const list = Array.from({ length: 200_000 }, (_, i) => i)
  const { template } = compileTemplate(`all: ${'{{ input }} '.repeat(700)}`, { names })
  assert.throws(() => template.render({ input: list }), TooLarge)
})
