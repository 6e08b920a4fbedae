/** `validation`: checks the input against a schema, its own or a component's. */

import { assertFits, type Kind, nodeOf } from './node.ts'

export const validation: Kind = {
  async perform(call) {
    const { on_invalid } = nodeOf(call, 'validation')
    const check = call.at.check ?? call.schema
    if (on_invalid === 'fail') {
      assertFits(check, call.input, 'INVALID_INPUT', 'The input does not fit the schema')
      return { output: call.input }
    }
    const errors = check?.(call.input) ?? []
    return { output: { valid: errors.length === 0, errors, value: call.input } }
  },
}
