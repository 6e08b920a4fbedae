/** Programs that wait for ever, and those whose answer is none. */

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the programs are text here

import { asyncMain, type Hostile, main } from './hostile.ts'

export const silence: Hostile[] = [
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
    code: main("setTimeout(() => { throw new Error('late') }, 1)", 'return new Promise(() => {})'),
    ends: ['threw'],
  },
  {
    does: 'prints a gigabyte',
    code: main("const line = 'x'.repeat(1e6)", 'for (let i = 0; i < 1000; i++) console.log(line)', 'return 1'),
    gives: 1,
  },
  { does: 'prints without end', code: main('for (;;) console.log(1)'), ends: ['timeout'] },
  { does: 'returns a function', code: main('return () => 1'), ends: ['not_json'] },
  { does: 'returns a symbol', code: main('return Symbol("x")'), ends: ['not_json'] },
  { does: 'returns a big integer', code: main('return 1n'), ends: ['not_json'] },
  { does: 'returns a circle', code: main('const a = {}', 'a.a = a', 'return a'), ends: ['not_json'] },
  { does: 'throws nothing', code: main('throw undefined'), ends: ['threw'] },
  { does: 'throws null', code: main('throw null'), ends: ['threw'] },
  {
    does: 'throws a proxy that throws',
    code: main('throw new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 2 } })'),
    ends: ['threw'],
  },
  { does: 'throws itself', code: main('const e = new Error("x")', 'e.cause = e', 'throw e'), ends: ['threw'] },
]
