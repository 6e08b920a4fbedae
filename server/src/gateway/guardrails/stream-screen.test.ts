/** Whatever a stream is cut into, it tells what the whole answer would: held against each other over random answers. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GuardrailRule } from '@flow/contract/gateway-routes'
import { chance } from '../mouths/mouths-testing.ts'
import type { Guardrail, Policy } from '../policies/policy.ts'
import { Blocked, Findings } from './findings.ts'
import { createGuards, type Looking, type Part, screenAnswer } from './guard.ts'
import { StreamScreen } from './stream-screen.ts'
import { Looker } from './turns.ts'

const draw = chance(23)
const pick = <Value>(values: readonly Value[]): Value => values[Math.floor(draw() * values.length)] as Value

const words = [
  ...['bob@example.com', '4111 1111 1111 1111', '4111111111111112', 'DE89 3704 0044 0532 0130 00', '+49 30 1234567'],
  ...['secret', 'top ', 'Secret', 'code-12', '34', ' ', '\n', 'the', 'x', ',', '.', '😀', 'é', '12', 'A', '请'],
]
const rules: GuardrailRule[] = [
  { type: 'pii', kinds: ['email', 'credit_card', 'iban', 'phone'] },
  { type: 'regex', patterns: ['(?i)top secret', 'code-\\d{2,4}\\b'] },
  { type: 'regex', patterns: ['[a-z]+@', '^the.*$'] },
  { type: 'regex', patterns: ['\\[\\w+\\]'] },
]

function partOf(action: Guardrail['action'], given: GuardrailRule[]): Part {
  const all = given.map(
    (rule, i): Guardrail => ({ id: `${i}`, name: `${i}`, always: true, side: 'output', action, rule }),
  )
  const policy = { guardrails: new Map(all.map((one) => [one.id, one])) } as unknown as Policy
  const run = async (_id: string, { text }: { text: string }) => ({ ok: !/secret|4111111111111111/i.test(text) })
  const means = { embed: () => assert.fail(), run }
  const part = createGuards(means).of(policy, undefined)?.output
  assert.ok(part)
  return part
}

const looking = (findings = new Findings()) =>
  ({ side: 'output', findings, looker: new Looker(), asking: {}, log: { warn: assert.fail } }) as unknown as Looking

/** The same, but nearly nothing is short to it. */
const slowed = (part: Part): Part => ({ ...part, slice: 7 })

/** What is told of all packets, which come faster than they are looked at. */
async function streamed(screen: StreamScreen, packets: Buffer[]): Promise<string> {
  const told = await Promise.all(packets.map((packet) => screen.push(packet)))
  const rest = await screen.end('')
  await screen.noting
  return told.join('') + rest
}

/** Of each choice: the text, the thoughts, the arguments. */
type Said = { content: string; reasoning_content: string; arguments: string }
const kinds = ['content', 'reasoning_content', 'arguments'] as const

function deltaOf(kind: (typeof kinds)[number], text: string) {
  return kind === 'arguments' ? { tool_calls: [{ index: 0, function: { arguments: text } }] } : { [kind]: text }
}

/** The pieces of all texts, mixed as a stream may mix them, as events cut into packets anywhere. */
function packetsOf(choices: Said[], most = 6): Buffer[] {
  const lanes = choices.flatMap((said, index) => kinds.map((kind) => ({ index, kind, left: said[kind] })))
  const events: object[] = []
  while (lanes.some(({ left }) => left !== '')) {
    const lane = pick(lanes.filter(({ left }) => left !== ''))
    const length = most > 6 ? most : 1 + Math.floor(draw() * most)
    const delta = deltaOf(lane.kind, lane.left.slice(0, length))
    lane.left = lane.left.slice(length)
    events.push({ choices: [{ index: lane.index, delta, finish_reason: null }] })
  }
  for (const index of choices.keys()) events.push({ choices: [{ index, delta: {}, finish_reason: 'stop' }] })
  const bytes = Buffer.from(`${events.map((one) => `data: ${JSON.stringify(one)}\n\n`).join('')}data: [DONE]\n\n`)
  const packets: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = most > 6 ? 64 * 1024 : 1 + Math.floor(draw() * 200)
    packets.push(bytes.subarray(at, at + length))
    at += length
  }
  return packets
}

function toldBy(text: string, count: number): Said[] {
  const told = Array.from({ length: count }, (): Said => ({ content: '', reasoning_content: '', arguments: '' }))
  assert.ok(text.endsWith('data: [DONE]\n\n'))
  for (const event of text.split('\n\n').filter((one) => one.startsWith('data: {'))) {
    for (const { index, delta } of JSON.parse(event.slice(6)).choices) {
      const one = told[index]
      assert.ok(one)
      one.content += delta.content ?? ''
      one.reasoning_content += delta.reasoning_content ?? ''
      one.arguments += delta.tool_calls?.[0].function.arguments ?? ''
    }
  }
  return told
}

const answerOf = (choices: Said[]) => ({
  choices: choices.map(({ content, reasoning_content, arguments: given }, index) => ({
    index,
    message: {
      content,
      reasoning_content,
      tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: given } }],
    },
  })),
})

