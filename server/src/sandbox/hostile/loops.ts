/** Programs that never end by themselves. */

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the programs are text here

import { asyncMain, type Hostile, main } from './hostile.ts'

export const loops: Hostile[] = [
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
    code: main('const again = () => Promise.resolve().then(again)', 'return again()'),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'leaves a loop of promises behind',
    code: main('const again = () => Promise.resolve().then(again)', 'again()', 'return 1'),
    gives: 1,
  },
  {
    does: 'loops with queueMicrotask',
    code: main('const again = () => queueMicrotask(again)', 'again()', 'return new Promise(() => {})'),
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
    code: main("const e = new Error('x')", "Object.defineProperty(e, 'stack', { get() { for (;;) {} } })", 'throw e'),
    ends: ['timeout'],
  },
  {
    does: 'loops in prepareStackTrace',
    code: main('Error.prepareStackTrace = () => { for (;;) {} }', 'null.x'),
    ends: ['timeout'],
  },
  {
    does: 'loops in what it prints',
    code: main(
      'const proxy = new Proxy({}, { ownKeys() { for (;;) {} } })',
      'console.log({ get a() { return 1 } }, proxy)',
      'return 1',
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
    code: main('function* g() { for (;;) yield 1 }', 'for (const _ of g()) {}'),
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
      'const x = { [Symbol.dispose]() { for (;;) {} } }',
      'const s = new DisposableStack()',
      's.use(x)',
      's.dispose()',
    ),
    ends: ['timeout'],
  },
  { does: 'loops in eval', code: main("return (0, eval)('for (;;) {}')"), ends: ['timeout'] },
  {
    does: 'sorts a large array',
    code: main(
      'const a = new Array(2e6)',
      'for (let i = 0; i < a.length; i++) a[i] = (i * 7919) % 2000003',
      'return a.sort((x, y) => x - y).length',
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
    code: main('let x = 3n', 'for (;;) x = x * x'),
    ends: ['timeout', 'out_of_memory', 'threw'],
  },
  {
    does: 'searches a string in a string, quadratically',
    code: main("const s = 'a'.repeat(4e6)", 'let n = 0', "for (;;) n += s.indexOf('a'.repeat(2e6) + 'b')"),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'fills a long array',
    code: main('for (;;) new Array(5e5).fill(0).map(String).join().split(",").reverse()'),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'normalizes a long string',
    code: main("const s = 'e\\u0301'.repeat(1e6)", "for (;;) s.normalize('NFC').normalize('NFD')"),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'parses deep JSON without end',
    code: main("const s = '[1,'.repeat(1000) + '1' + ']'.repeat(1000)", 'for (;;) JSON.stringify(JSON.parse(s))'),
    ends: ['timeout'],
  },
  {
    does: 'walks a sparse array with a huge length',
    code: main('const a = []', 'a.length = 4294967295', 'return a.indexOf(1)'),
    ends: ['timeout'],
  },
  {
    does: 'joins a sparse array with a huge length',
    code: main('const a = []', 'a.length = 4294967295', 'return a.join("")'),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'copies a huge array-like',
    code: main('return Array.prototype.slice.call({ length: 2 ** 53 - 1 }, 0).length'),
    ends: ['timeout', 'threw', 'out_of_memory'],
  },
  {
    does: 'hashes without end',
    code: asyncMain('const d = new Uint8Array(4e6)', "for (;;) await crypto.subtle.digest('SHA-512', d)"),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'derives a key with a billion rounds',
    code: asyncMain(
      "const k = await crypto.subtle.importKey('raw', new Uint8Array(8), 'PBKDF2', false, ['deriveBits'])",
      "const how = { name: 'PBKDF2', hash: 'SHA-512', salt: new Uint8Array(8), iterations: 1e9 }",
      'return crypto.subtle.deriveBits(how, k, 512)',
    ),
    ends: ['timeout', 'threw'],
  },
]
