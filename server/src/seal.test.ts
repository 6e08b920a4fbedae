import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { BadConfig } from './config.ts'
import { CannotOpen, createSeal, openSeal } from './seal.ts'

const newKey = () => randomBytes(32).toString('base64')

test('what was sealed for a row opens for that row', () => {
  const seal = createSeal(newKey())
  for (const plain of ['', 'secret', 'größer 🙂', 'x'.repeat(100_000)]) {
    assert.equal(seal.open(seal.seal(plain, 'row:1'), 'row:1'), plain)
  }
})

test('a sealed text shows nothing of the secret and is never the same twice', () => {
  const seal = createSeal(newKey())
  const sealed = seal.seal('a secret of some length', 'row:1')
  assert.ok(!Buffer.from(sealed, 'base64url').includes('secret'))
  assert.notEqual(seal.seal('a secret of some length', 'row:1'), sealed)
})

test('a sealed text that was moved to another row does not open', () => {
  const seal = createSeal(newKey())
  const sealed = seal.seal('secret', 'sso:organization-1')
  assert.throws(() => seal.open(sealed, 'sso:organization-2'), CannotOpen)
})

test('a sealed text that was changed in any byte does not open', () => {
  const seal = createSeal(newKey())
  const [version, id, body = ''] = seal.seal('secret', 'row:1').split('.')
  const bytes = Buffer.from(body, 'base64url')
  for (let i = 0; i < bytes.length; i += 1) {
    const changed = Buffer.from(bytes)
    changed[i] = (changed[i] ?? 0) ^ 1
    assert.throws(() => seal.open(`${version}.${id}.${changed.toString('base64url')}`, 'row:1'), CannotOpen)
  }
  for (const cut of ['', 'v1', 'v1..', `v2.${id}.${body}`, `v1.${id}.${body.slice(0, 40)}`, `v1.${id}.${body}.x`]) {
    assert.throws(() => seal.open(cut, 'row:1'), CannotOpen)
  }
})

test('another installation cannot open it, and says which key is missing', () => {
  const mine = createSeal(newKey())
  const sealed = mine.seal('secret', 'row:1')
  assert.throws(() => createSeal(newKey()).open(sealed, 'row:1'), new RegExp(mine.key_id))
})

test('secrets are wrapped again under a new master key, and the old one is no longer needed', () => {
  const [old, next] = [newKey(), newKey()]
  const sealed = createSeal(old).seal('secret', 'row:1')

  const both = createSeal(`${next}, ${old}`)
  assert.equal(both.open(sealed, 'row:1'), 'secret')
  const wrapped = both.rewrap(sealed)
  assert.ok(wrapped)
  assert.equal(both.rewrap(wrapped), undefined)

  assert.equal(createSeal(next).open(wrapped, 'row:1'), 'secret')
  assert.throws(() => createSeal(next).open(wrapped, 'row:2'), CannotOpen)
  assert.throws(() => createSeal(old).open(wrapped, 'row:1'), CannotOpen)
})

test('derived keys differ by purpose and by master key, and stay the same otherwise', () => {
  const key = newKey()
  assert.deepEqual(createSeal(key).derive('a'), createSeal(key).derive('a'))
  assert.notDeepEqual(createSeal(key).derive('a'), createSeal(key).derive('b'))
  assert.notDeepEqual(createSeal(key).derive('a'), createSeal(newKey()).derive('a'))
})

test('weak and malformed master keys are refused', () => {
  const weak = [
    '',
    'changeme',
    randomBytes(16).toString('base64'),
    randomBytes(33).toString('base64'),
    Buffer.alloc(32).toString('base64'),
    Buffer.alloc(32, 7).toString('base64'),
    Buffer.from(Array.from({ length: 32 }, (_, i) => i)).toString('base64'),
    Buffer.from('abcdefghijklmnopqrstuvwxyz012345').toString('base64'),
    Buffer.from('changemechangemechangemechangeme').toString('base64'),
    `${newKey()},changeme`,
    `${newKey()}!`,
  ]
  for (const key of weak) assert.throws(() => createSeal(key), BadConfig, key)
})

test('the embedded default makes its key once, for its owner only, and refuses one that others can read', () => {
  const data_directory = mkdtempSync(join(tmpdir(), 'flow-seal-'))
  const path = join(data_directory, 'master.key')
  try {
    const sealed = openSeal({ data_directory }).seal('secret', 'row:1')
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.equal(readFileSync(path, 'utf8').trim().length, 44)
    assert.deepEqual(readdirSync(data_directory), ['master.key'])

    assert.equal(openSeal({ data_directory }).open(sealed, 'row:1'), 'secret')

    chmodSync(path, 0o644)
    assert.throws(() => openSeal({ data_directory }), /chmod 600/)
  } finally {
    rmSync(data_directory, { recursive: true })
  }
})

test('a key from the environment goes before the one in the data directory', () => {
  const master_key = newKey()
  const seal = openSeal({ master_key, data_directory: '/nowhere' })
  assert.equal(seal.key_id, createSeal(master_key).key_id)
})
