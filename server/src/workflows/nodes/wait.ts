/** `wait`: until a time, or for some seconds. The input passes through. */

import { parseTimestamp } from '../../expressions/expressions.ts'
import { evaluated, type Kind, nodeOf } from './node.ts'

export const wait: Kind = {
  async perform(call) {
    const { seconds } = nodeOf(call, 'wait')
    const { at, variables, input, now } = call
    if (seconds !== undefined) {
      return { wait_until: new Date(now.getTime() + seconds * 1000).toISOString(), output: input }
    }
    const until = evaluated('The time', () => parseTimestamp(String(at.until?.render(variables))).toString())
    return { wait_until: new Date(until).toISOString(), output: input }
  },
  due: (_, input) => ({ output: input }),
}
