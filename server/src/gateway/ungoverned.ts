/** Leave for every call, at no cost: each is only noted. */

import type { Journal } from './journal.ts'
import type { Governor } from './policy.ts'

export const ungoverned = (journal: Journal): Governor => ({
  admit: () => ({
    output_tokens_max: null,
    headers: {},
    allows: () => true,
    covers: () => true,
    settle(record) {
      journal.note({ ...record, nanocredits: 0 })
      return { nanocredits: 0 }
    },
  }),
})
