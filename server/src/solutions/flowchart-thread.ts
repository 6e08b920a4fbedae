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
        getVertices(): Map<string, { id: string; text?: string; type?: string; classes: string[] }>
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
      nodes: nodes.map(({ id, text, type, classes }): FlowchartNode => {
        return { id, label: plain(text ?? id), shape: type ?? 'square', classes: [...classes] }
      }),
      edges: db.getEdges().map(({ start, end, text }): FlowchartEdge => {
        return { source: start, target: end, label: plain(text ?? '') }
      }),
    },
  }
}

const named: Record<string, string> = { amp: '&', apos: "'", gt: '>', lt: '<', nbsp: ' ', quot: '"' }

/** A label without markup: Mermaid hides entities behind letters that nobody writes, and keeps HTML and Markdown. */
const plain = (label: string): string =>
  label
    .replace(/ﬂ°°(\d+)¶ß/g, (whole, code: string) =>
      Number(code) <= 0x10ffff ? String.fromCodePoint(Number(code)) : whole,
    )
    .replace(/ﬂ°(\w+)¶ß/g, (whole, name: string) => named[name] ?? whole)
    .replace(/<\/?[a-zA-Z][^<>]*>/g, ' ')
    .replace(/[*_`]{1,3}(\S(?:[^*_`]*\S)?)[*_`]{1,3}/g, '$1')
    .replace(/\s+/g, ' ')
    .trim()

function faultOf(error: JisonFault) {
  const { message = 'It cannot be read.', hash } = error
  if (/^No diagram type detected/.test(message)) {
    return { message: 'This is no Mermaid flowchart: it begins with "flowchart TD", or another direction.' }
  }
  const line = hash?.loc?.first_line ?? (hash?.line === undefined ? undefined : hash.line + 1)
  const column = hash?.loc === undefined ? undefined : hash.loc.first_column + 1
  // The sentence of the parser is its last line; above it stands the text with an arrow below.
  const sentence = message.trim().split('\n').at(-1) ?? message
  return { message: sentence.slice(0, 500), line, column }
}

const answer = await read(workerData as string).catch((error: JisonFault) => ({ faults: [faultOf(error)] }))
parentPort?.postMessage(answer)
