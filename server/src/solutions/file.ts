/** `flow-solution.yaml`: a solution as one file, with its components, their drafts and published versions, and all that
 *  those use. It has nothing of the installation it comes from: no ids, times or people. Its text is one for the same
 *  content: keys of configurations and components go by name, everything else by a fixed order. */

import { type FieldError, Json, Semver, Slug, Tag, text } from '@flow/contract/common'
import { ComponentType } from '@flow/contract/components'
import { SolutionStatus } from '@flow/contract/solutions'
import { compare } from 'semver'
import { Document, isScalar, visit } from 'yaml'
import { z } from 'zod'
import type { MovingComponent } from '../components/components.ts'
import { conflict, Failure, invalid } from '../failure.ts'
import { type PlacedFault, readInThread, TooHard } from './reading.ts'

export const FILE_BYTES_MAX = 5 * 1024 * 1024
/** Names of fields count, too. */
export const VALUES_MAX = 200_000
const FORMAT = 'flow-solution/1'

const config = z.record(z.string(), Json)
const Version = z.strictObject({
  version: Semver,
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/, 'Use "sha256:" and 64 hexadecimal digits.'),
  changelog: z.string().max(10_000),
  config,
})
const FileComponent = z.strictObject({
  slug: Slug,
  type: ComponentType,
  name: text(200),
  description: z.string().max(2000),
  tags: z.array(Tag).max(50),
  status: z.enum(['draft', 'published', 'deprecated', 'archived']),
  status_reason: z.string().max(1000).optional(),
  version: Semver,
  published_version: Semver.optional(),
  config,
  versions: z.array(Version).max(1000),
})
const nodeName = z.string().max(65_536)
export const SolutionFile = z.strictObject({
  format: z.literal(FORMAT),
  solution: z.strictObject({
    slug: Slug,
    version: Semver,
    name: text(200),
    description: z.string().max(2000),
    status: SolutionStatus,
    mermaid_source: z.string().max(65_536).optional(),
    skeleton: z
      .strictObject({
        nodes: z.array(z.strictObject({ node_id: nodeName.nullable(), slug: Slug })).max(1000),
        workflow: Slug.nullable(),
        unknown_shapes: z
          .array(z.strictObject({ node_id: nodeName, shape: z.string().max(200), label: nodeName }))
          .max(1000),
        left_out: z
          .array(z.strictObject({ source: nodeName, target: nodeName, reason: z.string().max(70_000) }))
          .max(10_000),
      })
      .optional(),
  }),
  components: z.array(FileComponent).max(1000),
  /** What the components use besides, and is in the solution no more than before. */
  uses: z.array(FileComponent).max(1000),
})
export type SolutionFile = z.infer<typeof SolutionFile>

// ---- printing

/** The file in pieces. The thread is let go of between two of them, so that a large one holds nobody up. */
export async function printFile({ format, solution, components, uses }: SolutionFile): Promise<string[]> {
  const pieces = [print({ format, solution })]
  let bytes = 0
  let values = valuesIn({ format, solution, components: [], uses: [] })
  for (const [name, list] of Object.entries({ components, uses })) {
    pieces.push(list.length === 0 ? `${name}: []\n` : `${name}:\n`)
    for (const component of list.toSorted((a, b) => (a.slug < b.slug ? -1 : 1))) {
      const entry = ordered(component)
      const piece = print([entry])
      bytes += Buffer.byteLength(piece)
      values += valuesIn(entry)
      if (values > VALUES_MAX) throw conflict(`"${solution.slug}" has more than ${VALUES_MAX} values; a file may not.`)
      if (bytes > FILE_BYTES_MAX) {
        throw conflict(`"${solution.slug}" is larger than ${FILE_BYTES_MAX / 1024 ** 2} MiB as a file.`)
      }
      pieces.push(piece)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return pieces
}

/** How many nodes there are of it, names of fields among them. */
function valuesIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1
  const items = Object.values(value)
  return items.reduce((sum: number, item) => sum + valuesIn(item), 1 + (Array.isArray(value) ? 0 : items.length))
}

function ordered(component: MovingComponent): object {
  const { slug, type, name, description, tags, status, status_reason, version, published_version } = component
  return {
    slug,
    type,
    name,
    description,
    tags,
    status,
    ...(status_reason === undefined ? {} : { status_reason }),
    version,
    ...(published_version === undefined ? {} : { published_version }),
    config: sorted(component.config),
    versions: component.versions
      .toSorted((a, b) => compare(a.version, b.version))
      .map(({ version, digest, changelog, config }) => ({ version, digest, changelog, config: sorted(config) })),
  }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([, item]) => item !== undefined)
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => [key, sorted(item)]))
}

/** Characters that YAML reads as they are written. A text with others stands escaped in quotes, and so does one whose
 *  lines YAML would fold or cut: with white space where it begins, or at the end of a line. */
const plain = /^[\t\n\x20-\x7e\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]*$/u
const isPlain = (text: string) =>
  plain.test(text) && !(/[\t\n]/.test(text) && /^\s|[\t ]$|[\t ]\n|^[^\n]*\t[^\n]*$/.test(text))

function print(value: unknown): string {
  const document = new Document(value, {
    version: '1.2',
    schema: 'core',
    compat: 'yaml-1.1',
    aliasDuplicateObjects: false,
  })
  visit(document, {
    Scalar(_, node) {
      if (isScalar(node) && typeof node.value === 'string' && !isPlain(node.value)) node.type = 'QUOTE_DOUBLE'
    },
  })
  return document.toString({ lineWidth: 0, blockQuote: 'literal' })
}

// ---- reading

const program = new URL('./file-thread.ts', import.meta.url)
/** Each value is read into a node of a tree, with its place: a few hundred bytes. */
const limits = { seconds: 30, memory_mb: 512, at_once: 1 }

/** The file that a text is. Refuses with every fault, each with its line. */
export async function readFile(text: string): Promise<SolutionFile> {
  if (Buffer.byteLength(text) > FILE_BYTES_MAX) {
    throw new Failure('PAYLOAD_TOO_LARGE', `A solution's file may have at most ${FILE_BYTES_MAX / 1024 ** 2} MiB.`)
  }
  const reading = await readInThread<SolutionFile>(program, { text }, limits).catch((error: unknown) => {
    throw error instanceof TooHard ? invalid([{ field: 'file', message: error.message }]) : error
  })
  if ('faults' in reading) throw invalid(reading.faults.map(told))
  return reading.read
}

/** The same faults with the lines in which they are: `components[0].config.code` is a place in the file. */
export async function located(text: string, faults: FieldError[]): Promise<FieldError[]> {
  const reading = await readInThread<never>(program, { text, faults }, limits).catch(() => undefined)
  return reading && 'faults' in reading ? reading.faults.map(told) : faults.map(told)
}

const told = ({ field, message, line, column }: PlacedFault): FieldError => ({
  field: field ? `file.${field}` : 'file',
  message: line === undefined ? message : `Line ${line}, column ${column ?? 1}: ${message}`,
})
