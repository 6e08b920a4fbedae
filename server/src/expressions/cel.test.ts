import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileExpression, ExpressionFault } from './cel.ts'
import { Budget } from './fault.ts'

const names = ['input', 'nodes', 'vars']
const variables = {
  input: {
    n: 3,
    price: 9.5,
    name: 'Ann',
    tags: ['a', 'b'],
    when: '2026-01-02T03:04:05Z',
    nothing: null,
    i: 1,
    deep: { x: { y: [1, { z: 2 }] } },
  },
  nodes: {
    clean: {
      output: {
        urgent: 4,
        rows: [
          { id: 1, p: 'low' },
          { id: 2, p: 'high' },
          { id: 3, p: 'low' },
        ],
      },
    },
  },
  vars: { limit: 10 },
}
const evaluate = (source: string) => compileExpression(source, { names }).evaluate(variables)

test('expressions give plain JSON', () => {
  const cases: [string, unknown][] = [
    ['nodes.clean.output.urgent > 0', true],
    ["input.name in ['Ann', 'Bob']", true],
    ["'limit' in vars", true],
    ['has(input.name) && !has(input.missing)', true],
    ['input.missing == 1 || true', true],
    ['input.n + 1', 4],
    ['input.n * 2 - vars.limit', -4],
    ['input.price * 2', 19],
    ['input.n / 2', 1.5],
    ['7 / 2', 3],
    ['input.n % 2 == 1', true],
    ['int(input.n) / 2', 1],
    ['input.n == 3 && input.n in [1, 2, 3] && input.n < 3.5', true],
    ['input.tags[input.i]', 'b'],
    ['input.tags[0] + "x"', 'ax'],
    ['input["name"]', 'Ann'],
    ['size(input.tags) == input.tags.size()', true],
    ['input.name.matches("^A.*n$")', true],
    ['timestamp(input.when) + duration("1h30m")', '2026-01-02T04:34:05Z'],
    ['timestamp(input.when).getHours("Europe/Berlin")', 4],
    ['timestamp("2026-07-02T22:30:00Z").getDate("+02:00")', 3],
    ['nodes.clean.output.rows.filter(r, r.p == "low").map(r, r.id)', [1, 3]],
    ['nodes.clean.output.rows.map(r, r.p == "low", {"id": r.id})', [{ id: 1 }, { id: 3 }]],
    ['nodes.clean.output.rows.exists(r, r.id > 2)', true],
    ['input.nothing == null', true],
    ['input.?missing.orValue("none")', 'none'],
    ['input.?deep.?x.y[1].z', 2],
    ['input.deep.x.y', [1, { z: 2 }]],
    ['{"a": input.n, "b": [1, 2.5, null]}', { a: 3, b: [1, 2.5, null] }],
    ['string(input.n) + "/" + string(2.5)', '3/2.5'],
    ['math.greatest(input.n, 7) + math.round(2.5)', 10],
    ['cel.bind(x, input.n + 1, x * x)', 16],
    ['"a,b,c".split(",").join("-").replace("-", "+", 1)', 'a+b-c'],
    ['input.n > 2 ? "many" : 0', 'many'],
    ['type(input.n) == double', true],
  ]
  for (const [source, wanted] of cases) assert.deepEqual(evaluate(source), wanted, source)
})

test('what is wrong is said when the expression is compiled, with the column', () => {
  const cases: [string, RegExp, number][] = [
    ['', /empty/, 0],
    ['1 +', /Unexpected token/, 4],
    ['nodes.a.output > 1 &&& x', /Unexpected character/, 22],
    ['unknown > 1', /There is no variable "unknown" here; there are "input", "nodes", "vars"/, 1],
    ['1 + unknown', /no variable/, 5],
    ['input.n.foo()', /There is no method "foo"/, 1],
    ['foo(1)', /no function "foo"|overload/i, 1],
    ['math.foo(1)', /no function "math.foo"/, 1],
    ['size(1, 2)', /overload|arguments/, 1],
    ['"a" + 1', /overload/, 1],
    ['input.n && 3', /bool/, 1],
    ['has(input)', /has\(\)/i, 1],
    ['[1, 2].map(1, 2)', /variable/, 1],
    ['1u + 2u', /Unsigned/, 1],
    ['99999999999999999999', /64 bits/, 1],
    ['x'.repeat(5000), /longer/, 0],
    [`${'('.repeat(100)}1${')'.repeat(100)}`, /depth/i, 61],
  ]
  for (const [source, sentence, column] of cases) {
    assert.throws(
      () => compileExpression(source, { names }),
      (error) => {
        assert.ok(error instanceof ExpressionFault, `${source}: ${error}`)
        assert.match(error.message, sentence, source)
        assert.ok(column === 1 ? error.column >= 1 : error.column === column, `${source}: column ${error.column}`)
        return true
      },
    )
  }
})

