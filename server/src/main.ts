/** Starts Flow, or says in a sentence why not. The database opens in a thread of its own while the rooms are being
 *  read, and what Node compiled is kept for the next start: the two make half of the time to the first answer. */

import { mkdirSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { BadConfig, readConfig } from './config.ts'
import { connect } from './db/connect.ts'
import { DatabaseRefused } from './db/faults.ts'

// V8 would wait until there is four times what is in use before it looks for old garbage; twice costs no more time.
setFlagsFromString('--heap-growing-percent=100')

try {
  const config = readConfig()
  keepCompiled(config.data_directory)
  const opening = connect({ ...config, directory: config.data_directory, pool_max: config.database_pool })
  const reading = import('./serve.ts')
  const [database, { serve }] = await Promise.all([opening, reading])
  await serve(config, database).catch(async (error: unknown) => {
    if (error instanceof BadConfig) await database.close()
    throw error
  })
} catch (error) {
  if (!(error instanceof BadConfig || error instanceof DatabaseRefused)) throw error
  console.error(`Flow did not start.\n${error.message}`)
  process.exit(1)
}

/** What Node compiled lies beside the database, in a directory that is its owner's only. */
function keepCompiled(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    enableCompileCache(join(directory, 'compile-cache'))
  } catch {
    // What is wrong with the directory is said by whoever needs it: the database does, the cache does not.
  }
}
