/** `kill -9` while code asks the platform for things: whatever it asks again when it runs again happens once. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '../db/connect.ts'
import { sql } from '../db/db.ts'
import { live, prepare } from './crash-testing.ts'

const asks = `export async function main() {
  const { execution_id: key } = await flow.call('context')
  const { id } = await flow.workflows.execute({ workflow_id: 'child', input: { key } })
  const again = await flow.workflows.execute({ workflow_id: 'child', input: { key } })
  return [id, again.id]
}`

test('what code has begun is begun once, wherever its process dies', async () => {
  const definition = { nodes: [{ id: 'ask', type: 'code_block', component_ref: 'asks' }] }
  const child = { nodes: [{ id: 'key', type: 'transform', output: '{{ input.key }}' }] }
  const { remove, workflow_id, workflow_ids: _, ...orders } = await prepare('embedded', { asks }, definition, { child })
  const begin = (at: number, when: 'before' | 'after') => ({ workflow_id, input: {}, death: { at, when } })
  const whole = await live({ ...orders, asks: true, begin: [begin(1e9, 'after')] })
  const ended = whole.told.find((one) => 'ended' in one)
  const writings = (ended && 'writings' in ended && ended.writings) || 0
  assert.ok(writings >= 4, String(writings))

  const deaths = [begin(2, 'after'), begin(3, 'before'), begin(3, 'after'), begin(4, 'after'), begin(5, 'after')]
  const killed: boolean[] = []
  for (const death of deaths) killed.push((await live({ ...orders, asks: true, begin: [death] })).was_killed)
  assert.ok(killed.every(Boolean), String(killed))
  const finished = await live({ ...orders, asks: true, finish: { after: '00000000-0000-0000-0000-000000000000' } })
  assert.deepEqual(finished.told.at(-1), { left: { executions: 0, tasks: 0, unbilled: 0, claims: 0 } })

  const database = await connect({ ...orders.options, pool_max: 1 })
  const rows = await database.platform.many<{ output: [string, string]; begun: string[] }>(sql`
    select e.output, array(select c.id::text from executions c where c.trigger_type = 'code'
      and c.input->>'key' = e.id::text order by c.id) as begun
    from executions e where e.trigger_type = 'manual'`)
  await database.close()
  await remove()
  assert.equal(rows.length, deaths.length + 1)
  for (const { output, begun } of rows) assert.deepEqual([...output].sort(), begun)
})
