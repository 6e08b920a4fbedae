/** All 43 patterns: those that can be run, and those that cannot be expressed. */

import { basic } from './basic.ts'
import { branching, missingMerges } from './branching.ts'
import { cancellation } from './cancellation.ts'
import { instances, missingInstances } from './instances.ts'
import { iteration } from './iteration.ts'
import { joins } from './joins.ts'
import type { Missing, Pattern } from './pattern.ts'
import { state } from './state.ts'
import { termination } from './termination.ts'
import { triggers } from './triggers.ts'

export const patterns: Pattern[] = [
  ...basic,
  ...branching,
  ...joins,
  ...instances,
  ...state,
  ...cancellation,
  ...iteration,
  ...termination,
  ...triggers,
].sort((a, b) => a.number - b.number)

export const missing: Missing[] = [...missingMerges, ...missingInstances]
