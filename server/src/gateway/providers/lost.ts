/** What of a conversation, its tools and the form of its answer does not reach a model, by the names of the hub. An adapter
 *  says what it can carry; what else a request may have is told by all of them, or named by the adapter itself. */

import type { ChatRequest, FilePart, Message, Reasoning, Tool } from '../hub.ts'

export type Carries = {
  /** Who of several that have the same role speaks. */
  names: boolean
  /** How closely an image is to be looked at. */
  details: boolean
  filename(file: FilePart['file']): boolean
  /** What may be cached, up to a part of a message. */
  marks: boolean
  /** The same, up to a tool. */
  tool_marks: boolean
  /** That a tool's result is an error. */
  errors: boolean
  /** That calls keep to the tool's schema. */
  strict(tool: Tool): boolean
  /** What the model thought before. */
  thought(block: Reasoning): boolean
  /** Of a schema that the answer has: what it is for, and that the answer keeps to it. */
  format: { description: boolean; strict: boolean }
}

export function lostIn({ messages, tools, response_format }: ChatRequest, carries: Carries): Set<string> {
  const lost = new Set<string>()
  for (const message of messages) loseOf(message, carries, lost)
  for (const tool of tools ?? []) {
    if (tool.function.strict && !carries.strict(tool)) lost.add('tools[].function.strict')
    if (tool.cache_control && !carries.tool_marks) lost.add('tools[].cache_control')
  }
  if (response_format?.type !== 'json_schema') return lost
  const { description, strict } = response_format.json_schema
  if (description && !carries.format.description) lost.add('response_format.json_schema.description')
  if (strict && !carries.format.strict) lost.add('response_format.json_schema.strict')
  return lost
}

function loseOf(message: Message, carries: Carries, lost: Set<string>): void {
  const { content } = message
  if ('name' in message && message.name && !carries.names) lost.add('messages[].name')
  if (message.role === 'tool' && message.is_error && !carries.errors) lost.add('messages[].is_error')
  if (message.role === 'assistant' && message.reasoning?.some((block) => !carries.thought(block))) {
    lost.add('messages[].reasoning')
  }
  if (Array.isArray(content)) for (const part of content) loseOfPart(part, carries, lost)
}

type Part = Exclude<NonNullable<Message['content']>, string>[number]

function loseOfPart(part: Part, carries: Carries, lost: Set<string>): void {
  if ('cache_control' in part && part.cache_control && !carries.marks) lost.add('messages[].content[].cache_control')
  if (part.type === 'file') {
    if (part.file.filename && !carries.filename(part.file)) lost.add('messages[].content[].file.filename')
  }
  if (part.type !== 'image_url' || carries.details) return
  const { detail } = part.image_url
  if (detail && detail !== 'auto') lost.add('messages[].content[].image_url.detail')
}
