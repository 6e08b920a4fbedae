import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../hub.ts'
import type { ChatMouth } from './mouth.ts'
import { chatMouths } from './mouths.ts'
import { namesFor } from './names.ts'
import { unmetIn } from './unmet.ts'

const named = (mouth: ChatMouth['name'], body: JsonObject, ...lost: string[]) => namesFor(mouth, body, lost)

test('what is lost has the names that the client has said, and each of them once', () => {
  const adaptive = { thinking: { type: 'adaptive' }, output_config: { effort: 'low' } }
  assert.deepEqual(named('messages', { thinking: { type: 'enabled', budget_tokens: 2_000 } }, 'reasoning_tokens'), [
    'thinking',
  ])
  assert.deepEqual(named('messages', adaptive, 'reasoning_effort', 'thinking'), ['thinking', 'output_config.effort'])
  assert.deepEqual(named('messages', { output_config: { effort: 'low' } }, 'reasoning_effort'), [
    'output_config.effort',
  ])
  assert.deepEqual(named('messages', { stop_sequences: ['x'], metadata: { user_id: 'u' } }, 'stop', 'user'), [
    'stop_sequences',
    'metadata.user_id',
  ])
  const response = { text: { format: { type: 'json_schema', strict: true } }, reasoning: { effort: 'low' } }
  assert.deepEqual(
    named('responses', response, 'reasoning_effort', 'response_format.json_schema.strict', 'seed', 'seed'),
    ['reasoning.effort', 'text.format.strict', 'seed'],
  )
  assert.deepEqual(named('chat', { max_tokens: 5 }, 'max_completion_tokens'), ['max_tokens'])
  assert.deepEqual(named('completions', { logprobs: 2 }, 'logprobs', 'top_logprobs'), ['logprobs'])
})

test('a part of what is lost as a whole is not named', () => {
  const lost = ['response_format.json_schema.description', 'response_format', 'messages[].name']
  assert.deepEqual(named('chat', {}, ...lost), ['response_format', 'messages[].name'])
})

test('a field that the format does not have keeps its name, whatever it is called', () => {
  const body = { stop: ['x'], constructor: 1 }
  assert.deepEqual(named('messages', body, 'stop', 'constructor'), ['stop', 'constructor'])
})

test('places in lists are told without numbers', () => {
  const marked = { type: 'text', text: 'x', cache_control: { type: 'ephemeral' } }
  const lost = 'messages[].content[].cache_control'
  assert.deepEqual(named('messages', { system: [marked], messages: [] }, lost), ['system[].cache_control'])
  const result = { type: 'tool_result', content: [marked] }
  assert.deepEqual(named('messages', { messages: [{ content: 'x' }, { content: [result] }] }, lost), [
    'messages[].content[].content[].cache_control',
  ])
  const broken = { type: 'text', text: 'x', prompt_cache_breakpoint: { mode: 'explicit' } }
  assert.deepEqual(named('chat', { messages: [{ content: [broken] }] }, lost), [
    'messages[].content[].prompt_cache_breakpoint',
  ])
})

const unmet = (mouth: ChatMouth['name'], body: JsonObject) => {
  chatMouths[mouth]?.read({ model: 'm', ...body })
  return unmetIn(mouth, body)
}
const hi = { role: 'user', content: 'Hi' }

test('of Anthropic’s format what the hub has no word for is named', () => {
  const plain = { max_tokens: 5_000, messages: [hi] }
  assert.deepEqual(unmet('messages', plain), [])
  const document = { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'x' } }
  const quoted = (enabled: boolean) => ({
    ...plain,
    messages: [{ role: 'user', content: [{ ...document, citations: { enabled } }] }],
  })
  assert.deepEqual(unmet('messages', quoted(true)), ['messages[].content[].citations'])
  assert.deepEqual(unmet('messages', quoted(false)), [])
  const thinking = { type: 'enabled', budget_tokens: 2_000, display: 'omitted' }
  const input_schema = { type: 'object' }
  const more = {
    thinking,
    output_config: { effort: 'low', task_budget: { type: 'tokens', total: 1 } },
    tools: [{ name: 'a', input_schema, input_examples: [{ a: 1 }], defer_loading: false }],
  }
  assert.deepEqual(unmet('messages', { ...plain, ...more }), [
    'thinking.display',
    'output_config.effort',
    'output_config.task_budget',
    'tools[].input_examples',
  ])
  const adaptive = { thinking: { type: 'adaptive', display: 'summarized' }, output_config: { effort: 'low' } }
  assert.deepEqual(unmet('messages', { ...plain, ...adaptive }), [])
})

test('of OpenAI’s formats what the hub has no word for is named', () => {
  const called = { type: 'function', function: { name: 'a', parameters: {}, examples: [1] } }
  const spoken = { role: 'assistant', content: 'Hello.', audio: { id: 'audio_1' } }
  assert.deepEqual(unmet('chat', { messages: [hi, spoken, hi], tools: [called] }), [
    'messages[].audio',
    'tools[].function.examples',
  ])
  assert.deepEqual(unmet('chat', { messages: [hi, { ...spoken, audio: null }] }), [])
  const quiet = { input: 'Hi', store: false, truncation: 'disabled', text: { verbosity: 'medium' } }
  assert.deepEqual(unmet('responses', { ...quiet, reasoning: { effort: 'low', summary: 'auto' } }), [])
  assert.deepEqual(
    unmet('responses', {
      input: [{ role: 'assistant', content: 'Hm.', phase: 'commentary' }, hi],
      store: true,
      truncation: 'auto',
      text: { verbosity: 'low', shape: 'round' },
      reasoning: { context: 'all_turns' },
      user: 'u',
      safety_identifier: 's',
      tools: [{ type: 'function', name: 'a', defer_loading: true }],
    }),
    [
      'store',
      'truncation',
      'text.verbosity',
      'reasoning.context',
      'safety_identifier',
      'input[].phase',
      'text.shape',
      'tools[].defer_loading',
    ],
  )
  assert.deepEqual(unmet('completions', { prompt: 'Hi' }), [])
})
