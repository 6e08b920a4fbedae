/** How the formats of clients call what the hub has a name for: a client is told in its own words what its provider could
 *  not be told. What has the same name in both stands in no table. */

import type { JsonObject } from '../hub.ts'
import type { ChatMouth } from './mouth.ts'
import { plainPath, says } from './said.ts'

/** Several: those of them that the client has said. */
type Names = ReadonlyMap<string, readonly string[]>

const PARTS = 'messages[].content[]'
const MARKS = ['cache_control', 'prompt_cache_breakpoint'] as const
const marksOf = (...places: string[]) => places.flatMap((place) => MARKS.map((mark) => `${place}.${mark}`))

const names: Record<ChatMouth['name'], Names> = {
  chat: new Map([
    ['max_completion_tokens', ['max_completion_tokens', 'max_tokens']],
    [`${PARTS}.cache_control`, marksOf(PARTS)],
    ['messages[].reasoning', ['messages[].reasoning_details', 'messages[].reasoning_content']],
    ['tools[].cache_control', marksOf('tools[]')],
  ]),
  completions: new Map([
    ['max_completion_tokens', ['max_tokens']],
    ['top_logprobs', ['logprobs']],
  ]),
  responses: new Map([
    ['max_completion_tokens', ['max_output_tokens']],
    ['response_format', ['text.format']],
    ['response_format.json_schema.description', ['text.format.description']],
    ['response_format.json_schema.strict', ['text.format.strict']],
    ['reasoning_effort', ['reasoning.effort']],
    ['logprobs', ['include']],
    ['user', ['user', 'safety_identifier']],
    ['tools[].function.strict', ['tools[].strict']],
    [`${PARTS}.cache_control`, marksOf('input[].content[]', 'input[].output[]')],
    [`${PARTS}.image_url.detail`, ['input[].content[].detail', 'input[].output[].detail']],
    [`${PARTS}.file.filename`, ['input[].content[].filename']],
    ['messages[].reasoning', ['input[].summary', 'input[].encrypted_content']],
  ]),
  messages: new Map([
    ['max_completion_tokens', ['max_tokens']],
    ['stop', ['stop_sequences']],
    ['user', ['metadata.user_id']],
    ['reasoning_tokens', ['thinking']],
    ['reasoning_effort', ['thinking', 'output_config.effort']],
    ['response_format', ['output_config.format', 'output_format']],
    // The schema alone says how strict it is.
    ['response_format.json_schema.strict', []],
    ['parallel_tool_calls', ['tool_choice.disable_parallel_tool_use']],
    ['tools[].function.strict', ['tools[].strict']],
    [
      `${PARTS}.cache_control`,
      ['system[]', PARTS, `${PARTS}.content[]`, `${PARTS}.source.content[]`].map((place) => `${place}.cache_control`),
    ],
    [`${PARTS}.file.filename`, [`${PARTS}.title`]],
    ['messages[].reasoning', [`${PARTS}.thinking`, `${PARTS}.data`]],
    ['messages[].is_error', [`${PARTS}.is_error`]],
  ]),
}

/** What is lost, in the words of the client; a part of what is lost as a whole is not told once more. */
export function namesFor(mouth: ChatMouth['name'], body: JsonObject, lost: Iterable<string>): string[] {
  const told = new Set<string>()
  for (const name of lost) for (const own of ownNames(names[mouth], body, name)) told.add(plainPath(own))
  const all = [...told]
  return all.filter((name) => !all.some((whole) => name.startsWith(`${whole}.`)))
}

function ownNames(table: Names, body: JsonObject, name: string): readonly string[] {
  const known = table.get(name)
  if (!known) return [name]
  const said = known.filter((path) => says(body, path))
  // A field that the format does not have may be called as one of the hub's.
  return said.length === 0 && says(body, name) ? [name] : said
}
