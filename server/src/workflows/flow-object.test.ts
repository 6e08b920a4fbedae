import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonValue } from '@flow/contract/common'
import type { PlatformClient } from '@flow/sdk'
import { ASKED_MAX } from '../http/inside.ts'
import { newOrganization, testFlow } from '../testing.ts'
import { block, node, run, until, workflow } from './testing.ts'

type Program = { javascript: string; python: string }

/** Runs the same program in both languages, each in a workflow of its own, and gives what came of it. */
async function inBoth(alice: PlatformClient, { javascript, python }: Program, input: JsonValue = {}) {
  const outputs: unknown[] = []
  for (const [language, code] of Object.entries({ javascript, python })) {
    const slug = `${language}-${crypto.randomUUID().slice(0, 8)}`
    await block(alice, slug, code, { language })
    const execution = await run(alice, { nodes: [node('call', slug)] }, input)
    assert.equal(execution.status, 'completed', `${language}: ${JSON.stringify(execution.error)}`)
    outputs.push(execution.output)
  }
  return outputs
}

const memory = (alice: PlatformClient, slug = 'memory') =>
  alice.states.create({ name: slug, slug, config: { persistence: 'long_term', initial_values: { n: 0 } } })

/** Gives the refusal of a call as `[code, message]`. */
const refusing = {
  javascript: `const refusal = (call) => call.then((value) => ['none', JSON.stringify(value)], (error) => {
    if (!(error instanceof flow.Error)) throw error
    return [error.code, error.message, error.details.map(({ field }) => field).join()]
  })\n`,
  python: `
import json
def refusal(call, **named):
    try: return ['none', json.dumps(call(**named))]
    except flow.Error as error: return [error.code, str(error), ','.join(one['field'] for one in error.details)]
`,
}

const counting: Program = {
  javascript: `${refusing.javascript}
export async function main({ scope }) {
  const at = { component_id: 'memory', scope, key: 'n' }
  const before = await flow.state.get(at)
  const first = await flow.state.put({ ...at, value: before.value + 1, version: before.version })
  const late = await refusal(flow.state.put({ ...at, value: 9, version: 0 }))
  await flow.state.put({ ...at, key: 'other', value: { deep: [true, null, 'ä'] } })
  const { values, versions } = await flow.state.getScope({ component_id: 'memory', scope })
  await flow.state.remove({ ...at, key: 'other' })
  const { items } = await flow.state.listScopes({ component_id: 'memory', search: scope })
  return { before: before.value, version: first.version, late: late[0], values, versions, entries: items[0].entries }
}`,
  python: `${refusing.python}
def main(scope):
    at = {'component_id': 'memory', 'scope': scope, 'key': 'n'}
    before = flow.state.get(**at)
    first = flow.state.put(**at, value=before['value'] + 1, version=before['version'])
    late = refusal(flow.state.put, **at, value=9, version=0)
    flow.state.put(**{**at, 'key': 'other'}, value={'deep': [True, None, 'ä']})
    whole = flow.state.get_scope(component_id='memory', scope=scope)
    flow.state.remove(**{**at, 'key': 'other'})
    items = flow.state.list_scopes(component_id='memory', search=scope)['items']
    return {'before': before['value'], 'version': first['version'], 'late': late[0], 'values': whole['values'],
            'versions': whole['versions'], 'entries': items[0]['entries']}
`,
}

test('code remembers things in state, the same in every language', async () => {
  const { alice, admin } = await newOrganization()
  const { id: component_id } = await memory(alice)

  for (const [index, program] of (['javascript', 'python'] as const).entries()) {
    const slug = `counting-${program}`
    await block(alice, slug, counting[program], { language: program })
    const execution = await run(alice, { nodes: [node('call', slug)] }, { scope: `s${index}` })
    assert.equal(execution.status, 'completed', JSON.stringify(execution.error))
    assert.deepEqual(execution.output, {
      before: 0,
      version: 1,
      late: 'PRECONDITION_FAILED',
      values: { n: 1, other: { deep: [true, null, 'ä'] } },
      versions: { n: 1, other: 2 },
      entries: 1,
    })
    const kept = await alice.state.get({ component_id, scope: `s${index}`, key: 'n' })
    assert.deepEqual([kept.value, kept.updated_by], [1, admin.user_id])
  }

  const { items } = await alice.audit.list({ limit: 100 })
  const notes = items.filter(({ event_type }) => event_type === 'state.put')
  assert.ok(notes.length >= 4)
  assert.ok(notes.every(({ actor, metadata }) => actor !== null && metadata?.by_code === true && metadata.execution_id))
})

