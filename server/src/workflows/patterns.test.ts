/** Every pattern of the catalogue that the model can express is run to its end, through the product's own client. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { JsonValue } from '@flow/contract/common'
import type { FlowError, PlatformClient } from '@flow/sdk'
import { newOrganization, testFlow } from '../testing.ts'
import { addressOf } from './answering-testing.ts'
import { missing, patterns } from './patterns/catalogue.ts'
import type { Driven, Pattern } from './patterns/pattern.ts'
import { place, printPatterns } from './patterns/print.ts'
import { block, statuses, until, workflow } from './testing.ts'

const { platform, fetch } = await testFlow()

test('every pattern of the catalogue is either run or said to be missing', () => {
  const numbers = [...patterns, ...missing].map(({ number }) => number).sort((a, b) => a - b)
  assert.deepEqual(
    numbers,
    Array.from({ length: 43 }, (_, i) => i + 1),
  )
})

test('docs/workflow-patterns.md is what the catalogue prints', () => {
  assert.equal(readFileSync(place, 'utf8'), printPatterns(), 'run: node server/src/workflows/patterns/print.ts')
})

for (const pattern of patterns) {
  test(`WCP-${pattern.number} is expressed: ${pattern.name}`, async () => {
    const { alice } = await newOrganization()
    const ids = await prepare(alice, pattern)
    const at = await begin(alice, ids, pattern)
    const { expected } = pattern
    await pattern.drive?.(at)

    const ended = await at.end(at.id)

    const { status = 'completed' } = expected
    assert.deepEqual([ended.status, ended.output], [status, expected.output], JSON.stringify(ended.error))
    assert.deepEqual(statuses(ended), expected.nodes)
    await pattern.check?.(at)
  })
}

type Ids = Map<string, string>

/** They are made before they are defined: they may name themselves and each other. */
async function prepare(alice: PlatformClient, { blocks, others, definition }: Pattern): Promise<Ids> {
  for (const [slug, code] of Object.entries(blocks ?? {})) await block(alice, slug, code)
  const ids: Ids = new Map()
  const definitions = Object.entries({ main: definition, ...others })
  for (const [slug] of definitions) {
    const { id } = await workflow(alice, { slug, nodes: [{ id: 'nothing', type: 'transform', output: null }] })
    ids.set(slug, id)
  }
  for (const [slug, more] of definitions) await alice.workflows.update({ workflow_id: idOf(ids, slug), ...more })
  return ids
}

function idOf(ids: Ids, slug: string): string {
  const id = ids.get(slug)
  if (id === undefined) throw new Error(`the pattern has no workflow "${slug}"`)
  return id
}

async function begin(alice: PlatformClient, ids: Ids, { definition, input = {} }: Pattern): Promise<Driven> {
  const start = async (input: JsonValue) =>
    (await alice.workflows.execute({ workflow_id: idOf(ids, 'main'), input })).id
  const id = await start(input)
  /** An execution of any of the workflows. */
  const look = async (of = id) => {
    for (const workflow_id of ids.values()) {
      const found = await alice.workflows.getExecution({ workflow_id, execution_id: of }).catch(() => undefined)
      if (found) return found
    }
    throw new Error(`there is no execution ${of}`)
  }
  const nodes = async (of?: string) => statuses(await look(of))
  return {
    id,
    start,
    nodes,
    status: async (of) => (await look(of)).status,
    async until(node, status, of) {
      await until(
        () => nodes(of),
        ({ [node]: now }) => now === status,
      )
    },
    async call(node, body = null, of = id) {
      const headers = { 'content-type': 'application/json' }
      const address = addressOf(platform, definition, of, node)
      return (await fetch(address, { method: 'POST', headers, body: JSON.stringify(body) })).status
    },
    async answer(node_id, data, of = id) {
      const { workflow_id } = await look(of)
      return alice.tasks.complete({ workflow_id, execution_id: of, node_id, data }).then(
        () => true,
        (error: FlowError) => {
          if (error.status === 404 || error.status === 409) return false
          throw error
        },
      )
    },
    async cancel() {
      await alice.workflows.cancelExecution({ workflow_id: idOf(ids, 'main'), execution_id: id })
    },
    async executions(slug) {
      const workflow_id = idOf(ids, slug)
      const { items } = await alice.workflows.listExecutions({ workflow_id, order: 'asc' })
      return Promise.all(
        items.map(({ id: execution_id }) => alice.workflows.getExecution({ workflow_id, execution_id })),
      )
    },
    end: (of) =>
      until(
        () => look(of),
        ({ completed_at }) => completed_at !== null,
      ),
  }
}
