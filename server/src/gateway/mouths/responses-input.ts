/** The input of a response, checked and brought into the hub's messages. Items are finer than messages: what a model
 *  thought, said and called in one turn are items of their own, and are put together again; each call's output stands
 *  behind the turn that called, wherever in the input it was. */

import type { ImagePart, Json, JsonObject, Message, TextPart, UserPart } from '../hub.ts'
import { addressAt, arrayAt, emptyArray, isObject, notTranslated, requiredText, textAt, wordAt } from './checks.ts'
import { audioPartOf, filePartOf, imagePartOf, markOf, typeAmong } from './parts.ts'
import { missing, refuse, wrongType } from './refuse.ts'
import { blockOf } from './responses-items.ts'

type Assistant = Extract<Message, { role: 'assistant' }>
type ToolAnswer = Extract<Message, { role: 'tool' }>
type Turn = { message: Message; answers: Map<string, ToolAnswer | null> }

export function messagesOf(body: JsonObject): Message[] {
  const { input } = body
  if (input === undefined || input === null) throw missing('input')
  if (typeof input === 'string') return [...instructionsOf(body), { role: 'user', content: input }]
  if (!Array.isArray(input)) throw wrongType('input', 'one of a string or array of input items', input)
  if (input.length === 0) throw emptyArray('input')

  const turns = new Turns()
  for (let i = 0; i < input.length; i++) turns.add(input[i], `input[${i}]`)

  return [...instructionsOf(body), ...turns.messages()]
}

function instructionsOf(body: JsonObject): Message[] {
  const instructions = textAt(body, 'instructions')
  return instructions ? [{ role: 'system', content: instructions }] : []
}

class Turns {
  #turns: Turn[] = []
  /** The model's turn that goes on with the next item, if that is the model's, too. */
  #open: Assistant | undefined
  /** Calls without an output so far. */
  #waiting = new Map<string, Turn>()

  add(item: Json | undefined, at: string): void {
    if (!isObject(item)) throw wrongType(at, 'an object', item)
    const type = item.type ?? 'message'
    const read = this.#readers.get(String(type))
    if (read) read(item, at)
    else throw foreign(type, at)
  }

  readonly #readers = new Map<string, (item: JsonObject, at: string) => void>([
    ['message', (item, at) => this.#said(item, at)],
    ['reasoning', (item, at) => this.#thought(item, at)],
    ['function_call', (item, at) => this.#called(item, at)],
    ['function_call_output', (item, at) => this.#answered(item, at)],
  ])

  messages(): Message[] {
    const [unanswered] = this.#waiting.keys()
    if (unanswered !== undefined) throw refuse(`No tool output found for function call ${unanswered}.`, 'input')

    return this.#turns.flatMap(({ message, answers }) => [message, ...answered(answers)])
  }

  #said(item: JsonObject, at: string): void {
    const message = messageOf(item, at)
    const open = this.#open
    if (message.role !== 'assistant') {
      this.#open = undefined
      this.#push(message)
      return
    }
    if (open?.content === undefined) {
      Object.assign(this.#assistant(), message)
      return
    }
    // A turn that calls may say something before and behind it; without calls it is a turn of its own.
    if (open.tool_calls) open.content = [...partsOf(open.content), ...partsOf(message.content)]
    else this.#open = this.#push(message)
  }

  #thought(item: JsonObject, at: string): void {
    const text = textsIn(item, 'content', at) || textsIn(item, 'summary', at)
    const block = blockOf(text, textAt(item, 'encrypted_content', at))
    if (!block) return
    const turn = this.#assistant()
    turn.reasoning ??= []
    turn.reasoning.push(block)
  }

  #called(item: JsonObject, at: string): void {
    const id = requiredText(item, 'call_id', at)
    if (this.#waiting.has(id)) throw refuse(`Duplicate function call '${id}'.`, `${at}.call_id`)
    const name = requiredText(item, 'name', at)
    const message = this.#assistant()
    const call = { name, arguments: requiredText(item, 'arguments', at) }
    message.tool_calls ??= []
    message.tool_calls.push({ id, type: 'function', function: call })
    const turn = this.#turns.at(-1)
    if (!turn) return
    turn.answers.set(id, null)
    this.#waiting.set(id, turn)
  }

  #answered(item: JsonObject, at: string): void {
    const id = requiredText(item, 'call_id', at)
    const turn = this.#waiting.get(id)
    if (!turn) throw refuse(`No tool call found for function call output with call_id ${id}.`, `${at}.call_id`)
    this.#waiting.delete(id)
    this.#open = undefined
    turn.answers.set(id, { role: 'tool', tool_call_id: id, content: outputOf(item, at) })
  }

