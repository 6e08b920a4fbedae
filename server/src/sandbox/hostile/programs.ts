/** Programs that mean harm, each with the only verdicts it may come to. To add one is to add
 *  an entry. Who may be ended by the clock has 100 ms for it,
 *  the others two seconds; each has 32 MB, unless it says otherwise. */

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the programs are text here

import type { FaultCode } from '../verdict.ts'

export type Hostile = {
  does: string
  code: string
  /** What it may end with, or … */
  ends?: FaultCode[]
  /** … what it returns: how little it saw. */
  gives?: unknown
  language?: 'typescript'
  memory_mb?: number
  timeout_ms?: number
  input?: unknown
}

const main = (body: string) => `export function main(input) {\n${body}\n}`
const asyncMain = (body: string) => `export async function main(input) {\n${body}\n}`

const loops: Hostile[] = [
  { does: 'loops for ever', code: main('for (;;) {}'), ends: ['timeout'] },
  { does: 'loops for ever at the top level', code: 'for (;;) {}\nexport const main = () => 1', ends: ['timeout'] },
  {
    does: 'catches its own end and goes on',
    code: main('for (;;) { try { for (;;) {} } catch {} finally { continue } }'),
    ends: ['timeout'],
  },
  { does: 'loops in promises', code: asyncMain('for (;;) await 0'), ends: ['timeout'] },
  {
    does: 'loops in a chain of thens',
    code: main('const again = () => Promise.resolve().then(again)\nreturn again()'),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'leaves a loop of promises behind',
    code: main('const again = () => Promise.resolve().then(again)\nagain()\nreturn 1'),
    gives: 1,
  },
  {
    does: 'loops with queueMicrotask',
    code: main('const again = () => queueMicrotask(again)\nagain()\nreturn new Promise(() => {})'),
    ends: ['timeout'],
  },
  { does: 'loops in a getter of its result', code: main('return { get a() { for (;;) {} } }'), ends: ['timeout'] },
  { does: 'loops in toJSON', code: main('return { toJSON() { for (;;) {} } }'), ends: ['timeout'] },
  {
    does: 'loops in a proxy of its result',
    code: main('return new Proxy({}, { ownKeys() { for (;;) {} } })'),
    ends: ['timeout'],
  },
  { does: 'loops in a then', code: main('return { then() { for (;;) {} } }'), ends: ['timeout'] },
  { does: "loops in an error's message", code: main('throw { get message() { for (;;) {} } }'), ends: ['timeout'] },
  {
    does: "loops in an error's stack",
    code: main("const e = new Error('x')\nObject.defineProperty(e, 'stack', { get() { for (;;) {} } })\nthrow e"),
    ends: ['timeout'],
  },
  {
    does: 'loops in prepareStackTrace',
    code: main('Error.prepareStackTrace = () => { for (;;) {} }\nnull.x'),
    ends: ['timeout'],
  },
  {
    does: 'loops in what it prints',
    code: main(
      'console.log({ get a() { return 1 }, [Symbol.toPrimitive]() { for (;;) {} } }, new Proxy({}, { ownKeys() { for (;;) {} } }))\nreturn 1',
    ),
    ends: ['timeout'],
  },
  {
    does: 'loops in a regular expression',
    code: main("return /^(a+)+$/.test('a'.repeat(64) + 'b')"),
    ends: ['timeout'],
  },
  {
    does: 'loops in a replace',
    code: main("return 'a'.repeat(50000).replace(/(a|aa)+$/g, '').length + /^((a|a)*)*$/.test('a'.repeat(64) + 'b')"),
    ends: ['timeout'],
  },
  { does: 'loops in a comparison', code: main('return [3, 2, 1].sort(() => { for (;;) {} })'), ends: ['timeout'] },
  {
    does: 'loops in a generator',
    code: main('function* g() { for (;;) yield 1 }\nfor (const _ of g()) {}'),
    ends: ['timeout'],
  },
  {
    does: 'spreads an endless iterator',
    code: main('return [...{ *[Symbol.iterator]() { for (;;) yield 1 } }]'),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'loops in a destructor of a using',
    code: main(
      'const x = { [Symbol.dispose]() { for (;;) {} } }\nconst s = new DisposableStack()\ns.use(x)\ns.dispose()',
    ),
    ends: ['timeout'],
  },
  { does: 'loops in eval', code: main("return (0, eval)('for (;;) {}')"), ends: ['timeout'] },
  {
    does: 'sorts a large array',
    code: main(
      'const a = new Array(2e6)\nfor (let i = 0; i < a.length; i++) a[i] = (i * 7919) % 2000003\nreturn a.sort((x, y) => x - y).length',
    ),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'raises a large number to a large power',
    code: main('return String((12345678901234567890n ** 20000n) ** 30n).length'),
    ends: ['timeout', 'out_of_memory', 'threw'],
  },
  {
    does: 'multiplies large numbers without end',
    code: main('let x = 3n\nfor (;;) x = x * x'),
    ends: ['timeout', 'out_of_memory', 'threw'],
  },
  {
    does: 'searches a string in a string, quadratically',
    code: main("const s = 'a'.repeat(4e6)\nlet n = 0\nfor (;;) n += s.indexOf('a'.repeat(2e6) + 'b')"),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'fills a long array',
    code: main('for (;;) new Array(5e5).fill(0).map(String).join().split(",").reverse()'),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'normalizes a long string',
    code: main("const s = 'e\\u0301'.repeat(1e6)\nfor (;;) s.normalize('NFC').normalize('NFD')"),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'parses deep JSON without end',
    code: main("const s = '[1,'.repeat(1000) + '1' + ']'.repeat(1000)\nfor (;;) JSON.stringify(JSON.parse(s))"),
    ends: ['timeout'],
  },
  {
    does: 'walks a sparse array with a huge length',
    code: main('const a = []\na.length = 4294967295\nreturn a.indexOf(1)'),
    ends: ['timeout'],
  },
  {
    does: 'joins a sparse array with a huge length',
    code: main('const a = []\na.length = 4294967295\nreturn a.join("")'),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'copies a huge array-like',
    code: main('return Array.prototype.slice.call({ length: 2 ** 53 - 1 }, 0).length'),
    ends: ['timeout', 'threw', 'out_of_memory'],
  },
  {
    does: 'hashes without end',
    code: asyncMain("const d = new Uint8Array(4e6)\nfor (;;) await crypto.subtle.digest('SHA-512', d)"),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'derives a key with a billion rounds',
    code: asyncMain(
      "const k = await crypto.subtle.importKey('raw', new Uint8Array(8), 'PBKDF2', false, ['deriveBits'])\nreturn crypto.subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-512', salt: new Uint8Array(8), iterations: 1e9 }, k, 512)",
    ),
    ends: ['timeout', 'threw'],
  },
]

