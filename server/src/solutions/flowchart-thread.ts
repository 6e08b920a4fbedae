/** The thread that reads a flowchart with Mermaid's own parser, which is one file for a browser. It runs in a context
 *  without anything of Node's, that has of a browser only what the file touches when it is loaded: a document that
 *  makes nothing. The sanitizer in it finds that it is not supported and leaves texts as they are; they are never
 *  shown as HTML here. Where it finds a fault, it says so as jison does, by line and column. */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createContext, runInContext } from 'node:vm'
import { parentPort, workerData } from 'node:worker_threads'
import type { FlowchartEdge, FlowchartNode } from './flowchart.ts'

/** What is used of Mermaid. */
type Mermaid = {
  initialize(options: object): void
  mermaidAPI: {
    getDiagramFromText(text: string): Promise<{
      type: string
      db: {
        getVertices(): Map<string, { id: string; text?: string; type?: string; classes: string[]; labelType?: string }>
        getEdges(): { start: string; end: string; text: string }[]
        getSubGraphs(): { id: string }[]
      }
    }>
  }
}
type JisonFault = { message?: string; hash?: { line?: number; loc?: { first_line: number; first_column: number } } }

const browser = `
  globalThis.window = {
    document: { nodeType: 9, implementation: {}, createElement: () => ({}), addEventListener() {} },
    Element: class {},
    addEventListener() {},
  }
  globalThis.document = window.document
  globalThis.structuredClone = (value) => JSON.parse(JSON.stringify(value))
  globalThis.setTimeout = () => 0
  const silent = () => {}
  globalThis.console = { debug: silent, error: silent, info: silent, log: silent, trace: silent, warn: silent }`

function loadMermaid(): Mermaid {
  const file = createRequire(import.meta.url).resolve('@mermaid-js/tiny')
  const context = createContext({}, { codeGeneration: { strings: false, wasm: false } })
  runInContext(browser, context)
  runInContext(readFileSync(file, 'utf8'), context)
  const mermaid = context.mermaid as Mermaid
  mermaid.initialize({ startOnLoad: false, maxEdges: 5000, maxTextSize: 100_000, htmlLabels: false })
  return mermaid
}

async function read(text: string) {
  const { type, db } = await loadMermaid().mermaidAPI.getDiagramFromText(text)
  if (!type.startsWith('flowchart'))
    return { faults: [{ message: `This is a Mermaid diagram of the type "${type}".` }] }
  const groups = new Set(db.getSubGraphs().map(({ id }) => id))
  const nodes = [...db.getVertices().values()].filter(({ id }) => !groups.has(id))
  return {
    read: {
      nodes: nodes.map(({ id, text, type, classes, labelType }): FlowchartNode => {
        const label = plain(text ?? id)
        return {
          id,
          label: labelType === 'markdown' ? unmarked(label) : label,
          shape: type ?? 'square',
          classes: [...classes],
        }
      }),
      edges: db.getEdges().map(({ start, end, text }): FlowchartEdge => {
        return { source: start, target: end, label: plain(text ?? '') }
      }),
    },
  }
}

const named: Record<string, string> = { amp: '&', apos: "'", gt: '>', lt: '<', nbsp: ' ', quot: '"' }

/** A label without HTML. Mermaid hides entities behind letters that nobody writes. */
const plain = (label: string): string =>
  label
    .replace(/ﬂ°°(\d{1,7})¶ß/g, (whole, code: string) =>
      Number(code) <= 0x10ffff ? String.fromCodePoint(Number(code)) : whole,
    )
    .replace(/ﬂ°(\w+)¶ß/g, (whole, name: string) => named[name] ?? whole)
    .replace(/<\/?[a-zA-Z][^<>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()

const unmarked = (label: string): string => label.replace(/\*{1,2}([^*]+)\*{1,2}/g, '$1').replaceAll('`', '')

/** Where the parser stopped, in the words of its last line; what it says above it is the text again. */
function faultOf(error: JisonFault, text: string) {
  const { message = 'It cannot be read.', hash } = error
  if (/^No diagram type detected/.test(message)) {
    return { message: 'This is no Mermaid flowchart: it begins with "flowchart TD", or another direction.' }
  }
  if (error instanceof RangeError || /call stack/.test(message))
    return { message: 'It is too long or too deep to be read.' }
  const told = Number(/on line (\d+)/.exec(message)?.[1] ?? 0)
  const read = hash?.loc?.first_line ?? (told || undefined)
  if (read === undefined) return { message: message.split('\n', 1)[0]?.slice(0, 500) ?? message }
  const line = survivors(text)[read - 1] ?? read
  const standing = text.split(/\r?\n/)[line - 1]?.trim().slice(0, 80) ?? ''
  const column = hash?.loc ? hash.loc.first_column + 1 : undefined
  return { message: `Mermaid's parser does not understand this: ${standing}`, line, column }
}

/** The lines that Mermaid reads: it takes out the front matter, comments and the empty lines before them first. */
function survivors(text: string): number[] {
  const lines = text.split(/\r?\n/)
  const matter = /^\s*---\s*$/.test(lines[0] ?? '')
    ? lines.findIndex((line, i) => i > 0 && /^\s*---\s*$/.test(line))
    : -1
  const kept: number[] = []
  for (const [i, line] of lines.entries()) {
    if (i <= matter) continue
    if (/^\s*%%(?!\{)/.test(line)) {
      while (kept.length > 0 && lines[(kept.at(-1) ?? 0) - 1]?.trim() === '') kept.pop()
      continue
    }
    if (kept.length > 0 || line.trim() !== '') kept.push(i + 1)
  }
  return kept
}

const answer = await read(workerData as string).catch((error: JisonFault) => ({
  faults: [faultOf(error, workerData as string)],
}))
parentPort?.postMessage(answer)
