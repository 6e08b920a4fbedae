/** `prompt`: renders a prompt with the input as its variables. */

import type { PromptConfig } from '@flow/contract/components/prompt'
import { runPrompt } from '../../components/components.ts'
import { componentOf, running } from './component.ts'
import { type Kind, NodeFailure } from './node.ts'

export const prompt: Kind = {
  async perform(call) {
    const component = componentOf(call)
    if (!component) {
      throw new NodeFailure('COMPONENT_MISSING', 'The prompt is not part of this execution.', { is_final: true })
    }
    const config = component.config as PromptConfig
    const output = await running(call, (means) => runPrompt(config, call.input, means))
    if (call.tells.prompts) call.log([{ level: 'info', text: JSON.stringify(output), at: call.now.getTime() }])
    return { output }
  },
}