const bombs: Hostile[] = [
  {
    does: 'keeps arrays of bytes',
    code: main('const a = []\nfor (;;) a.push(new Uint8Array(1e6))'),
    ends: ['out_of_memory'],
  },
  {
    does: 'keeps objects',
    code: main('const a = []\nfor (;;) a.push({ a: { b: {} } })'),
    ends: ['out_of_memory', 'timeout'],
  },
  {
    does: 'keeps closures',
    code: main('let f = () => 0\nfor (;;) { const g = f\nf = () => g }'),
    ends: ['out_of_memory', 'timeout'],
  },
  { does: 'doubles a string', code: main("let s = 'x'\nfor (;;) s += s"), ends: ['out_of_memory', 'threw'] },
  {
    does: 'asks for one huge buffer',
    code: main('return new ArrayBuffer(2 ** 31).byteLength'),
    ends: ['out_of_memory', 'threw'],
  },
  {
    does: 'grows a resizable buffer',
    code: main('const b = new ArrayBuffer(8, { maxByteLength: 2 ** 32 })\nb.resize(2 ** 31)\nreturn b.byteLength'),
    ends: ['out_of_memory', 'threw'],
  },
  {
    does: 'repeats a string beyond its limit',
    code: main("return 'abc'.repeat(2 ** 29).length"),
    ends: ['out_of_memory', 'threw'],
  },
  {
    does: 'pads a string beyond its limit',
    code: main("return 'a'.padStart(2 ** 30 - 2).length"),
    ends: ['out_of_memory', 'threw'],
  },
  {
    does: 'fills a map',
    code: main('const m = new Map()\nfor (let i = 0; ; i++) m.set(i, i)'),
    ends: ['out_of_memory', 'timeout'],
  },
  {
    does: 'makes symbols and property names',
    code: main("const o = {}\nfor (let i = 0; ; i++) o['p' + i] = Symbol('s' + i)"),
    ends: ['out_of_memory', 'timeout'],
  },
  {
    does: 'keeps promises',
    code: asyncMain('const a = []\nfor (;;) { a.push(new Promise(() => {})); if (a.length % 100 === 0) await 0 }'),
    ends: ['out_of_memory', 'timeout'],
  },
  {
    does: 'catches its lack of memory and asks again',
    code: main('const a = []\nfor (;;) { try { for (;;) a.push(new Uint8Array(1e6)) } catch {} }'),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'compiles functions without end',
    code: main("const a = []\nfor (let i = 0; ; i++) a.push(new Function('return ' + 'x'.repeat(1000) + i))"),
    ends: ['out_of_memory', 'timeout'],
  },
  { does: 'returns more than may leave', code: main("return 'x'.repeat(2e6)"), ends: ['output_too_large'] },
  { does: 'throws a huge message', code: main("throw new Error('x'.repeat(8e6))"), ends: ['threw'] },
  {
    does: 'keeps URLs',
    code: main("const a = []\nfor (let i = 0; ; i++) a.push(new URL('http://a.example/' + 'x'.repeat(1000) + i))"),
    ends: ['out_of_memory', 'timeout'],
  },
  {
    does: 'clones without end',
    code: main('const a = []\nfor (;;) a.push(structuredClone(new Array(1000).fill({ a: 1 })))'),
    ends: ['out_of_memory', 'timeout'],
  },
  {
    does: 'encodes without end',
    code: main("const a = []\nconst s = 'é'.repeat(1e5)\nfor (;;) a.push(new TextEncoder().encode(s))"),
    ends: ['out_of_memory', 'timeout'],
  },
]

