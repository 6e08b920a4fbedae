/** What a machine's memory is when a call begins: to the byte what it was made as, whatever the call before has left. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

// Where the worker is told that the engine lies.
process.argv[3] = dirname(dirname(fileURLToPath(import.meta.resolve('quickjs-wasi'))))
const { loadParts, QuickJS } = await import('./worker/quickjs.ts')
const { Machine, PAGE } = await import('./worker/machine.ts')

test('of another tenant nothing is left in the memory; of the same one only the dead stack', async () => {
  let bytes = () => new Uint8Array()
  const create = QuickJS.create.bind(QuickJS)
  QuickJS.create = async (options) => {
    const vm = await create(options)
    bytes = () => new Uint8Array(vm._getExports().memory.buffer)
    return vm
  }
  const machine = await Machine.create(await loadParts())
  const text = (name: string) => readFileSync(new URL(`./worker/${name}`, import.meta.url), 'utf8')
  const ground = machine.prepare(text('globals.js'), text('prelude.js'))
  const reset = (tenant: string) => machine.reset(ground, { tenant, memory_mb: 32 })
  reset('alice')
  // Its limit of memory stands in it, too.
  const made = Buffer.from(bytes())
  const isAsMade = (from: number) => made.subarray(from).equals(bytes().subarray(from, made.length))

  bytes().fill(0xaa)
  reset('alice')
  assert.ok(isAsMade(ground.stackPointer), 'what is alive is as it was made')
  bytes().fill(0xaa)
  reset('bob')
  assert.ok(isAsMade(0), 'another tenant finds nothing')
  bytes().fill(0xaa)
  reset('alice')
  assert.ok(isAsMade(0), 'nor does the first one, after somebody else')

  // What a block begins with is made after a run that went deep, and is there for whoever has the same block.
  reset('alice')
  bytes().fill(0xaa, 0, ground.stackPointer - 64)
  reset('alice')
  assert.equal(machine.evaluate('export const main = () => 1', 'block.js').state, 'loaded')
  const template = machine.template(ground)
  machine.reset(ground, { tenant: 'bob', memory_mb: 32 }, template)
  const deep = bytes().subarray(0, ground.stackPointer - PAGE)
  assert.ok(!deep.includes(0xaa), 'nor by what a block begins with')
})