test('code starts workflows, waits for them and reads what came of them', async () => {
  const { alice, admin } = await newOrganization()
  await block(alice, 'double', 'export const main = ({ n }) => ({ n: n * 2 })')
  await workflow(alice, { slug: 'doubling', nodes: [node('double', 'double')] })

  const outputs = await inBoth(
    alice,
    {
      javascript: `export async function main({ n }) {
        const begun = await flow.workflows.execute({ workflow_id: 'doubling', input: { n } })
        const at = { workflow_id: 'doubling', execution_id: begun.id }
        const end = await flow.workflows.wait(at, { wait: 30 })
        const waited = await flow.workflows.execute({ workflow_id: 'doubling', input: { n: 5 } }, { wait: 30 })
        const read = await flow.workflows.getExecution(at)
        const known = await flow.workflows.get({ workflow_id: 'doubling' })
        return [begun.trigger.type, end.status, end.output, waited.output, read.output, known.slug]
      }`,
      python: `async def main(n):
    begun = await flow.workflows.execute(workflow_id='doubling', input={'n': n})
    at = {'workflow_id': 'doubling', 'execution_id': begun['id']}
    end = await flow.workflows.wait(**at, wait=30)
    waited = await flow.workflows.execute(workflow_id='doubling', input={'n': 5}, wait=30)
    read = await flow.workflows.get_execution(**at)
    known = await flow.workflows.get(workflow_id='doubling')
    return [begun['trigger']['type'], end['status'], end['output'], waited['output'], read['output'], known['slug']]
`,
    },
    { n: 21 },
  )

  const expected = ['code', 'completed', { n: 42 }, { n: 10 }, { n: 42 }, 'doubling']
  assert.deepEqual(outputs, [expected, expected])
  const { items } = await alice.workflows.listAllExecutions({ limit: 100, trigger: 'code' })
  assert.deepEqual([...new Set(items.map(({ trigger }) => trigger.by))], [admin.user_id])
})

test('code calls code blocks, and is told how they failed', async () => {
  const { alice } = await newOrganization()
  const input_schema = { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] }
  await block(alice, 'half', 'export const main = ({ n }) => n / 2', { input_schema })
  await block(alice, 'bad', "export const main = () => { throw new TypeError('mine') }")
  await block(alice, 'self', "export const main = () => flow.codeBlocks.execute({ code_block_id: 'self' })")

  const outputs = await inBoth(alice, {
    javascript: `${refusing.javascript}export const main = async () => [
      await flow.codeBlocks.execute({ code_block_id: 'half', input: { n: 3 } }),
      await refusal(flow.codeBlocks.execute({ code_block_id: 'half', input: {} })),
      await refusal(flow.codeBlocks.execute({ code_block_id: 'bad' })),
      await refusal(flow.codeBlocks.execute({ code_block_id: 'none' })),
      (await refusal(flow.codeBlocks.execute({ code_block_id: 'self' })))[1].includes('more than 8 deep'),
    ]`,
    python: `${refusing.python}
def main():
    execute = flow.code_blocks.execute
    return [
        execute(code_block_id='half', input={'n': 3}),
        refusal(execute, code_block_id='half', input={}),
        refusal(execute, code_block_id='bad'),
        refusal(execute, code_block_id='none'),
        'more than 8 deep' in refusal(execute, code_block_id='self')[1],
    ]
`,
  })

  assert.deepEqual(outputs[0], outputs[1])
  const [half, invalid, failed, none, deep] = outputs[0] as [number, string[], string[], string[], boolean]
  assert.equal(half, 1.5)
  assert.deepEqual([invalid[0], failed[0], none[0], deep], ['VALIDATION_ERROR', 'UPSTREAM_FAILED', 'NOT_FOUND', true])
  assert.match(failed[1] ?? '', /"bad" failed with CODE_FAILED: TypeError: mine \(line 1\)/)
})