const depths: Hostile[] = [
  { does: 'recurses without end', code: main('const f = () => f() + 1\nreturn f()'), ends: ['stack_overflow'] },
  {
    does: 'recurses through toString',
    code: main('const o = { toString() { return `${o}` } }\nreturn `${o}`'),
    ends: ['stack_overflow'],
  },
  {
    does: 'recurses through a proxy',
    code: main('const p = new Proxy({}, {})\nObject.setPrototypeOf(p, p)\nreturn p.x'),
    ends: ['stack_overflow', 'threw', 'crashed'],
  },
  {
    does: 'recurses through bound functions',
    code: main('let f = () => 1\nfor (let i = 0; i < 1e5; i++) f = f.bind(null)\nreturn f()'),
    ends: ['stack_overflow', 'out_of_memory'],
  },
  {
    does: 'returns a deep array',
    code: main('let a = []\nfor (let i = 0; i < 1e5; i++) a = [a]\nreturn a'),
    ends: ['stack_overflow', 'not_json'],
  },
  {
    does: 'returns an array deeper than anybody reads',
    code: main('let a = []\nfor (let i = 0; i < 500; i++) a = [a]\nreturn a'),
    ends: ['not_json'],
  },
  {
    does: 'is nested too deeply to be parsed',
    code: main(`return ${'('.repeat(20_000)}1${')'.repeat(20_000)}`),
    ends: ['stack_overflow', 'syntax'],
  },
  {
    does: 'is nested too deeply for the stripper',
    code: main(`return ${'('.repeat(20_000)}1${')'.repeat(20_000)}`),
    ends: ['syntax'],
    language: 'typescript',
  },
  {
    does: 'chains ten thousand sums for the stripper',
    code: main(`return ${'1+'.repeat(60_000)}1`),
    ends: ['syntax', 'stack_overflow'],
    language: 'typescript',
  },
  {
    does: 'writes a deep regular expression',
    code: main("return new RegExp('('.repeat(50000) + ')'.repeat(50000)).test('')"),
    ends: ['stack_overflow', 'threw', 'syntax', 'crashed'],
  },
  {
    does: 'evaluates deep source',
    code: main("return (0, eval)('['.repeat(50000) + ']'.repeat(50000))"),
    ends: ['stack_overflow', 'syntax', 'crashed'],
  },
  {
    does: 'clones a deep object',
    code: main('let a = {}\nfor (let i = 0; i < 1e5; i++) a = { a }\nreturn structuredClone(a)'),
    ends: ['stack_overflow', 'threw', 'crashed', 'out_of_memory'],
  },
  {
    does: 'prints a deep object',
    code: main('let a = {}\nfor (let i = 0; i < 1e4; i++) a = { a }\nconsole.log(a)\nreturn 1'),
    gives: 1,
  },
]

