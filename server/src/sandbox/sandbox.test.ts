// biome-ignore-all lint/suspicious/noTemplateCurlyInString: guests' programs are text here

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { openSandbox } from './sandbox.ts'
import { faultOf, job, outputOf } from './testing.ts'

const sandbox = await openSandbox({ workers: 2 })
after(() => sandbox.close())
const output = (...args: Parameters<typeof job>) => outputOf(sandbox, ...args)
const fault = (...args: Parameters<typeof job>) => faultOf(sandbox, ...args)

test('a function is called with its input and its result comes back', async () => {
  assert.deepEqual(await output('export function main({ a, b }) { return { sum: a + b } }', { a: 1, b: 2 }), { sum: 3 })
  assert.equal(await output('export const main = async ({ a }) => (await a) * 2', { a: 21 }), 42)
  assert.equal(
    await output('export default ({ name }) => `Hello ${name}`', { name: 'Zoë 🦉' }, { entry_point: 'default' }),
    'Hello Zoë 🦉',
  )
  assert.equal(await output('const f = () => 1\nexport { f as other }', {}, { entry_point: 'other' }), 1)
})

test('whatever JSON can say comes through unchanged', async () => {
  const value = {
    text: 'a\u0000b\n"\\ é 漢 🦉 \ud800',
    numbers: [0, -0.5, 1e300, 5e-324],
    deep: [[[{ a: null }]]],
    yes: true,
  }
  assert.deepEqual(await output('export const main = (input) => input', value), value)
  assert.equal(await output('export const main = (input) => input.x.length', { x: 'y'.repeat(3e6) }), 3e6)
})

test('nothing returned is null', async () => {
  assert.equal(await output('export function main() {}'), null)
})

test('TypeScript is run without its types', async () => {
  const code = `
    interface Ticket { priority: 'low' | 'high'; age?: number }
    type Report = { urgent: number }
    const isUrgent = (ticket: Ticket): boolean => ticket.priority === 'high' && (ticket.age ?? 0) > 1
    export async function main<T extends Ticket>({ tickets }: { tickets: T[] }): Promise<Report> {
      return { urgent: tickets.filter(isUrgent).length as number } satisfies Report
    }`
  const tickets = [{ priority: 'high', age: 3 }, { priority: 'low', age: 9 }, { priority: 'high' }]
  assert.deepEqual(await output(code, { tickets }, { language: 'typescript' }), { urgent: 1 })
})

test('TypeScript that would have to be compiled is refused with its place', async () => {
  const enumeration = await fault('export const main = () => 1\n  enum Color { Red }', {}, { language: 'typescript' })
  assert.match(enumeration.message, /enum is not supported/)
  assert.deepEqual([enumeration.code, enumeration.line, enumeration.column], ['syntax', 2, 3])

  const typo = await fault('export const main = () => {\n  let a: = 1\n}', {}, { language: 'typescript' })
  assert.deepEqual([typo.code, typo.line], ['syntax', 2])
})

