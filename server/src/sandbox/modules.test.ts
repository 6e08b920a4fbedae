import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type Module, openSandbox } from './sandbox.ts'
import { faultOf, job, outputOf } from './testing.ts'

const sandbox = await openSandbox({ workers: 1 })
after(() => sandbox.close())

const output = (code: string, modules: Module[], language: 'javascript' | 'typescript' = 'javascript') =>
  outputOf(sandbox, code, { n: 4 }, { modules, language, timeout_ms: 5000 })
const fault = (code: string, modules: Module[]) => faultOf(sandbox, code, { n: 4 }, { modules, timeout_ms: 1000 })
const module = (code: string, name = 'lib'): Module => ({ name, code })

test('code imports the modules that came with it, and they each other', async () => {
  const modules = [
    module('import { two } from "@acme/two"\nexport default (n) => n * two\nexport const name = "lib"'),
    module('export const two = 2', '@acme/two'),
  ]
  const code = `import double, { name } from 'lib'
  import * as two from '@acme/two'
  export const main = async ({ n }) => [double(n), name, two.two, (await import('lib')).default(1)]`
  assert.deepEqual(await output(code, modules), [8, 'lib', 2, 2])
  assert.deepEqual(await output(code.replace('{ n }', '{ n }: { n: number }'), modules, 'typescript'), [8, 'lib', 2, 2])
})

test('a module begins anew with every call, and the same name means another module to another block', async () => {
  const code = `import { count } from 'lib'\nexport const main = () => count()`
  const counting = [module('let calls = 0\nexport const count = () => ++calls')]
  const other = [module('export const count = () => "other"')]
  for (let i = 0; i < 4; i++) {
    assert.equal(await output(code, counting), 1)
    assert.equal(await output(code, other), 'other')
  }
})

test('a module that is first imported while the code runs is there in every call', async () => {
  const code = `export const main = async () => {
    const { default: value } = await import('lib')
    return value
  }`
  for (let i = 0; i < 3; i++) assert.equal(await output(code, [module('export default 7')]), 7)
})

test('modules that import each other in a circle come to an end', async () => {
  const modules = [
    module('import { b } from "b"\nexport const a = () => "a"\nexport const ab = () => a() + b()', 'a'),
    module('import { a } from "a"\nexport const b = () => "b" + a()', 'b'),
  ]
  assert.equal(await output("import { ab } from 'a'\nexport const main = () => ab()", modules), 'aba')
  const early = [
    module('import { b } from "b"\nexport const a = b + 1', 'a'),
    module('import { a } from "a"\nexport const b = a + 1', 'b'),
  ]
  assert.equal((await fault("import { a } from 'a'\nexport const main = () => a", early)).code, 'threw')
  const self = [module('import * as me from "lib"\nexport const x = () => Object.keys(me)')]
  assert.deepEqual(await output("import { x } from 'lib'\nexport const main = () => x()", self), ['x'])
})

test('nothing else can be imported, however it is asked for', async () => {
  const lib = [module('export const here = 1')]
  for (const name of [
    'node:fs',
    'fs',
    './lib',
    '../lib',
    'lib/',
    'LIB',
    '__proto__',
    'constructor',
    'file:///etc/passwd',
  ]) {
    const still = await fault(`import x from ${JSON.stringify(name)}\nexport const main = () => 1`, lib)
    assert.deepEqual([still.code, still.line], ['import_refused', 1], name)
    const later = `export const main = () => import(${JSON.stringify(name)}).then(() => 'there', ({ message }) => message)`
    assert.match(String(await output(later, lib)), /can't be imported: it is none of the block's modules/, name)
    const below = [module(`import ${JSON.stringify(name)}`), module('export const y = 1', 'y')]
    assert.equal((await fault("import 'lib'\nexport const main = () => 1", below)).code, 'import_refused', name)
  }
  assert.equal((await fault("import { no } from 'lib'\nexport const main = () => no", lib)).code, 'syntax')
})

test('what goes wrong in a module is told with its name and its line', async () => {
  const code = "import { go } from 'lib'\nexport const main = () => go()"
  const thrown = await fault(code, [module("\nexport function go() {\n  throw new TypeError('mine')\n}")])
  assert.deepEqual([thrown.code, thrown.line], ['threw', 3])
  assert.match(thrown.message, /TypeError: mine \(in the module "lib"\)/)
  assert.match(thrown.stack ?? '', /lib:3:\d+.*\n.*main\.js:2/s)
  const unread = await fault(code, [module('export const go = () => {\n  return +\n}')])
  assert.equal(unread.code, 'syntax')
  assert.match(unread.message, /in the module "lib"/)
})

test('a module that means harm comes to nothing', async () => {
  const code = "import 'lib'\nexport const main = () => 1"
  const ends = async (text: string) => (await fault(code, [module(text)])).code
  assert.equal(await ends('for (;;) {}'), 'timeout')
  assert.equal(await ends('await new Promise(() => {})'), 'never_resolves')
  assert.equal(await ends('const all = []; for (;;) all.push(new Array(1e4).fill(all))'), 'out_of_memory')
  assert.ok(['syntax', 'stack_overflow'].includes(await ends('['.repeat(300_000))))
  const many = Array.from({ length: 5000 }, (_, i) => `export const x${i} = ${i}`).join('\n')
  assert.equal(await output("import * as all from 'lib'\nexport const main = () => all.x4999", [module(many)]), 4999)
  const poison = "Array.prototype.map = () => 'poisoned'\nJSON.stringify = () => 'poisoned'"
  await sandbox.run(job(code, {}, { modules: [module(poison)] }))
  assert.deepEqual(await output('export const main = () => [1].map(String)', []), ['1'])
})

test('what cannot be had is refused when the block is checked, by its name', async () => {
  const check = (code: string, modules: Module[]) => sandbox.check(code, 'javascript', 'main', 'acme', [], modules)
  const code = "import { x } from 'lib'\nimport { y } from 'missing'\nexport const main = () => x + y"
  const refused = await check(code, [module('export const x = 1')])
  assert.deepEqual([refused?.code, refused?.line], ['import_refused', 2])
  assert.match(refused?.message ?? '', /"missing"/)
  assert.equal(await check(code, [module('export const x = 1'), module('export const y = 1', 'missing')]), undefined)
})
