/** `validation`: checks the input against a schema, its own or a component's, or by a component of its type. */

import type { ValidationConfig } from '@flow/contract/components/validation'
import { runValidation } from '../../components/components.ts'
import { componentOf, running } from './component.ts'
import { assertFits, type Ending, type Kind, type NodeCall, NodeFailure, nodeOf } from './node.ts'

export const validation: Kind = {
  isPure: true,
  async perform(call) {
    const { on_invalid } = nodeOf(call, 'validation')
    const component = componentOf(call)
    if (component) return byRule(call, component.config as ValidationConfig, on_invalid)
    const check = call.at.check ?? call.schema
    if (on_invalid === 'fail') {
      assertFits(check, call.input, 'INVALID_INPUT', 'The input does not fit the schema')
      return { output: call.input }
    }
    const errors = check?.(call.input) ?? []
    return { output: { valid: errors.length === 0, errors, value: call.input } }
  },
}

async function byRule(call: NodeCall, config: ValidationConfig, on_invalid: 'fail' | 'report'): Promise<Ending> {
  const { input } = call
  const { failures, ...result } = await running(call, (means) => runValidation(config, input, means))
  const place = (index: number) => (Array.isArray(input) ? `/${index}` : '')
  const errors = failures.map(({ index, message }) => ({ place: place(index), message }))
  if (on_invalid === 'report') return { output: { ...result, errors, value: input } }
  if (result.valid || result.severity !== 'error') return { output: input }
  const [first] = errors
  const message = `${result.failed} of ${result.checked} are not valid: ${first?.place || 'it'}: ${first?.message}`
  throw new NodeFailure('INVALID_INPUT', message, { is_final: true })
}