const names = [
  'process',
  'require',
  'module',
  'fetch',
  'WebAssembly',
  'Atomics',
  'SharedArrayBuffer',
  'Deno',
  'Bun',
  'std',
  'os',
  'scriptArgs',
  'XMLHttpRequest',
  'Worker',
  'importScripts',
  'Buffer',
  'global',
  'navigator',
  'performance',
  '__call',
  '__print',
  '__sleep',
  '__end',
]

const escapes: Hostile[] = [
  {
    does: 'looks for what a host would have',
    code: main(`return [${names.map((name) => `typeof ${name}`).join(', ')}].filter((type) => type !== 'undefined')`),
    gives: [],
  },
  {
    does: 'lists its globals',
    code: main(
      'return Object.getOwnPropertyNames(globalThis).filter((name) => /process|require|import|host|node|wasm|__/i.test(name))',
    ),
    gives: [],
  },
  {
    does: 'reaches out through the constructor of a function',
    code: main("return typeof console.log.constructor('return this')().process"),
    gives: 'undefined',
  },
  {
    does: 'reaches out through the constructor of its input',
    code: main("return typeof input.constructor.constructor('return this')().process"),
    gives: 'undefined',
    input: { a: 1 },
  },
  {
    does: 'reaches out through an async function',
    code: asyncMain("const F = (async () => {}).constructor\nreturn typeof (await F('return globalThis')()).process"),
    gives: 'undefined',
  },
  {
    does: 'reaches out through what a refused import throws',
    code: asyncMain(
      "try { await import('fs') } catch (e) { return [typeof e.constructor.constructor('return this')().process, /node:|file:|\\/worker\\//.test(String(e.stack))] }",
    ),
    gives: ['undefined', false],
  },
  {
    does: 'imports a module of Node',
    code: "import fs from 'node:fs'\nexport const main = () => fs.readFileSync('/etc/passwd', 'utf8')",
    ends: ['import_refused'],
  },
  {
    does: 'imports from the network',
    code: "import x from 'https://example.com/x.js'\nexport const main = () => x",
    ends: ['import_refused'],
  },
  {
    does: 'exports from elsewhere',
    code: "export * from '/etc/passwd'\nexport const main = () => 1",
    ends: ['import_refused'],
  },
  {
    does: 'imports itself',
    code: "import { main as other } from 'main.js'\nexport const main = () => other()",
    ends: ['import_refused', 'stack_overflow'],
  },
  { does: 'imports while it runs', code: asyncMain("return import('node:child_process')"), ends: ['threw'] },
  {
    does: 'asks what module it is',
    code: main(
      'return [typeof import.meta, Object.keys(import.meta).map((key) => String(import.meta[key])).filter((value) => /file:|\\/home|\\/work/.test(value))]',
    ),
    gives: ['object', []],
  },
  {
    does: 'walks its own stack',
    code: main(
      'Error.prepareStackTrace = (_, frames) => frames\nconst frames = new Error().stack\nreturn frames.map((frame) => typeof frame.getThis?.()).filter((type) => type !== "undefined")',
    ),
    gives: [],
  },
  {
    does: 'reads the callers of its function',
    code: 'export function main() {\n  const seen = []\n  for (const key of ["caller", "arguments"]) { try { seen.push(typeof main[key]) } catch { seen.push("refused") } }\n  return seen.includes("function")\n}',
    gives: false,
  },
  {
    does: 'poisons JSON to forge what is read',
    code: main('JSON.stringify = () => \'{"forged":1}\'\nJSON.parse = () => ({ forged: 2 })\nreturn { honest: true }'),
    gives: { honest: true },
  },
  {
    does: 'poisons promises to see who waits for it',
    code: asyncMain(
      'const seen = []\nconst then = Promise.prototype.then\nPromise.prototype.then = function (...a) { seen.push(String(a[0])); return then.apply(this, a) }\nawait 0\nreturn seen.filter((source) => /hostEnd|end\\(/.test(source))',
    ),
    gives: [],
  },
  {
    does: 'poisons everything that has a name',
    code: main(
      "for (const name of Object.getOwnPropertyNames(globalThis)) { const it = globalThis[name]\nif (typeof it !== 'function' || !it.prototype || name === 'Object') continue\nfor (const key of Object.getOwnPropertyNames(it.prototype)) { if (key === 'constructor') continue; try { it.prototype[key] = () => { throw 1 } } catch {} } }\nreturn 7",
    ),
    gives: 7,
  },
  {
    does: 'poisons Object.prototype with setters',
    code: main(
      "for (const key of ['kind', 'message', 'stack', 'found', 'exports', 'value', 'get', 'then', 'toJSON']) Object.defineProperty(Object.prototype, key, { __proto__: null, set() { for (;;) {} }, get() { return undefined }, configurable: true })\nreturn { a: 1 }",
    ),
    gives: { a: 1 },
  },
  {
    does: 'calls a host that is not there',
    code: asyncMain("return flow.call('secrets.get', { name: 'x' })"),
    ends: ['threw'],
  },
  {
    does: 'floods a host that is not there',
    code: asyncMain("for (let i = 0; ; i++) { try { await flow.call('x', i) } catch {} }"),
    ends: ['timeout', 'threw'],
  },
  {
    does: 'changes the object it calls the host with',
    code: main("'use strict'\ntry { flow.call = () => 1 } catch { return 'frozen' }"),
    gives: 'frozen',
  },
  {
    does: 'reaches the functions behind its console',
    code: main(
      "return Object.getOwnPropertyNames(console).map((name) => String(console[name])).filter((source) => source.includes('hostPrint(')).length",
    ),
    gives: 0,
  },
  {
    does: 'evaluates WebAssembly by another name',
    code: main("return typeof globalThis['Web' + 'Assembly']"),
    gives: 'undefined',
  },
  { does: 'waits on shared memory', code: main('return typeof Atomics'), gives: 'undefined' },
  {
    does: 'measures time finely',
    code: main(
      'const seen = new Set()\nconst until = Date.now() + 20\nwhile (Date.now() < until) seen.add(Date.now() % 1)\nreturn [...seen]',
    ),
    gives: [0],
  },
  {
    does: 'calls itself with a name that is a path',
    code: main("return new Error('x', { cause: new Error('y') }).stack.includes('/')"),
    gives: false,
  },
]