test('what is not there yet, or not at all, is refused with a sentence, in every language', async () => {
  const { alice } = await newOrganization()

  const outputs = await inBoth(alice, {
    javascript: `${refusing.javascript}export const main = async () => [
      ...await Promise.all([
        flow.vectorIndexes.search({ index_id: 'a' }),
        flow.agents.execute({ agent_id: 'a' }),
        flow.secrets.get({ name: 'a' }),
        flow.workflows.excute({ workflow_id: 'a' }),
        flow.workflows.remove({ workflow_id: 'a' }),
        flow.state.get({ component_id: 'none', scope: 's', key: 'k' }),
        flow.workflows.execute({ workflow_id: crypto.randomUUID(), stray: 1, input: {} }),
        flow.workflows.execute({ wait: 'long' }),
        flow.call('users.list', {}),
        flow.call('__proto__', {}),
        flow.call('state.get', [1]),
      ].map(refusal)),
      await (async () => flow.workflows)() === flow.workflows, JSON.stringify({ at: flow.state }), typeof flow.workflow,
    ]`,
    python: `${refusing.python}
import uuid
def main():
    call = lambda method, args: lambda: flow.call(method, args)
    return [
        refusal(flow.vector_indexes.search, index_id='a'),
        refusal(flow.agents.execute, agent_id='a'),
        refusal(flow.secrets.get, name='a'),
        refusal(flow.workflows.excute, workflow_id='a'),
        refusal(flow.workflows.remove, workflow_id='a'),
        refusal(flow.state.get, component_id='none', scope='s', key='k'),
        refusal(flow.workflows.execute, workflow_id=str(uuid.uuid4()), stray=1, input={}),
        refusal(flow.workflows.execute, wait='long'),
        refusal(call('users.list', {})),
        refusal(call('__proto__', {})),
        refusal(call('state.get', [1])),
        True, '{"at":{}}', 'undefined' if not hasattr(flow, 'workflow') else 'object',
    ]
`,
  })

  assert.deepEqual(outputs[0], outputs[1])
  const told = outputs[0] as [string, string, string][]
  assert.deepEqual(
    told.slice(0, 11).map(([code]) => code),
    [
      ...['UNAVAILABLE', 'UNAVAILABLE', 'NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND'],
      ...['VALIDATION_ERROR', 'VALIDATION_ERROR', 'NOT_FOUND', 'NOT_FOUND', 'BAD_REQUEST'],
    ],
  )
  assert.match(told[0]?.[1] ?? '', /no vector indexes yet/)
  assert.match(told[3]?.[1] ?? '', /no "workflows\.excute" here; there are .*workflows\.execute/)
  assert.equal(told[6]?.[2], 'stray')
  assert.deepEqual(outputs[0]?.[11 as never], true)
})

test("code may what its starter may at that moment, and finds nothing of another's", async () => {
  const { alice, member } = await newOrganization()
  const { alice: stranger } = await newOrganization()
  const { id: component_id } = await memory(alice)
  const theirs = await memory(stranger)
  const bob = await member('solution_builder')
  const code = `${refusing.javascript}export const main = async ({ theirs }) => {
    const at = { component_id: 'memory', scope: 's', key: 'n' }
    return [
      await refusal(flow.state.get(at)), await refusal(flow.state.put({ ...at, value: 1 })),
      await refusal(flow.state.get({ ...at, component_id: theirs })),
      await refusal(flow.state.put({ ...at, component_id: theirs, value: 1 })),
    ].map(([code]) => code)
  }`
  await block(alice, 'rights', code)
  const wait = { id: 'pause', type: 'webhook_wait' }
  const nodes = [wait, node('ask', 'rights', { input: { theirs: theirs.id } })]
  const { id: workflow_id } = await workflow(alice, { nodes, edges: [{ source: 'pause', target: 'ask' }] })
  const outcome = async (change: (user_id: string) => Promise<unknown>, who: PlatformClient = bob.client) => {
    const begun = await who.workflows.execute({ workflow_id, input: {} })
    const waits = await until(
      () => alice.workflows.getExecution({ workflow_id, execution_id: begun.id }),
      ({ waiting_for }) => waiting_for.some(({ kind }) => kind === 'callback'),
    )
    await change(bob.user_id)
    const [callback] = waits.waiting_for
    const { fetch } = await testFlow()
    assert.ok(callback?.kind === 'callback' && callback.url)
    const init = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }
    await fetch(callback.url, init)
    const end = await until(
      () => alice.workflows.getExecution({ workflow_id, execution_id: begun.id }),
      ({ completed_at }) => completed_at !== null,
    )
    return end.output
  }

  assert.deepEqual(await outcome(async () => {}), ['none', 'none', 'NOT_FOUND', 'NOT_FOUND'])
  const demote = (user_id: string) =>
    alice.users.update({ user_id, grants: [{ role: 'viewer', scope: 'organization' }] })
  assert.deepEqual(await outcome(demote), ['none', 'FORBIDDEN', 'NOT_FOUND', 'FORBIDDEN'])
  assert.equal((await alice.state.get({ component_id, scope: 's', key: 'n' })).value, 1)
})

