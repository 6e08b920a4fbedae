/** Sealing of secrets: what is stored sealed can be read only with a key that is not in the database.
 *
 *  Envelope encryption, AES-256-GCM twice: each secret has a random data key of its own, and the data key is wrapped
 *  by the master key. The secret is bound to a name that the caller gives (`api_key:<organization>:<row>`): a sealed
 *  text that was moved to another row, or changed in one bit, does not open. The id of the master key is inside, so
 *  several keys can be in use while secrets are wrapped again under the newest one; that needs no secret in the clear.
 *
 *  The master key comes from FLOW_MASTER_KEY; on the embedded database it is made once into the data directory,
 *  readable by its owner only. A weak key is refused at the start. */

import { createCipheriv, createDecipheriv, hash, hkdfSync, randomBytes } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { BadConfig, type Config } from './config.ts'

export type Seal = {
  /** The master key that new secrets are wrapped with. */
  readonly key_id: string
  /** Seals a text; `open` needs the same `bound_to`. */
  seal(plain: string, bound_to: string): string
  /** The text that was sealed. Throws `CannotOpen` for another row, a changed text or a key that is not here. */
  open(sealed: string, bound_to: string): string
  /** The same secret under the newest master key; undefined when it is under that already. */
  rewrap(sealed: string): string | undefined
  /** A key of 32 bytes for one purpose. It changes with the master key: use it for what lives minutes, not years. */
  derive(purpose: string): Buffer
  /** The same for every master key there is, the newest first: to recognise what an older one made. */
  deriveAll(purpose: string): Buffer[]
}

/** A sealed text that this process cannot open. Its message never holds any of the text. */
export class CannotOpen extends Error {}

type MasterKey = { id: string; wrapping: Buffer; root: Buffer }

const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES

/** Reads the master keys (the first of FLOW_MASTER_KEY seals, all of them open), or makes one in the data directory. */
export function openSeal(config: Pick<Config, 'master_key' | 'database_url' | 'data_directory'>): Seal {
  return createSeal(config.master_key ?? ownMasterKey(config.data_directory))
}

/** `master_keys`: one or several, separated by commas, 32 bytes in base64 each. */
export function createSeal(master_keys: string): Seal {
  const keys = master_keys.split(',').map((text) => readMasterKey(text.trim()))
  const [newest] = keys
  if (!newest) throw new BadConfig('FLOW_MASTER_KEY: give at least one key.')
  const keysById = new Map(keys.map((key) => [key.id, key]))

  const unwrap = (key_id: string, wrapped: Buffer): Buffer => {
    const key = keysById.get(key_id)
    if (!key) {
      throw new CannotOpen(
        `This secret was sealed with the master key "${key_id}", which FLOW_MASTER_KEY does not hold.`,
      )
    }
    return decrypt(key.wrapping, wrapped, `key:${key_id}`)
  }

  return {
    key_id: newest.id,
    seal(plain, bound_to) {
      const dataKey = randomBytes(KEY_BYTES)
      const wrapped = encrypt(newest.wrapping, dataKey, `key:${newest.id}`)
      return format(newest.id, wrapped, encrypt(dataKey, Buffer.from(plain, 'utf8'), `secret:${bound_to}`))
    },
    open(sealed, bound_to) {
      const { key_id, wrapped, secret } = parse(sealed)
      return decrypt(unwrap(key_id, wrapped), secret, `secret:${bound_to}`).toString('utf8')
    },
    rewrap(sealed) {
      const { key_id, wrapped, secret } = parse(sealed)
      if (key_id === newest.id) return undefined
      return format(newest.id, encrypt(newest.wrapping, unwrap(key_id, wrapped), `key:${newest.id}`), secret)
    },
    derive: (purpose) => expand(newest.root, `derive:${purpose}`),
    deriveAll: (purpose) => keys.map(({ root }) => expand(root, `derive:${purpose}`)),
  }
}

