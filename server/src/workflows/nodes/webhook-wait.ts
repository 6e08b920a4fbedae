/** `webhook_wait`: waits for the one call to its address (callbacks.ts). A call may come before the node begins: it is
 *  kept, and the node is done at once. */

import { deadlineOf, type Kind } from './node.ts'

export const webhookWait: Kind = {
  hasOwnLimit: true,
  async perform(call) {
    const until = deadlineOf(call)
    return { waits: until ? { until } : {} }
  },
}
