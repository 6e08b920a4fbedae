/** CPython compiled for WASI: one file, its standard library inside, made fit for strangers' code when a worker starts.
 *  It is known to the byte, because the function that runs Python source is called by its number: in another build that
 *  number would be another function's. */

import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { metered } from './meter.ts'

const SHA256 = 'e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763'

/** `PyRun_SimpleStringFlags`: takes the address of a source and of flags, or 0. */
const RUN_SOURCE = 4056

export type Exports = {
  memory: WebAssembly.Memory
  _start: () => void
  run_source: (source: number, flags: number) => number
  counter: { value: number }
  stack_pointer: { value: number }
  pages: { value: number }
}

export function loadPython(folder: string): Promise<WebAssembly.Module> {
  const bytes = readFileSync(join(folder, 'dist', 'python.wasm'))
  if (hash('sha256', bytes) !== SHA256) throw new Error('python.wasm is not the build this program knows.')
  const module = metered(bytes, {
    poll: 'sched_yield',
    grow: 'fd_datasync',
    functions: { run_source: RUN_SOURCE },
    globals: { counter: 'counter', pages: 'pages', stackPointer: 'stack_pointer' },
  })
  return WebAssembly.compile(module)
}
