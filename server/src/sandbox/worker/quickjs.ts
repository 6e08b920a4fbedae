/** QuickJS in WebAssembly, from the folder the worker was told: its second argument. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

type Library = typeof import('quickjs-wasi')

const folder = process.argv[3] ?? ''
const entry = pathToFileURL(join(folder, 'dist', 'index.js')).href

export const { QuickJS, JSValueHandle, EvalFlags }: Library = await import(entry)

export type Parts = { engine: WebAssembly.Module; extensions: { name: string; wasm: WebAssembly.Module }[] }

/** What the engine lacks and its authors compiled for it: the names are those its functions have. */
const EXTENSIONS = [
  ['encoding', 'encoding'],
  ['url', 'url'],
  ['structured_clone', 'structured-clone'],
  ['crypto', 'crypto'],
] as const

export async function loadParts(): Promise<Parts> {
  const compiled = (...path: string[]) => WebAssembly.compile(readFileSync(join(folder, ...path)))
  const engine = compiled('quickjs.wasm')
  const extensions = EXTENSIONS.map(async ([name, file]) => ({
    name,
    wasm: await compiled('extensions', file, `${file}.so`),
  }))
  return { engine: await engine, extensions: await Promise.all(extensions) }
}
