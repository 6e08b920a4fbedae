/** The hostile suite. */

import { bombs, depths } from './bombs.ts'
import { escapes } from './escapes.ts'
import type { Hostile } from './hostile.ts'
import { loops } from './loops.ts'
import { python } from './python.ts'
import { silence } from './silence.ts'

export const programs: Hostile[] = [...loops, ...bombs, ...depths, ...escapes, ...silence, ...python]
