/** What hosts say in ways of their own: whole or streamed, nothing gets out of it that a guardrail blocks or redacts,
 *  neither to the client nor into the trace. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { GatewayGuardrail } from '@flow/contract/gateway-routes'
import { newOrganization, testFlow } from '../../testing.ts'
import { type Answer, breaks, delta, event, openUpstream, streams } from '../call/upstream-testing.ts'
import { PREFIX } from '../front/front.ts'
import { openPlane } from '../open.ts'
import type { CallRecord } from '../policies/policy.ts'

const { platform } = await testFlow({ FLOW_ALLOWED_HOSTS: '127.0.0.1' })

const records: CallRecord[] = []
const note = (record: CallRecord) => {
  records.push(record)
  return { nanocredits: 0 }
}
const plane = openPlane(platform, {
  noted: () => {},
  spend: async () => ({}),
  journal: { note: (record) => void note(record) },
  governor: {
    admit: () => ({ output_tokens_max: null, headers: {}, allows: () => true, covers: () => true, settle: note }),
  },
})
after(() => plane.close())

type Rule = Pick<GatewayGuardrail, 'rule' | 'action' | 'side'>
const secret = { type: 'regex' as const, patterns: ['SECRET-\\d+'] }

/** An organization with a guardrail, and with providers that all are this host. */
async function hosted({ rule, action, side }: Rule, ...answers: Answer[]) {
  const { alice, admin } = await newOrganization()
  const { base_url, answer, got } = await openUpstream(...answers)
  const shared = { base_url, skip_test: true, key: 'k' }
  await alice.gateway.providers.create({ name: 'one', kind: 'openai', ...shared })
  await alice.gateway.providers.create({ name: 'open', kind: 'openai', ...shared, options: { responses: 'native' } })
  await alice.gateway.providers.create({ name: 'claude', kind: 'anthropic', ...shared })
  await alice.gateway.guardrails.create({ name: 'Guard', always: true, rule, action, side } as never)
  const headers = { authorization: `Bearer ${admin.api_key}`, 'content-type': 'application/json' }
  const ask = async (path: string, body: object) => {
    const init = { method: 'POST', headers, body: JSON.stringify(body) }
    const response = await plane.respond(new Request(`http://flow.test${PREFIX}${path}`, init))
    const text = await response.text()
    return { status: response.status, text, kept: String(records.at(-1)?.answer), record: records.at(-1) }
  }
  return { ask, answer, got }
}

const messages = [{ role: 'user', content: 'x' }]
const asked = { model: 'one/m', messages }

test('the end of a stream that breaks or is blocked tells nothing of what was held back', async () => {
  const letters = [...'hello SECRET-1234 and so on']
  const pieces = [
    ...letters.map((reasoning_content) =>
      event({ choices: [{ index: 0, delta: { reasoning_content }, finish_reason: null }] }),
    ),
    ...letters.map((letter) => delta(letter)),
  ]
  for (const [action, answer] of [
    ['redact', breaks(...pieces)],
    ['block', streams(...pieces, delta('', 'stop'), 'data: [DONE]\n\n')],
  ] as const) {
    const { ask } = await hosted({ rule: secret, action, side: 'output' }, answer)
    for (const [path, body] of [
      ['/responses', { model: 'one/m', input: 'x', stream: true }],
      ['/chat/completions', { ...asked, stream: true }],
      ['/messages', { ...asked, max_tokens: 50, stream: true }],
    ] as const) {
      const { text, kept } = await ask(path, body)
      assert.match(text, /error/)
      assert.match(text, /"h"/)
      for (const told of [text, kept]) assert.doesNotMatch(told, /SECRET-1|1234/, `${action} ${path}`)
    }
  }
})