const phrase = () => Array.from({ length: Math.floor(draw() * 12) }, () => pick(words)).join(pick(['', ' ']))
const newChoice = (): Said => {
  const given = draw() < 0.8 ? JSON.stringify({ [phrase()]: phrase(), n: 4111111111111111 }) : phrase()
  return { content: phrase(), reasoning_content: phrase(), arguments: given }
}

test('a stream that is redacted tells what the redacted whole tells, and finds the same', async () => {
  for (let round = 0; round < 600; round += 1) {
    const code: GuardrailRule = { type: 'code_block', component_id: crypto.randomUUID() }
    const given = [...rules, code].filter(({ type }) => draw() < (type === 'code_block' ? 0.3 : 0.6))
    if (given.length === 0) continue
    const part = partOf(pick(['redact', 'redact', 'flag']), given)
    const choices = Array.from({ length: 1 + Math.floor(draw() * 2) }, newChoice)
    const wholly = looking()
    const whole = (await screenAnswer(part, 'chat', answerOf(choices), wholly)) as ReturnType<typeof answerOf>
    const expected = whole.choices.map(({ message }) => ({
      content: message.content,
      reasoning_content: message.reasoning_content,
      arguments: message.tool_calls[0]?.function.arguments,
    }))
    for (const asked of round % 3 === 0 ? [part, slowed(part)] : [part]) {
      const streaming = looking()
      const text = await streamed(new StreamScreen(asked, 'chat', streaming), packetsOf(choices))
      assert.deepEqual(toldBy(text, choices.length), expected, JSON.stringify({ choices, given }))
      const names = (findings: Findings) => findings.all.map(({ guardrail }) => guardrail).sort()
      assert.deepEqual(names(streaming.findings), names(wholly.findings))
    }
  }
})

test('many long streams at once let others have their turn, and small events go on at once', async () => {
  const part = partOf('redact', [{ type: 'regex', patterns: ['[\\s\\S]{1,1000}END'] }])
  const text = 'lorem ipsum '.repeat(1_000)
  const said = { content: '', reasoning_content: '', arguments: '' }
  const kinds: [string, Buffer[]][] = [
    ['one event', packetsOf([{ ...said, content: text }], text.length)],
    ['small events', packetsOf([{ ...said, content: text }], 100)],
    ['arguments', packetsOf([{ ...said, arguments: JSON.stringify({ [text]: text }) }], 5_000)],
  ]
  let worst = 0
  let last = performance.now()
  const look = () => {
    worst = Math.max(worst, performance.now() - last)
    last = performance.now()
  }
  const clock = setInterval(look, 1).unref()
  await Promise.all(
    [...kinds, ...kinds].map(async ([name, packets]) => {
      const told = toldBy(await streamed(new StreamScreen(part, 'chat', looking()), packets), 1)
      assert.ok(told[0]?.content === text || JSON.parse(told[0]?.arguments || '{}')[text] === text, name)
    }),
  )
  look()
  clearInterval(clock)
  assert.ok(worst < 400, `the process stood still for ${worst} ms`)

  await new Promise((resolve) => setTimeout(resolve, 1))
  const small = new StreamScreen(part, 'chat', looking()).push(
    Buffer.from('data: {"choices":[{"delta":{"content":"x"}}]}\n\n'),
  )
  assert.equal(typeof small, 'string')
})

test('who goes away is not looked for any longer', async () => {
  const part = partOf('redact', [{ type: 'regex', patterns: ['[\\s\\S]{1,1000}END'] }])
  const { looker, ...others } = looking()
  const [packet = Buffer.alloc(0)] = packetsOf(
    [{ content: 'lorem '.repeat(16_000), reasoning_content: '', arguments: '' }],
    100_000,
  )
  const began = performance.now()
  const told = new StreamScreen(part, 'chat', { ...others, looker }).push(packet)
  looker.isGone = true
  await told
  assert.ok(performance.now() - began < 200)
})

test('a stream is blocked where the whole is, and what was told before has nothing of it', async () => {
  let blocked = 0
  for (let round = 0; round < 400; round += 1) {
    const rule = pick(rules.slice(0, 2))
    const part = partOf('block', [rule])
    const choices = [newChoice()]
    const isBlocked = async (work: () => unknown) => {
      try {
        await work()
        return false
      } catch (thrown) {
        assert.ok(thrown instanceof Blocked)
        return true
      }
    }
    const wholly = await isBlocked(() => screenAnswer(part, 'chat', answerOf(choices), looking()))
    const screen = new StreamScreen(pick([part, slowed(part)]), 'chat', looking())
    let told = ''
    const isStreamBlocked = await isBlocked(async () => {
      for (const packet of packetsOf(choices)) told += await screen.push(packet)
      told += await screen.end('')
    })
    assert.equal(isStreamBlocked, wholly, JSON.stringify(choices))
    const [before] = toldBy(`${told.replace(/data: \[DONE\]\n\n$/, '')}data: [DONE]\n\n`, 1)
    assert.ok(before)
    // The end of what was told is no end of a word: what was held goes on behind it.
    if (rule.type === 'regex') for (const kind of kinds) before[kind] += 'x'
    assert.ok(
      !(await isBlocked(() => screenAnswer(part, 'chat', answerOf([before]), looking()))),
      JSON.stringify(before),
    )
    blocked += Number(wholly)
  }
  assert.ok(blocked > 50 && blocked < 350, `${blocked} of 400`)
})