test('an error tells the line and column of its own source, in both languages', async () => {
  const javascript = await fault('function inner() {\n  null.foo\n}\nexport function main() {\n  inner()\n}')
  assert.equal(javascript.code, 'threw')
  assert.match(javascript.message, /TypeError: .*foo/)
  assert.deepEqual([javascript.line, javascript.column], [2, 3])
  assert.match(javascript.stack ?? '', /^at inner \(main\.js:2:3\)\nat main \(main\.js:5:/)

  const code =
    'type A = { a: number }\nexport async function main(a: A) {\n  await 0\n  throw new RangeError(`no ${a.a}`)\n}'
  const typescript = await fault(code, { a: 7 }, { language: 'typescript' })
  assert.equal(typescript.message, 'RangeError: no 7')
  assert.equal(typescript.line, 4)
  assert.match(typescript.stack ?? '', /^at main \(main\.ts:4:/)

  const syntax = await fault('export function main() {\n  return 1 + ;\n}')
  assert.deepEqual([syntax.code, syntax.line, syntax.column], ['syntax', 2, 14])

  const topLevel = await fault('const a = 1\nundefined.x\nexport const main = () => a')
  assert.deepEqual([topLevel.code, topLevel.line], ['threw', 2])
})

test('a syntax error of data is not one of the code', async () => {
  assert.equal((await fault("export const main = () => JSON.parse('{')")).code, 'threw')
})

test('what was thrown need not be an error', async () => {
  assert.equal((await fault("export const main = () => { throw 'plain words' }")).message, 'plain words')
  assert.equal((await fault('export const main = () => { throw undefined }')).message, 'It threw undefined.')
  assert.equal((await fault('export const main = () => { throw { a: [1] } }')).message, 'It threw { a: [1] }.')
  assert.equal(
    (await fault("export const main = () => Promise.reject(new Error('a', { cause: new Error('b') }))")).message,
    'Error: a (cause: b)',
  )
})

test('a result that is not JSON is refused with the reason', async () => {
  const refusals = {
    'return () => 1': /a function/,
    'return Symbol("s")': /a symbol/,
    'return { n: 1n }': /BigInt/,
    'const a = []; a.push(a); return a': /circular/,
    'return { toJSON() { throw new Error("mine") } }': /mine/,
  }
  for (const [body, reason] of Object.entries(refusals)) {
    const { code, message } = await fault(`export function main() { ${body} }`)
    assert.equal(code, 'not_json', body)
    assert.match(message, reason)
  }
})

test('an input that is not JSON, or too large, is refused', async () => {
  assert.equal((await fault('export const main = () => 1', 1n)).code, 'input_not_json')
  assert.equal((await fault('export const main = () => 1', { x: 'x'.repeat(9 << 20) })).code, 'input_too_large')
})

test('a source that is too large is refused', async () => {
  const comment = `//${'x'.repeat(300 * 1024)}\n`
  assert.equal(
    (await fault(`${comment}export const main = () => 1`, {}, { language: 'typescript' })).code,
    'source_too_large',
  )
  assert.equal(await output(`${comment}export const main = () => 1`), 1)
})

test('a missing entry point is named, with what there is', async () => {
  assert.match(
    (await fault('export const run = () => 1\nexport const other = 2')).message,
    /no function "main"\. It exports other, run\./,
  )
  assert.match((await fault('function main() {}')).message, /exports nothing/)
  assert.match((await fault('export const main = 7')).message, /"main" is no function but number/)
})

test('code can be checked without being called', async () => {
  assert.equal(await sandbox.check('export function main() { throw 1 }', 'javascript', 'main'), undefined)
  assert.equal(await sandbox.check('export function main(a: number) {}', 'typescript', 'main'), undefined)
  assert.equal((await sandbox.check('export function main( {}', 'javascript', 'main'))?.code, 'syntax')
  assert.equal((await sandbox.check('export const a = 1', 'javascript', 'main'))?.code, 'no_entry_point')
  assert.equal((await sandbox.check("import fs from 'fs'", 'javascript', 'main'))?.code, 'import_refused')
  assert.equal((await sandbox.check('for (;;) {}', 'javascript', 'main'))?.code, 'timeout')
})

test('an import is refused with its line', async () => {
  const refused = await fault(
    "// reads\n\nimport { readFileSync } from 'node:fs'\nexport const main = () => readFileSync",
  )
  assert.deepEqual([refused.code, refused.line], ['import_refused', 3])
  assert.match(refused.message, /"node:fs" can't be imported/)
})

test('what is printed comes back in order, with its level and time', async () => {
  const code = `export async function main() {
    console.log('a', { b: [1, 'two'] }, null, undefined, 3n)
    await new Promise((resolve) => setTimeout(resolve, 30))
    console.error(new Map([['k', new Set([1])]]))
    console.warn(new Error('oh').message)
  }`
  const { logs } = await sandbox.run(job(code))
  assert.deepEqual(
    logs.map(({ level, message }) => [level, message]),
    [
      ['info', 'a { b: [1, "two"] } null undefined 3n'],
      ['error', 'Map(1) { k: Set(1) [1] }'],
      ['warn', 'oh'],
    ],
  )
  assert.ok((logs[1]?.at_ms ?? 0) >= 25)
})

test('a log that is too long is cut and says so, and what was printed before an error is kept', async () => {
  const { logs } = await sandbox.run(
    job("export const main = () => { for (let i = 0; i < 1e4; i++) console.log('x'.repeat(100)) }"),
  )
  assert.match(logs.at(-1)?.message ?? '', /log is full/)
  assert.ok(logs.reduce((sum, { message }) => sum + message.length, 0) <= 256 * 1024)

  const failed = await sandbox.run(
    job("export const main = () => { console.log('before'); for (;;) {} }", {}, { timeout_ms: 100 }),
  )
  assert.equal(failed.logs[0]?.message, 'before')
})

test('the usual globals of the web are there', async () => {
  const code = `export async function main() {
    const url = new URL('/a?b=c', 'http://MÜNCHEN.example:80/x')
    url.searchParams.append('d', 'é f')
    const params = new URLSearchParams({ a: 1, b: 'x y' })
    params.delete('a')
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode('abc'))
    const clone = structuredClone({ at: new Date(0), set: new Set([1]) })
    return {
      url: url.href,
      query: [...new URLSearchParams([['k', 'v']])],
      params: String(params),
      text: new TextDecoder().decode(new Uint8Array([0xe2, 0x82, 0xac])),
      base64: atob(btoa('hi')),
      digest: new Uint8Array(digest)[0],
      clone: clone.at.getTime() + clone.set.size,
      id: /^[0-9a-f-]{36}$/.test(crypto.randomUUID()),
      zone: new Date(0).getTimezoneOffset(),
    }
  }`
  assert.deepEqual(await output(code), {
    url: 'http://xn--mnchen-3ya.example/a?b=c&d=%C3%A9+f',
    query: [['k', 'v']],
    params: 'b=x+y',
    text: '€',
    base64: 'hi',
    digest: 0xba,
    clone: 1,
    id: true,
    zone: 0,
  })
})

test('chance and time are new in every call, also at the top level', async () => {
  const code = `const top = [Math.random(), crypto.randomUUID(), Date.now()]
  export const main = () => [...top, Math.random(), crypto.randomUUID()]`
  const results: unknown[][] = []
  for (let i = 0; i < 6; i++) results.push((await output(code)) as unknown[])
  for (const column of [0, 1, 3, 4])
    assert.equal(new Set(results.map((result) => result[column])).size, 6, `column ${column}`)
  assert.ok(Math.abs(Number(results[5]?.[2]) - Date.now()) < 5000)
})

test('a module begins anew with every call', async () => {
  const code = `let calls = 0
  const seen = []
  export const main = ({ x }) => { seen.push(x); return [++calls, seen, globalThis.left] }`
  await output('globalThis.left = 1\nexport const main = () => { globalThis.left = 2 }')
  for (let x = 0; x < 6; x++) assert.deepEqual(await output(code, { x }), [1, [x], null])
})

test('timers wait, and end with the run', async () => {
  const code = `export async function main() {
    const order = []
    const cancelled = setTimeout(() => order.push('never'), 5)
    clearTimeout(cancelled)
    setTimeout(() => order.push('late'), 10_000)
    await Promise.all([30, 10, 20].map((ms) => new Promise((resolve) => setTimeout(() => resolve(order.push(ms)), ms))))
    return order
  }`
  const verdict = await sandbox.run(job(code))
  assert.deepEqual(verdict.status === 'success' && verdict.output, [10, 20, 30])
  assert.ok(verdict.duration_ms < 9000)
})

test('the host is called with what the guest says and answers in its own time', async () => {
  const asked: unknown[] = []
  const host = async (method: string, args: unknown) => {
    asked.push([method, args])
    if (method === 'fail') throw new Error('There is no such secret.')
    return method === 'echo' ? args : undefined
  }
  const code = `export async function main() {
    const both = await Promise.all([flow.call('echo', { a: 1 }), flow.call('nothing')])
    const refused = await flow.call('fail', 1).catch((error) => error.message)
    return [...both, refused]
  }`
  assert.deepEqual(await output(code, {}, { host }), [{ a: 1 }, null, 'There is no such secret.'])
  assert.deepEqual(asked, [
    ['echo', { a: 1 }],
    ['nothing', null],
    ['fail', 1],
  ])
})

test('calls to the host are refused without one, before the run, and beyond the quota', async () => {
  assert.match((await fault("export const main = () => flow.call('x')")).message, /no host to call/)
  const host = async () => 1
  assert.match(
    (await fault("await flow.call('x')\nexport const main = () => 1", {}, { host })).message,
    /only while the entry point runs/,
  )

  let calls = 0
  const counting = async () => ++calls
  const flood = 'export async function main() { for (let i = 0; ; i++) await flow.call("x", i) }'
  assert.match((await fault(flood, {}, { host: counting, timeout_ms: 5000 })).message, /too many calls/)
  assert.equal(calls, 1000)
})

test('a result cannot be forged, nor a prototype smuggled out', async () => {
  const code = `export function main() {
    Object.prototype.forged = 1
    JSON.stringify = () => '"forged"'
    Promise.prototype.then = () => { throw 1 }
    return JSON.parse('{"__proto__": {"admin": true}, "own": 1}')
  }`
  const result = (await output(code)) as Record<string, unknown>
  assert.deepEqual(Object.keys(result), ['own'])
  assert.equal(Object.assign({}, result).admin, undefined)
})

test('many sources are kept apart, though not all of them are kept', async () => {
  const filler = `// ${'x'.repeat(150_000)}\n`
  const runs = Array.from({ length: 100 }, (_, i) => {
    const x = i % 50
    return output(`${filler}export const main = () => ${x}`, {}, { timeout_ms: 20_000 }).then((result) =>
      assert.equal(result, x),
    )
  })
  await Promise.all(runs)
})

test('a module with much at its top level is loaded like any other', async () => {
  const code =
    'const table = Array.from({ length: 50000 }, (_, i) => ({ i }))\nexport const main = ({ i }) => table[i].i'
  for (const i of [0, 7, 49_999]) assert.equal(await output(code, { i }), i)
})

test('an input that does not fit into the memory a run may have ends only that run', async () => {
  assert.equal(
    (await fault('export const main = (x) => x.length', 'x'.repeat(8_300_000), { memory_mb: 16 })).code,
    'out_of_memory',
  )
  assert.equal(await output('export const main = () => 1'), 1)
})

test('what one tenant poisons the next does not find', async () => {
  const poison = `export function main() {
    globalThis.left = 'a secret'
    Object.prototype.polluted = 1
    Array.prototype.map = () => 'poisoned'
    JSON.parse = () => ({ forged: true })
    Promise.prototype.then = function () { for (;;) {} }
    globalThis.keep = new Uint8Array(3e6).fill(65)
    return 1
  }`
  const look = `export async function main({ x }) {
    await 0
    return [typeof globalThis.left, ({}).polluted ?? null, [1].map((y) => y + x), JSON.parse('[2]'), typeof keep]
  }`
  const rounds = Array.from({ length: 300 }, (_, x) =>
    x % 2 === 0
      ? output(poison, {}, { tenant: 'mallory' })
      : output(look, { x }, { tenant: `victim-${x % 5}` }).then((seen) =>
          assert.deepEqual(seen, ['undefined', null, [1 + x], [2], 'undefined']),
        ),
  )
  await Promise.all(rounds)
})

test('memory beyond the limit ends a run, and less does not', async () => {
  const code = `export function main({ mb }) {
    const kept = []
    for (let i = 0; i < mb; i++) kept.push(new Uint8Array(1 << 20).fill(1))
    return kept.length
  }`
  assert.equal(await output(code, { mb: 40 }, { memory_mb: 64 }), 40)
  assert.equal((await fault(code, { mb: 80 }, { memory_mb: 64 })).code, 'out_of_memory')
  assert.equal(await output(code, { mb: 80 }, { memory_mb: 128 }), 80)
  const verdict = await sandbox.run(job(code, { mb: 20 }))
  assert.ok((verdict.memory_bytes ?? 0) > 20e6)
})
