/** Flowcharts: the text of a Mermaid diagram as nodes and edges. Mermaid's own parser reads it, in a thread (decision
 *  0013). */

import { invalid } from '../failure.ts'
import { readInThread, TooHard } from './reading.ts'

export const NODES_MAX = 200
const limits = { seconds: 10, memory_mb: 256, at_once: 2 }

export type FlowchartNode = {
  id: string
  label: string
  /** Mermaid's name of the shape: `square` of `[ ]`, or what `@{ shape: … }` says. */
  shape: string
  classes: string[]
}
export type FlowchartEdge = { source: string; target: string; label: string }
export type Flowchart = { nodes: FlowchartNode[]; edges: FlowchartEdge[] }

/** The flowchart of the text. Refuses what cannot be read, with the place. */
export async function readFlowchart(text: string): Promise<Flowchart> {
  const refuse = (message: string) => invalid([{ field: 'mermaid_source', message }])
  const program = new URL('./flowchart-thread.ts', import.meta.url)
  const reading = await readInThread<Flowchart>(program, text, limits).catch((error: unknown) => {
    throw error instanceof TooHard ? refuse(error.message) : error
  })
  if ('faults' in reading) {
    throw invalid(
      reading.faults.map(({ message, line, column }) => {
        const place = line === undefined ? '' : `Line ${line}${column === undefined ? '' : `, column ${column}`}: `
        return { field: 'mermaid_source', message: `${place}${message}` }
      }),
    )
  }
  const { nodes } = reading.read
  if (nodes.length === 0) throw refuse('The flowchart has no nodes.')
  if (nodes.length > NODES_MAX) throw refuse(`The flowchart has ${nodes.length} nodes; it may have ${NODES_MAX}.`)
  return reading.read
}
