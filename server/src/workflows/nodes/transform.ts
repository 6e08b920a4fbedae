/** `transform`: a template of its own, or a component. */

import type { TransformConfig } from '@flow/contract/components/transform'
import { runTransform } from '../../components/components.ts'
import { componentOf, running } from './component.ts'
import { fieldsOf, type Kind } from './node.ts'

export const transform: Kind = {
  isPure: true,
  async perform(call) {
    const component = componentOf(call)
    if (!component) return { output: fieldsOf<{ output: unknown }>(call).output }
    const config = component.config as TransformConfig
    return { output: await running(call, (means) => runTransform(config, call.input, means)) }
  },
}
