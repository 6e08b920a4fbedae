import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Metering, metered } from './meter.ts'
import { loadPython } from './module.ts'

const metering: Metering = {
  poll: 'poll',
  grow: 'grow',
  functions: { again: 2 },
  globals: { counter: 'counter', pages: 'pages', stackPointer: 'stack_pointer' },
}

const text = (name: string) => [name.length, ...Buffer.from(name)]
const section = (id: number, ...body: number[]) => [id, body.length, ...body]
const imported = (name: string, type: number) => [...text('env'), ...text(name), 0, type]
const body = (...code: number[]) => [code.length + 1, 0, ...code]

/** Imports `poll: () → i32` and `grow: (i32) → i32`; function 2 loops for ever, function 3 grows by a page and gives
 *  what it thinks its size is. */
const module = new Uint8Array([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...section(1, 3, 0x60, 0, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 0, 0),
  ...section(2, 2, ...imported('poll', 0), ...imported('grow', 1)),
  ...section(3, 2, 2, 0),
  ...section(5, 1, 0, 1),
  ...section(6, 1, 0x7f, 1, 0x41, 64, 0x0b),
  ...section(7, 1, ...text('size'), 0, 3),
  ...section(10, 2, ...body(0x03, 0x40, 0x0c, 0, 0x0b, 0x0b), ...body(0x41, 1, 0x40, 0, 0x1a, 0x3f, 0, 0x0b)),
  ...section(0, ...text('debug'), 1, 2, 3),
])

type Exports = { again: () => void; size: () => number; counter: { value: number }; pages: { value: number } }

async function instance(imports: { poll: () => number; grow: (pages: number) => number }): Promise<Exports> {
  const compiled = await WebAssembly.compile(metered(module, metering))
  return new WebAssembly.Instance(compiled, { env: imports }).exports as Exports
}

test('a loop asks whenever its counter has run out, and can be ended', async () => {
  let asked = 0
  const machine = await instance({
    poll: () => {
      if (++asked === 3) throw new Error('enough')
      machine.counter.value = 1000
      return 0
    },
    grow: () => -1,
  })
  assert.throws(() => machine.again(), /enough/)
  assert.equal(asked, 3)
})

test('a module grows only as the host allows, and has the size the host says', async () => {
  const asked: number[] = []
  const machine = await instance({ poll: () => 0, grow: (pages) => asked.push(pages) })
  machine.pages.value = 7
  assert.equal(machine.size(), 7)
  assert.deepEqual(asked, [1])
})

test('an instruction that is not known is refused, and so is a module without the imports it takes', () => {
  const unknown = Uint8Array.from(module)
  unknown[unknown.indexOf(0x3f, 60)] = 0xfd
  assert.throws(() => metered(unknown, metering), /an instruction unknown here: fd/)
  assert.throws(() => metered(module, { ...metering, poll: 'sched_yield' }), /imports no "sched_yield"/)
})

test('another build of Python is refused', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'flow-'))
  t.after(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'dist'))
  writeFileSync(join(folder, 'dist', 'python.wasm'), module)
  assert.throws(() => loadPython(folder), /not the build this program knows/)
})