  #assistant(): Assistant {
    this.#open ??= this.#push({ role: 'assistant' })
    return this.#open
  }

  #push<M extends Message>(message: M): M {
    this.#turns.push({ message, answers: new Map() })
    return message
  }
}

function foreign(type: Json, at: string) {
  if (type === 'item_reference') {
    return notStored(`${at}.type`, 'Send the item itself; with `store: false` clients do so.')
  }
  return notTranslated(`${at}.type`, `Only OpenAI understands items of the type ${JSON.stringify(type).slice(0, 64)}.`)
}

const answered = (answers: Turn['answers']) => [...answers.values()].filter((answer) => answer !== null)

const partsOf = (content: Assistant['content']) =>
  typeof content === 'string' ? [{ type: 'text' as const, text: content }] : (content ?? [])

/** The texts of a list of parts, put together. */
function textsIn(item: JsonObject, name: string, at: string): string {
  return (arrayAt(item, name, at) ?? [])
    .map((part, i) => {
      if (!isObject(part)) throw wrongType(`${at}.${name}[${i}]`, 'an object', part)
      return requiredText(part, 'text', `${at}.${name}[${i}]`)
    })
    .join('\n\n')
}

const ROLES = ['assistant', 'system', 'developer', 'user'] as const

function messageOf(item: JsonObject, at: string): Message {
  const role = wordAt(item, 'role', ROLES, at)
  switch (role) {
    case undefined:
      throw missing(`${at}.role`)
    case 'user':
      return { role, content: contentOf(item, 'content', at, userPartOf) }
    case 'system':
    case 'developer':
      return { role, content: contentOf(item, 'content', at, textPartOf) }
    case 'assistant':
      return { role, content: contentOf(item, 'content', at, spokenPartOf) }
  }
}

function contentOf<Part>(item: JsonObject, name: string, at: string, partOf: (part: JsonObject, at: string) => Part) {
  const content = item[name]
  if (typeof content === 'string') return content
  if (content === undefined || content === null) throw missing(`${at}.${name}`)
  if (!Array.isArray(content)) throw wrongType(`${at}.${name}`, 'one of a string or array of objects', content)

  return content.map((part, i) => {
    if (!isObject(part)) throw wrongType(`${at}.${name}[${i}]`, 'an object', part)
    return partOf(part, `${at}.${name}[${i}]`)
  })
}

/** OpenAI's API takes `text` for either kind of text, as older clients send it. */
function textPartOf(part: JsonObject, at: string): TextPart {
  typeAmong(part, ['input_text', 'text'], at)
  return { type: 'text', text: requiredText(part, 'text', at), ...markOf(part, at) }
}

function spokenPartOf(part: JsonObject, at: string): TextPart | { type: 'refusal'; refusal: string } {
  const type = typeAmong(part, ['output_text', 'refusal', 'text'], at)
  if (type === 'refusal') return { type, refusal: requiredText(part, 'refusal', at) }

  return { type: 'text', text: requiredText(part, 'text', at) }
}

const USER_PARTS = ['input_text', 'input_image', 'input_file', 'input_audio', 'text'] as const

function userPartOf(part: JsonObject, at: string): UserPart {
  switch (typeAmong(part, USER_PARTS, at)) {
    case 'input_image':
      return imageOf(part, at)
    case 'input_file':
      return fileOf(part, at)
    case 'input_audio':
      return audioPartOf(part, at)
    default:
      return textPartOf(part, at)
  }
}

function outputOf(item: JsonObject, at: string): ToolAnswer['content'] {
  return contentOf(item, 'output', at, (part, where) => {
    if (part.type === 'input_file') {
      throw notTranslated(`${where}.type`, 'Give the output as text and images.')
    }
    return part.type === 'input_image' ? imageOf(part, where) : textPartOf(part, where)
  })
}

function imageOf(part: JsonObject, at: string): ImagePart {
  if (textAt(part, 'file_id', at) !== undefined) {
    throw notTranslated(`${at}.file_id`, "Send the image itself in 'image_url'.")
  }
  return imagePartOf(part, 'image_url', at, markOf(part, at))
}

function fileOf(part: JsonObject, at: string): UserPart {
  // An adapter whose provider fetches nothing refuses an address.
  const address = textAt(part, 'file_url', at)
  const file_data = textAt(part, 'file_data', at) ?? (address && addressAt(part, 'file_url', at))
  return filePartOf(part, file_data, at, markOf(part, at))
}

/** For whatever only somebody who keeps responses could answer. */
export const notStored = (param: string, hint: string) =>
  refuse(`'${param}' is not available for this model: Flow keeps no responses. ${hint}`, param, 'unsupported_parameter')
