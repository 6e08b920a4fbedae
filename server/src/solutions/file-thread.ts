/** The thread that reads `flow-solution.yaml`: the text as YAML 1.2 without anchors and tags, and the value as a file has
 *  to be. Given faults, it says in which lines they are. */

import { parentPort, workerData } from 'node:worker_threads'
import { type Document, isCollection, isNode, LineCounter, type Node, parseDocument, visit } from 'yaml'
import { parseShape } from '../shape.ts'
import { SolutionFile, VALUES_MAX } from './file.ts'
import type { PlacedFault, Reading } from './reading.ts'

const DEPTH_MAX = 64
const FAULTS_MAX = 100

type Asked = { text: string; faults?: PlacedFault[] }

function read({ text, faults }: Asked): Reading<SolutionFile> {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    strict: true,
    stringKeys: true,
    merge: false,
    uniqueKeys: true,
    lineCounter: lines,
    logLevel: 'error',
  })
  const placed = (offset: number | undefined) => {
    if (offset === undefined) return {}
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  const at = (fault: PlacedFault): PlacedFault => ({ ...fault, ...placed(offsetOf(document, fault.field ?? '')) })
  if (faults) return { faults: faults.map(at) }

  const broken = [...document.errors, ...document.warnings].map(({ message, pos }) => {
    return {
      message: message.split('\n', 1)[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? message,
      ...placed(pos[0]),
    }
  })
  const strange =
    broken.length > 0
      ? broken
      : strangeIn(document).map(({ message, node }) => ({ message, ...placed(node.range?.[0]) }))
  if (strange.length > 0) return { faults: strange.slice(0, FAULTS_MAX) }

  const parsed = parseShape(SolutionFile, document.toJS())
  return parsed.faults ? { faults: parsed.faults.slice(0, FAULTS_MAX).map(at) } : { read: parsed.value }
}

/** What YAML has and a file of ours has not: it would be read as something else, or by others differently. */
function strangeIn(document: Document): { message: string; node: Node }[] {
  const found: { message: string; node: Node }[] = []
  let values = 0
  visit(document, {
    Node(key, node, path) {
      if (!isNode(node)) return undefined
      values += 1
      if (values > VALUES_MAX) {
        found.push({ message: `It has more than ${VALUES_MAX} values.`, node })
        return visit.BREAK
      }
      const say = (message: string) => found.push({ message, node })
      if ('anchor' in node && node.anchor) say('Anchors are not used in this file: write the value out.')
      if (node.tag) say('Tags are not used in this file.')
      if (path.length > DEPTH_MAX * 2) {
        say(`It is nested deeper than ${DEPTH_MAX} levels.`)
        return visit.BREAK
      }
      if (!('value' in node)) return undefined
      const { value } = node
      if (key === 'key' && value === '__proto__') say('"__proto__" is no name of a field.')
      if (typeof value === 'number' && !Number.isFinite(value)) say('It is no number that JSON has.')
      if (typeof value === 'string' && (value.includes('\0') || !value.isWellFormed()))
        say('It has a character that is none.')
      return undefined
    },
    Alias(_, node) {
      found.push({ message: 'Aliases are not used in this file: write the value out.', node })
    },
  })
  return found
}

/** Where the value is that a place names, or what is nearest around it. */
function offsetOf(document: Document, field: string): number | undefined {
  const steps = [...field.matchAll(/[^.[\]]+/g)].map(([step]) => (/^\d+$/.test(step) ? Number(step) : step))
  let node: unknown = document.contents
  let found = isNode(node) ? node.range?.[0] : undefined
  for (const step of steps) {
    if (!isCollection(node)) break
    node = node.get(step, true)
    if (!isNode(node) || !node.range) break
    found = node.range[0]
  }
  return found
}

const answer = (): Reading<SolutionFile> => {
  try {
    return read(workerData as Asked)
  } catch (error) {
    const isDeep = error instanceof RangeError
    return {
      faults: [{ message: isDeep ? 'It is nested too deeply to be read.' : `It cannot be read: ${String(error)}` }],
    }
  }
}
parentPort?.postMessage(answer())
