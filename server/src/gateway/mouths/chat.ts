/** OpenAI's chat completions: `POST /chat/completions`. The hub is nearly this format already, so what remains is to be
 *  exact about it: the role is in the first delta of each choice and in no other, every piece of a tool call has its
 *  `index`, each choice ends with one `finish_reason`, and usage comes last, without choices, and only when asked for.
 *
 *  Beyond the reference, reasoning is told as `reasoning_content` (its text) and `reasoning_details` (with signatures,
 *  to be handed back as they came), the names that clients of reasoning models know. */

import type { ChatAnswer, ChatChunk, ChatRequest, Choice, JsonObject, Logprobs, Reasoning, Usage } from '../hub.ts'
import { readChat } from './chat-read.ts'
import type { About, ChatMouth, StreamWriter } from './mouth.ts'
import { DONE, eventOf, faultInOpenai, usageInChat } from './openai.ts'

export const chat: ChatMouth = { name: 'chat', read: readChat, answer, stream, fault: faultInOpenai }

function answer(given: ChatAnswer, _request: ChatRequest, about: About): JsonObject {
  return {
    id: `chatcmpl-${about.id}`,
    object: 'chat.completion',
    created: about.created,
    model: about.model,
    choices: given.choices.map(choiceOf),
    usage: usageInChat(given.usage),
    ...(given.system_fingerprint && { system_fingerprint: given.system_fingerprint }),
  }
}

function choiceOf(choice: Choice): JsonObject {
  const { content, refusal, tool_calls, reasoning } = choice.message

  return {
    index: choice.index,
    message: {
      role: 'assistant',
      content,
      refusal,
      annotations: [],
      ...(tool_calls && tool_calls.length > 0 && { tool_calls }),
      ...(reasoning && reasoning.length > 0 && toldReasoning(reasoning)),
    },
    logprobs: choice.logprobs ?? null,
    finish_reason: choice.finish_reason,
  }
}

function toldReasoning(reasoning: Reasoning[]): JsonObject {
  return {
    reasoning_content: reasoning.map((block) => block.text).join(''),
    reasoning_details: reasoning.map((block, index) => detailOf(index, block)),
  }
}

type Piece = { text?: string; signature?: string; data?: string; id?: string }

function detailOf(index: number, piece: Piece): JsonObject {
  return {
    type: piece.data === undefined ? 'reasoning.text' : 'reasoning.encrypted',
    index,
    ...(piece.text !== undefined && { text: piece.text }),
    ...(piece.signature !== undefined && { signature: piece.signature }),
    ...(piece.data !== undefined && { data: piece.data }),
    ...(piece.id !== undefined && { id: piece.id }),
  }
}

type Delta = ChatChunk['choices'][number]['delta']
type CallPiece = NonNullable<Delta['tool_calls']>[number]

/** What has been said of a choice. */
type Begun = { calls: Set<number>; is_finished: boolean }

function stream(request: ChatRequest, about: About): StreamWriter {
  const tellsUsage = request.stream_options?.include_usage === true
  const choices = new Map<number, Begun>()
  let usage: Usage | undefined
  let head = headOf(about)
  const tail = tellsUsage ? '],"usage":null}\n\n' : ']}\n\n'

  const event = (index: number, delta: string, finish: string | null, logprobs?: Logprobs | null) =>
    `${head}"choices":[{"index":${index},"delta":${delta},"logprobs":${logprobs ? JSON.stringify(logprobs) : 'null'},` +
    `"finish_reason":${finish === null ? 'null' : `"${finish}"`}}${tail}`

  function chosen(choice: ChatChunk['choices'][number]): string {
    let begun = choices.get(choice.index)
    if (begun?.is_finished) return ''
    let text = ''
    const { delta } = choice
    const says = hasContent(delta) || Boolean(choice.logprobs)
    if (!begun) {
      begun = { calls: new Set(), is_finished: false }
      choices.set(choice.index, begun)
      const opens = delta.tool_calls && delta.content === undefined && delta.refusal === undefined
      text = event(choice.index, `{"role":"assistant","content":${opens ? 'null' : '""'},"refusal":null}`, null)
    }
    if (says) text += event(choice.index, deltaOf(delta, begun, choice.index, about), null, choice.logprobs)
    if (choice.finish_reason === null) return text
    begun.is_finished = true

    return text + event(choice.index, '{}', choice.finish_reason)
  }

  return {
    begin: () => '',
    chunk(chunk) {
      if (chunk.usage) usage = chunk.usage
      if (chunk.system_fingerprint && choices.size === 0) head = headOf(about, chunk.system_fingerprint)
      const first = chunk.choices[0]
      if (first === undefined) return ''
      return chunk.choices.length === 1 ? chosen(first) : chunk.choices.map(chosen).join('')
    },
    end() {
      const told = tellsUsage && usage ? `${head}"choices":[],"usage":${JSON.stringify(usageInChat(usage))}}\n\n` : ''
      return told + DONE
    },
    fail: (fault) => eventOf(faultInOpenai(fault)),
  }
}

function headOf(about: About, fingerprint?: string): string {
  return (
    `data: {"id":"chatcmpl-${about.id}","object":"chat.completion.chunk","created":${about.created},` +
    `"model":${JSON.stringify(about.model)},` +
    (fingerprint ? `"system_fingerprint":${JSON.stringify(fingerprint)},` : '')
  )
}

function hasContent(delta: Delta): boolean {
  return Boolean(delta.content || delta.refusal || delta.tool_calls?.length || delta.reasoning)
}

function deltaOf(delta: Delta, begun: Begun, choice: number, about: About): string {
  if (delta.content && !delta.tool_calls && !delta.reasoning && !delta.refusal) {
    return `{"content":${JSON.stringify(delta.content)}}`
  }
  const told: JsonObject = {}
  if (delta.content) told.content = delta.content
  if (delta.refusal) told.refusal = delta.refusal
  if (delta.tool_calls) told.tool_calls = delta.tool_calls.map((call) => callOf(call, begun, choice, about))
  if (delta.reasoning) {
    const { index, ...piece } = delta.reasoning
    if (piece.text) told.reasoning_content = piece.text
    told.reasoning_details = [detailOf(index, piece)]
  }

  return JSON.stringify(told)
}

function callOf(call: CallPiece, begun: Begun, choice: number, about: About): JsonObject {
  const written = call.function?.arguments ?? ''
  if (begun.calls.has(call.index)) return { index: call.index, function: { arguments: written } }
  begun.calls.add(call.index)

  return {
    index: call.index,
    // A client cannot answer a call without a name for it.
    id: call.id ?? `call_${about.id}_${choice}_${call.index}`,
    type: 'function',
    function: { name: call.function?.name ?? '', arguments: written },
  }
}
