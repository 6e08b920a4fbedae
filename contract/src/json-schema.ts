/** A JSON Schema (2020-12) as an object. */

import { z } from 'zod'
import { Json } from './common.ts'

export const JsonSchema = z.record(z.string(), Json).describe('A JSON Schema, draft 2020-12.')
