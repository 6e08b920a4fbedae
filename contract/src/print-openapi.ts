/** Writes `contract/openapi.json`, which is reviewed like code; a test fails when it is stale. */

import { writeFileSync } from 'node:fs'
import { gateway } from './gateway.ts'
import { contract } from './index.ts'
import { printOpenapi } from './openapi.ts'

writeFileSync(new URL('../openapi.json', import.meta.url), printOpenapi({ ...contract, gateway }))