test('a key that was narrowed narrows the code of what it starts', async () => {
  const { alice, organization_id } = await newOrganization()
  const { client } = await testFlow()
  await memory(alice)
  const code = `${refusing.javascript}export const main = async () => {
    const at = { component_id: 'memory', scope: 's', key: 'n' }
    return [await refusal(flow.state.put({ ...at, value: 1 })), await refusal(flow.state.get(at))].map(([code]) => code)
  }`
  await block(alice, 'narrow', code)
  const { id: workflow_id } = await workflow(alice, { nodes: [node('ask', 'narrow')] })
  const { key } = await alice.organizations.createApiKey({ name: 'Writes', scopes: ['solutions.write'] })
  const narrowed = client(key, { org_id: organization_id })

  const begun = await narrowed.workflows.execute({ workflow_id, input: {} })
  const end = await until(
    () => alice.workflows.getExecution({ workflow_id, execution_id: begun.id }),
    ({ completed_at }) => completed_at !== null,
  )

  assert.deepEqual(end.output, ['none', 'FORBIDDEN'])
})

test('code cannot ask more than it may, however it asks', async () => {
  const { alice } = await newOrganization()
  await memory(alice)
  await block(
    alice,
    'flood',
    `export const main = async () => {
    const at = { component_id: 'memory', scope: 's', key: 'n' }
    const all = await Promise.allSettled(Array.from({ length: 100 }, () => flow.state.get(at)))
    const codes = {}
    for (const { reason } of all) codes[reason?.code ?? 'none'] = (codes[reason?.code ?? 'none'] ?? 0) + 1
    return codes
  }`,
  )
  const { output } = await run(alice, { nodes: [node('ask', 'flood')] })
  assert.deepEqual(output, { none: 64, RATE_LIMITED: 36 })

  await block(
    alice,
    'without-end',
    `export const main = async ({ n }) => {
    let count = 0
    try { for (;;) { await flow.call('nothing', { count }); } } catch (error) { if (error.code === 'RATE_LIMITED') throw error }
    for (;;) try { await flow.call('nothing'); } catch (error) {
      if (error.code === 'RATE_LIMITED') return [count, error.message]
      count++
    }
  }`,
  )
  const ended = await run(alice, { nodes: [node('ask', 'without-end')] })
  assert.deepEqual((ended.output as unknown[])[0], 999)
  assert.ok(ASKED_MAX > 1000)
})

test('what has a role in one solution reaches by its code what that solution has, and nothing besides', async () => {
  const { alice, member } = await newOrganization()
  await block(alice, 'inner', 'export const main = () => 1')
  await block(alice, 'outer', 'export const main = () => 2')
  const code = `${refusing.javascript}export const main = () => Promise.all(
    ['inner', 'outer'].map(async (code_block_id) => (await refusal(flow.codeBlocks.execute({ code_block_id })))[0]))`
  const { id: component_id } = await block(alice, 'asks', code)
  const solution = await alice.solutions.create({ name: 'One', slug: 'one' })
  const inner = await alice.components.list({ search: 'inner' })
  for (const id of [component_id, inner.items[0]?.id ?? '']) {
    await alice.solutions.addComponent({ solution_id: solution.id, component_id: id })
  }
  const bob = await member({ role: 'solution_builder', scope: 'solution', scope_id: solution.id })

  const tested = await bob.client.components.test({ component_id, input: {} })

  assert.deepEqual(tested.runs[0]?.output, ['none', 'NOT_FOUND'], JSON.stringify(tested.runs[0]))
})

