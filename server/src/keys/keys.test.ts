import assert from 'node:assert/strict'
import test from 'node:test'
import { isKeyText, type KeyKind, newKeyText, prefixOf } from './keys.ts'

const kinds: KeyKind[] = ['standard', 'service', 'deployment']

test('a key has its prefix, 256 random bits and a checksum', () => {
  for (const kind of kinds) {
    const keys = Array.from({ length: 200 }, () => newKeyText(kind))
    for (const key of keys) {
      assert.match(key, new RegExp(`^${prefixOf[kind]}[0-9A-Za-z]{49}$`))
      assert.equal(isKeyText(key), true)
    }
    assert.equal(new Set(keys).size, keys.length)
  }
})

test('any one wrong character is seen without the database', () => {
  for (const kind of kinds) {
    const key = newKeyText(kind)
    for (let i = 0; i < key.length; i += 1) {
      const other = key[i] === 'x' ? 'y' : 'x'
      assert.equal(isKeyText(key.slice(0, i) + other + key.slice(i + 1)), false, `${i}`)
    }
  }
})

test('what is cut off, prolonged, turned around or of another kind is no key', () => {
  const key = newKeyText('standard')
  const wrong = [
    '',
    'fl_',
    key.slice(0, -1),
    `${key}0`,
    ` ${key}`,
    `${key}\n`,
    key.toLowerCase() === key ? key.toUpperCase() : key.toLowerCase(),
    key.replace('fl_', 'fl_hsl_'),
    key.replace('fl_', 'fl_deploy_'),
    key.replace('fl_', 'sk_'),
    `fl_${key.slice(3, 10)}${key[11]}${key[10]}${key.slice(12)}`,
  ]
  for (const text of wrong) if (text !== key) assert.equal(isKeyText(text), false, text)
})
