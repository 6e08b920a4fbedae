/** Programs that look for a way out, or for traces of others. */

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the programs are text here

import { asyncMain, type Hostile, main } from './hostile.ts'

const names = [
  'process',
  'require',
  'module',
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

export const escapes: Hostile[] = [
  {
    does: 'looks for what a host would have',
    code: main(`return [${names.map((name) => `typeof ${name}`).join(', ')}].filter((type) => type !== 'undefined')`),
    gives: [],
  },
  {
    does: 'lists its globals',
    code: main(
      'const names = Object.getOwnPropertyNames(globalThis)',
      'return names.filter((name) => /process|require|import|host|node|wasm|__/i.test(name))',
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
    code: asyncMain('const F = (async () => {}).constructor', "return typeof (await F('return globalThis')()).process"),
    gives: 'undefined',
  },
  {
    does: 'reaches out through what a refused import throws',
    code: asyncMain(
      "const error = await import('fs').catch((refused) => refused)",
      'const Function = error.constructor.constructor',
      "return [typeof Function('return this')().process, /node:|file:|worker/.test(String(error.stack))]",
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
      'const told = Object.keys(import.meta).map((key) => String(import.meta[key]))',
      "return told.filter((value) => value.includes('file:') || value.includes('/'))",
    ),
    gives: [],
  },
  {
    does: 'walks its own stack',
    code: main(
      'Error.prepareStackTrace = (_, frames) => frames',
      'const frames = new Error().stack',
      'return frames.map((frame) => typeof frame.getThis?.()).filter((type) => type !== "undefined")',
    ),
    gives: [],
  },
  {
    does: 'reads the callers of its function',
    code: main(
      'const seen = []',
      'for (const key of ["caller", "arguments"]) {',
      '  try { seen.push(typeof main[key]) } catch { seen.push("refused") }',
      '}',
      'return seen.includes("function")',
    ),
    gives: false,
  },
  {
    does: 'poisons JSON to forge what is read',
    code: main(
      'JSON.stringify = () => \'{"forged":1}\'',
      'JSON.parse = () => ({ forged: 2 })',
      'return { honest: true }',
    ),
    gives: { honest: true },
  },
  {
    does: 'poisons promises to see who waits for it',
    code: asyncMain(
      'const seen = []',
      'const then = Promise.prototype.then',
      'Promise.prototype.then = function (...a) {',
      '  seen.push(String(a[0]))',
      '  return then.apply(this, a)',
      '}',
      'await 0',
      'return seen.filter((source) => /hostEnd|end\\(/.test(source))',
    ),
    gives: [],
  },
  {
    does: 'poisons everything that has a name',
    code: main(
      'for (const name of Object.getOwnPropertyNames(globalThis)) {',
      '  const it = globalThis[name]',
      "  if (typeof it !== 'function' || !it.prototype || name === 'Object') continue",
      '  for (const key of Object.getOwnPropertyNames(it.prototype)) {',
      "    if (key === 'constructor') continue",
      '    try { it.prototype[key] = () => { throw 1 } } catch {}',
      '  }',
      '}',
      'return 7',
    ),
    gives: 7,
  },
  {
    does: 'poisons Object.prototype with setters',
    code: main(
      "const keys = ['kind', 'message', 'stack', 'found', 'exports', 'value', 'get', 'then', 'toJSON']",
      'const trap = { __proto__: null, set() { for (;;) {} }, get() { return undefined }, configurable: true }',
      'for (const key of keys) Object.defineProperty(Object.prototype, key, trap)',
      'return { a: 1 }',
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
    code: main("'use strict'", "try { flow.call = () => 1 } catch { return 'frozen' }"),
    gives: 'frozen',
  },
  {
    does: 'reaches the functions behind its console',
    code: main(
      'const sources = Object.getOwnPropertyNames(console).map((name) => String(console[name]))',
      "return sources.filter((source) => source.includes('hostPrint(')).length",
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
      'const seen = new Set()',
      'const until = Date.now() + 20',
      'while (Date.now() < until) seen.add(Date.now() % 1)',
      'return [...seen]',
    ),
    gives: [0],
  },
  {
    does: 'calls itself with a name that is a path',
    code: main("return new Error('x', { cause: new Error('y') }).stack.includes('/')"),
    gives: false,
  },
]