test('what a trigger starts has the rights of whoever armed it', async () => {
  const { alice, member, workspace_id } = await newOrganization()
  const { fetch } = await testFlow()
  await memory(alice)
  const bob = await member('solution_builder')
  await block(
    alice,
    'by-trigger',
    `${refusing.javascript}export const main = () =>
      refusal(flow.state.put({ component_id: 'memory', scope: 's', key: 'n', value: 7 }).then((kept) => kept.updated_by))`,
  )
  const trigger = { trigger_type: 'webhook', trigger_config: { path: 'armed', answer: 'result' } }
  await workflow(bob.client, { nodes: [node('ask', 'by-trigger')], ...trigger })
  const fire = async () => {
    const response = await fetch(`/hooks/${workspace_id}/armed`, { method: 'POST' })
    return JSON.parse(await response.text()) as [string, string]
  }

  assert.deepEqual(await fire(), ['none', JSON.stringify(bob.user_id)])
  await alice.users.update({ user_id: bob.user_id, grants: [{ role: 'viewer', scope: 'organization' }] })
  assert.equal((await fire())[0], 'FORBIDDEN')
})

test('a block that runs once at a time does so, whoever calls it', async () => {
  const { alice } = await newOrganization()
  const { id: component_id } = await memory(alice)
  const code = `export const main = async () => {
    const at = { component_id: 'memory', scope: 's', key: 'n' }
    const { value } = await flow.state.get(at)
    await new Promise((resolve) => setTimeout(resolve, 5))
    await flow.state.put({ ...at, value: value + 1 })
  }`
  await block(alice, 'single', code, { max_concurrent_runs: 1 })
  const nodes = [
    { id: 'many', type: 'map', component_ref: 'single', items: '{{ [1, 2, 3, 4, 5, 6] }}' },
    node('one', 'single'),
  ]

  const { status } = await run(alice, { nodes, workflow_type: 'parallel' })

  assert.equal(status, 'completed')
  assert.equal((await alice.state.get({ component_id, scope: 's', key: 'n' })).value, 7)
})

test('code calls models through the gateway, the same in every language', async () => {
  const { alice } = await newOrganization()

  const outputs = await inBoth(alice, {
    javascript: `${refusing.javascript}export const main = async () => {
      const messages = [{ role: 'user', content: 'Say hello.' }]
      const chat = await flow.gateway.chatCompletion({ model: 'flow/echo', messages })
      const { data } = await flow.gateway.embeddings({ model: 'flow/hash-embedding-384', input: 'hello' })
      const models = await flow.gateway.models()
      return [
        chat.choices[0].message.content, data[0].embedding.length, models.object,
        ...await Promise.all([
          flow.gateway.chatCompletion({ model: 'flow/echo', messages, stream: true }),
          flow.gateway.chatCompletion({ model: 'nobody/none', messages }),
          flow.gateway.chatCompletion({ messages }),
        ].map(async (call) => (await refusal(call))[0])),
      ]
    }`,
    python: `${refusing.python}
def main():
    messages = [{'role': 'user', 'content': 'Say hello.'}]
    chat = flow.gateway.chat_completion(model='flow/echo', messages=messages)
    data = flow.gateway.embeddings(model='flow/hash-embedding-384', input='hello')['data']
    models = flow.gateway.models()
    ask = lambda **named: refusal(flow.gateway.chat_completion, messages=messages, **named)[0]
    return [chat['choices'][0]['message']['content'], len(data[0]['embedding']), models['object'],
            ask(model='flow/echo', stream=True), ask(model='nobody/none'), ask()]
`,
  })

  assert.deepEqual(outputs[0], outputs[1])
  const [said, length, object, ...refused] = outputs[0] as unknown[]
  assert.match(String(said), /hello/)
  assert.deepEqual([length, object, ...refused], [384, 'list', 'VALIDATION_ERROR', 'NOT_FOUND', 'VALIDATION_ERROR'])
})

test('what code has not waited for ends with it', async () => {
  const { alice } = await newOrganization()
  const asked = `const ask = () => flow.gateway.chatCompletion({ model: 'flow/echo', messages: [{ role: 'user', content: 'a' }] })`
  await block(alice, 'leaves', `${asked}\nexport const main = () => { ask(); ask(); return 'gone' }`)

  const { output } = await run(alice, { nodes: [node('leave', 'leaves')] })

  assert.equal(output, 'gone')
})
