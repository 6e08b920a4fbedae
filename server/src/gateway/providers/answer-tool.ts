/** An answer in JSON that a tool takes, where a model has no other way to give one: it is made to call this tool, and what
 *  it calls it with is the answer. What the model says beside that is none of it, and the client sees no call. */

import type { JsonObject, Tool, ToolChoice } from '../hub.ts'

/** No client's tool has this name. */
export const JSON_TOOL = 'flow_answer_in_json'
export const JSON_TOOL_SAYS = 'Give the answer with this.'

/** Those that may be called beside it. */
export function toolsBeside({ tools = [], tool_choice: choice }: { tools?: Tool[]; tool_choice?: ToolChoice }): Tool[] {
  if (choice === 'none') return []
  if (typeof choice !== 'object') return tools
  return tools.filter((tool) => tool.function.name === choice.function.name)
}

/** The content of a whole answer: what the tool was called with, first, or else what was said. */
export function contentOf(texts: string[], inputs: (JsonObject[string] | undefined)[]): string | null {
  if (inputs.length > 0) return JSON.stringify(inputs[0] ?? {})
  return texts.length > 0 ? texts.join('') : null
}

/** The same of a stream. Where the tool takes the answer, text waits until it is known that the tool is not called;
 *  elsewhere it passes. Each tells what the client is told now. */
export class Content {
  readonly #isByTool: boolean
  #held = ''
  #block: number | undefined

  constructor(isByTool: boolean) {
    this.#isByTool = isByTool
  }

  text(text: string): string {
    if (!this.#isByTool) return text
    this.#held += text
    return ''
  }

  /** The tool is called in this block; another call of it says nothing. */
  begin(block: number): void {
    this.#block ??= block
  }

  input(block: number, piece: string): string {
    return block === this.#block ? piece : ''
  }

  /** What has waited, now that nothing more comes. */
  rest(): string {
    const held = this.#held
    this.#held = ''
    return this.#block === undefined ? held : ''
  }
}
