/** The settings of a person at a terminal: `~/.flow/config.json`, readable by its owner only. */

import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

export type StoredConfig = {
  access_token?: string
  platform_url?: string
  org_id?: string
  workspace_id?: string
}

const usual = () => join(homedir(), '.flow', 'config.json')

/** The stored settings; none when there is no file. Throws when the file is not JSON. */
export async function loadConfig(path = usual()): Promise<StoredConfig> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{}'
    throw error
  })
  return JSON.parse(text) as StoredConfig
}

/** Replaces the settings at once: a reader sees the old file or the new one. */
export async function saveConfig(config: StoredConfig, path = usual()): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const written = `${path}.${process.pid}`
  await writeFile(written, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 })
  await chmod(written, 0o600)
  await rename(written, path)
}