test('what is wrong with the values is said in a sentence that names them', () => {
  const cases: [string, RegExp][] = [
    ['input.missing == 1', /^input has no field "missing" \(it has: n, price, name/],
    ['nodes.clean.output.urgnt > 1', /^nodes.clean.output has no field "urgnt" \(it has: urgent, rows\)/],
    ['input.nothing.x', /^input.nothing is null: it has no field "x"/],
    ['input.name.x', /^input.name is a string/],
    ['input.tags[7]', /^input.tags has 2 items; there is none at 7/],
    ['input.tags["a"]', /indexed by a whole number/],
    ['input.name + input.n', /"\+" does not take a string and a number. Turn the other one into text/],
    ['input.name > input.n', /does not compare a string with a number/],
    ['input.name ? 1 : 2', /takes a boolean, not a string/],
    ['input.n == 3 && input.name', /&& takes a boolean/],
    ['1 / (vars.limit > 3 ? 0 : 1)', /divides by zero/],
    ['input.n / 0', /no place in JSON/],
    ['int("abc")', /int\(\) cannot read "abc"/],
    ['timestamp(input.name)', /is not a time/],
    ['timestamp("2026-02-30T00:00:00Z")', /is not a time/],
    ['timestamp(input.when).getHours("Mars/Base")', /no time zone "Mars\/Base"/],
    ['input.name.matches("(?=a)")', /is not a regular expression/],
    ['9223372036854775807 + 1', /64 bits/],
    ['9007199254740993', /too large for JSON/],
    ['input.n.map(x, x)', /goes over a list or an object/],
    ['input.?missing.value()', /missing/],
  ]
  for (const [source, sentence] of cases) {
    assert.throws(
      () => evaluate(source),
      (error) => {
        assert.ok(error instanceof ExpressionFault, `${source}: ${error}`)
        assert.match(error.message, sentence, source)
        return true
      },
    )
  }
})

test('a field of an object is only what the object itself has', () => {
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
    assert.equal(evaluate(`has(input.${name})`), false)
    assert.equal(evaluate(`'${name}' in input`), false)
    assert.throws(() => evaluate(`input["${name}"]`), /has no field/)
  }
  assert.throws(() => evaluate('input.tags.length'), /indexed by a whole number/)
  const made = evaluate('{"__proto__": {"polluted": true}}')
  assert.equal((made as { polluted?: boolean }).polluted, undefined)
})

test('no expression holds the thread: what walks over too much is ended', () => {
  const big = { input: { xs: Array.from({ length: 5000 }, (_, i) => ({ id: i })), text: 'ab'.repeat(200_000) } }
  const sources = [
    'input.xs.map(a, input.xs.map(b, input.xs.map(c, 1)))',
    'input.xs.all(a, input.xs.all(b, a.id >= 0 || b.id >= 0))',
    'input.xs.map(a, a in input.xs)',
    'input.xs.map(a, input.text.contains("zz"))',
    'input.xs.map(a, input.text.matches("(a|b)*c"))',
    'input.text.matches("[ab]{1,500}[ab]{1,500}c")',
    'input.xs.map(a, input.text + "x").map(s, size(s))',
    'input.xs.map(a, [input.xs, input.xs])',
    'input.xs.map(x, input.text)',
    'input.text.replace("", input.text)',
    'input.xs.map(x, input.text).join("")',
    'input.text.split("").map(c, input.xs.map(d, c))',
  ]
  for (const source of sources) {
    const expression = compileExpression(source, { names })
    assert.throws(() => expression.evaluate(big), /too costly|larger than|longer than|too large/, source)
  }
})

test('a budget is shared by everything that is evaluated with it', () => {
  const expression = compileExpression('[1, 2, 3].map(x, x + 1)', { names })
  const budget = new Budget(40)
  expression.evaluate(variables, budget)
  assert.throws(() => [1, 2, 3, 4].map(() => expression.evaluate(variables, budget)), /too costly/)
})

test('what an expression reads is known: paths, and names that are not variables', () => {
  const expression = compileExpression(
    "priority in ['low'] && nodes.a.output.xs.all(x, x > nodes['b'].output + input.y.z)",
    { names, open: true },
  )
  assert.deepEqual(
    expression.paths.map(({ names }) => names.join('.')),
    ['nodes.a.output.xs', 'nodes.b.output', 'input.y.z'],
  )
  assert.deepEqual(expression.bare, [{ name: 'priority', column: 1 }])
  assert.equal(expression.type, 'bool')
  assert.equal(expression.evaluate({ ...variables, priority: 'high' }), false)
})

test('what is merely selected is the very value, not a copy', () => {
  assert.equal(evaluate('nodes.clean.output'), variables.nodes.clean.output)
  assert.equal(evaluate('input.deep["x"].y[1]'), variables.input.deep.x.y[1])
})