const silence: Hostile[] = [
  { does: 'never resolves', code: main('return new Promise(() => {})'), ends: ['never_resolves'] },
  {
    does: 'never resolves at the top level',
    code: 'await new Promise(() => {})\nexport const main = () => 1',
    ends: ['never_resolves'],
  },
  {
    does: 'sleeps longer than it may',
    code: main('return new Promise((resolve) => setTimeout(resolve, 1e9))'),
    ends: ['timeout'],
  },
  {
    does: 'sleeps in a circle',
    code: asyncMain('for (;;) await new Promise((resolve) => setTimeout(resolve, 1))'),
    ends: ['timeout', 'threw'],
  },
  { does: 'sets timers without end', code: main('for (;;) setTimeout(() => {}, 1e6)'), ends: ['threw', 'timeout'] },
  {
    does: 'throws in a timer',
    code: main("setTimeout(() => { throw new Error('late') }, 1)\nreturn new Promise(() => {})"),
    ends: ['threw'],
  },
  {
    does: 'prints a gigabyte',
    code: main("const line = 'x'.repeat(1e6)\nfor (let i = 0; i < 1000; i++) console.log(line)\nreturn 1"),
    gives: 1,
  },
  { does: 'prints without end', code: main('for (;;) console.log(1)'), ends: ['timeout'] },
  { does: 'returns a function', code: main('return () => 1'), ends: ['not_json'] },
  { does: 'returns a symbol', code: main('return Symbol("x")'), ends: ['not_json'] },
  { does: 'returns a big integer', code: main('return 1n'), ends: ['not_json'] },
  { does: 'returns a circle', code: main('const a = {}\na.a = a\nreturn a'), ends: ['not_json'] },
  { does: 'throws nothing', code: main('throw undefined'), ends: ['threw'] },
  { does: 'throws null', code: main('throw null'), ends: ['threw'] },
  {
    does: 'throws a proxy that throws',
    code: main('throw new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 2 } })'),
    ends: ['threw'],
  },
  { does: 'throws itself', code: main('const e = new Error("x")\ne.cause = e\nthrow e'), ends: ['threw'] },
]

export const hostile: Hostile[] = [...loops, ...bombs, ...depths, ...escapes, ...silence]