/** `v1.<key id>.<wrapped data key, sealed secret>` */
const format = (key_id: string, wrapped: Buffer, secret: Buffer) =>
  `v1.${key_id}.${Buffer.concat([wrapped, secret]).toString('base64url')}`

function parse(sealed: string): { key_id: string; wrapped: Buffer; secret: Buffer } {
  const [version, key_id, body, ...more] = sealed.split('.')
  const bytes = Buffer.from(body ?? '', 'base64url')
  if (version !== 'v1' || !key_id || more.length > 0 || bytes.length < WRAPPED_BYTES + NONCE_BYTES + TAG_BYTES) {
    throw new CannotOpen('This is not a sealed secret.')
  }
  return { key_id, wrapped: bytes.subarray(0, WRAPPED_BYTES), secret: bytes.subarray(WRAPPED_BYTES) }
}

// A nonce is random, and each data key seals one secret only; a master key wraps far fewer than the 2^32 data keys
// that random nonces of 96 bits are good for (NIST SP 800-38D, section 8.3).
function encrypt(key: Buffer, plain: Buffer, bound_to: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(bound_to))
  const body = Buffer.concat([cipher.update(plain), cipher.final()])
  return Buffer.concat([nonce, body, cipher.getAuthTag()])
}

function decrypt(key: Buffer, sealed: Buffer, bound_to: string): Buffer {
  const nonce = sealed.subarray(0, NONCE_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(
    Buffer.from(bound_to),
  )
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES))
  try {
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES)), decipher.final()])
  } catch {
    throw new CannotOpen('This secret was changed, or belongs to another row.')
  }
}

const expand = (root: Buffer, purpose: string) => Buffer.from(hkdfSync('sha256', root, 'flow', purpose, KEY_BYTES))

function readMasterKey(text: string): MasterKey {
  const root = Buffer.from(text, 'base64')
  const isBase64 = /^[A-Za-z0-9+/_-]+={0,2}$/.test(text)
  if (!isBase64 || root.length !== KEY_BYTES) {
    throw new BadConfig('FLOW_MASTER_KEY: give 32 random bytes in base64 (for example from `openssl rand -base64 32`).')
  }
  if (!looksRandom(root)) {
    throw new BadConfig(
      'FLOW_MASTER_KEY: this key is a text or a pattern, not random bytes. Make one with `openssl rand -base64 32`.',
    )
  }
  const id = hash('sha256', expand(root, 'id'), 'hex').slice(0, 12)
  return { id, root, wrapping: expand(root, 'wrapping') }
}

/** 32 random bytes have about 30 different values, have printable ones among others, and are no counting sequence;
 *  one in a billion random keys is turned away. */
function looksRandom(bytes: Buffer): boolean {
  const steps = new Set(bytes.map((byte, i) => (byte - (bytes[i - 1] ?? 0) + 256) % 256))
  const isText = bytes.every((byte) => byte >= 0x20 && byte < 0x7f)
  return new Set(bytes).size >= 20 && steps.size >= 16 && !isText
}

/** The key in the data directory, made at the first start. It appears whole or not at all, and never twice. */
function ownMasterKey(data_directory: string): string {
  const path = join(data_directory, 'master.key')
  mkdirSync(data_directory, { recursive: true, mode: 0o700 })
  const mine = `${path}.${process.pid}`
  if (!exists(path)) {
    writeDurably(mine, `${randomBytes(KEY_BYTES).toString('base64')}\n`)
    try {
      linkSync(mine, path)
    } catch (error) {
      // Another process was faster: its key is the key.
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    } finally {
      unlinkSync(mine)
    }
  }
  if ((statSync(path).mode & 0o077) !== 0) {
    throw new BadConfig(`${path} can be read by others than its owner. Set it right with: chmod 600 ${path}`)
  }
  return readFileSync(path, 'utf8').trim()
}

const exists = (path: string) => statSync(path, { throwIfNoEntry: false }) !== undefined

function writeDurably(path: string, text: string) {
  const file = openSync(path, 'w', 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
