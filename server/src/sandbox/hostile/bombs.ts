/** Programs that take memory without end, and those that return or say too much. */

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the programs are text here

import { asyncMain, type Hostile, main } from './hostile.ts'

export const bombs: Hostile[] = [
  {
    does: 'keeps arrays of bytes',
    code: main('const a = []', 'for (;;) a.push(new Uint8Array(1e6))'),
    ends: ['out_of_memory'],
  },
  {
    does: 'keeps objects',
    code: main('const a = []', 'for (;;) a.push({ a: { b: {} } })'),
    ends: ['out_of_memory', 'timeout'],
  },
  {
    does: 'keeps closures',
    code: main('let f = () => 0', 'for (;;) { const g = f', 'f = () => g }'),
    ends: ['out_of_memory', 'timeout'],
  },
  { does: 'doubles a string', code: main("let s = 'x'", 'for (;;) s += s'), ends: ['out_of_memory', 'threw'] },
  {
    does: 'asks for one huge buffer',
    code: main('return new ArrayBuffer(2 ** 31).byteLength'),
    ends: ['out_of_memory', 'threw'],
  },
  {
    does: 'grows a resizable buffer',
    code: main('const b = new ArrayBuffer(8, { maxByteLength: 2 ** 32 })', 'b.resize(2 ** 31)', 'return b.byteLength'),
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
    code: main('const m = new Map()', 'for (let i = 0; ; i++) m.set(i, i)'),
    ends: ['out_of_memory', 'timeout'],
  },
  {
    does: 'makes symbols and property names',
    code: main('const o = {}', "for (let i = 0; ; i++) o['p' + i] = Symbol('s' + i)"),
    ends: ['out_of_memory', 'timeout'],
  },
  {
    does: 'keeps promises',
    code: asyncMain('const a = []', 'for (;;) { a.push(new Promise(() => {})); if (a.length % 100 === 0) await 0 }'),
    ends: ['out_of_memory', 'timeout'],
  },
  {
    does: 'catches its lack of memory and asks again',
    code: main('const a = []', 'for (;;) { try { for (;;) a.push(new Uint8Array(1e6)) } catch {} }'),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'compiles functions without end',
    code: main('const a = []', "for (let i = 0; ; i++) a.push(new Function('return ' + 'x'.repeat(1000) + i))"),
    ends: ['out_of_memory', 'timeout'],
  },
  { does: 'returns more than may leave', code: main("return 'x'.repeat(2e6)"), ends: ['output_too_large'] },
  { does: 'throws a huge message', code: main("throw new Error('x'.repeat(8e6))"), ends: ['threw'] },
  {
    does: 'keeps URLs',
    code: main('const a = []', "for (let i = 0; ; i++) a.push(new URL('http://a.example/' + 'x'.repeat(1000) + i))"),
    ends: ['out_of_memory', 'timeout'],
  },
  {
    does: 'clones without end',
    code: main('const a = []', 'for (;;) a.push(structuredClone(new Array(1000).fill({ a: 1 })))'),
    ends: ['out_of_memory', 'timeout'],
  },
  {
    does: 'encodes without end',
    code: main('const a = []', "const s = 'é'.repeat(1e5)", 'for (;;) a.push(new TextEncoder().encode(s))'),
    ends: ['out_of_memory', 'timeout'],
  },
]

export const depths: Hostile[] = [
  { does: 'recurses without end', code: main('const f = () => f() + 1', 'return f()'), ends: ['stack_overflow'] },
  {
    does: 'recurses through toString',
    code: main('const o = { toString() { return `${o}` } }', 'return `${o}`'),
    ends: ['stack_overflow'],
  },
  {
    does: 'recurses through a proxy',
    code: main('const p = new Proxy({}, {})', 'Object.setPrototypeOf(p, p)', 'return p.x'),
    ends: ['stack_overflow', 'threw', 'crashed'],
  },
  {
    does: 'recurses through bound functions',
    code: main('let f = () => 1', 'for (let i = 0; i < 1e5; i++) f = f.bind(null)', 'return f()'),
    ends: ['stack_overflow', 'out_of_memory'],
  },
  {
    does: 'returns a deep array',
    code: main('let a = []', 'for (let i = 0; i < 1e5; i++) a = [a]', 'return a'),
    ends: ['stack_overflow', 'not_json'],
  },
  {
    does: 'returns an array deeper than anybody reads',
    code: main('let a = []', 'for (let i = 0; i < 500; i++) a = [a]', 'return a'),
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
    code: main('let a = {}', 'for (let i = 0; i < 1e5; i++) a = { a }', 'return structuredClone(a)'),
    ends: ['stack_overflow', 'threw', 'crashed', 'out_of_memory'],
  },
  {
    does: 'prints a deep object',
    code: main('let a = {}', 'for (let i = 0; i < 1e4; i++) a = { a }', 'console.log(a)', 'return 1'),
    gives: 1,
  },
]
