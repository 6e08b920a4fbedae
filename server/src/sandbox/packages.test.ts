import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { crc32 } from 'node:zlib'
import { openSandbox } from './sandbox.ts'
import { faultOf, outputOf } from './testing.ts'

/** A zip whose files are stored as they are. */
function zip(files: Record<string, string>): Buffer {
  const bodies: Buffer[] = []
  const entries: Buffer[] = []
  let at = 0
  for (const [name, text] of Object.entries(files)) {
    const body = Buffer.from(text)
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt32LE(0x0021_0000, 6)
    common.writeUInt32LE(crc32(body), 10)
    common.writeUInt32LE(body.length, 14)
    common.writeUInt32LE(body.length, 18)
    common.writeUInt16LE(Buffer.byteLength(name), 22)
    const local = Buffer.concat([Buffer.from('PK\u0003\u0004'), common, Buffer.from(name), body])
    const rest = Buffer.alloc(14)
    rest.writeUInt32LE(at, 10)
    entries.push(Buffer.concat([Buffer.from('PK\u0001\u0002\u0014\u0000'), common, rest, Buffer.from(name)]))
    bodies.push(local)
    at += local.length
  }
  const index = Buffer.concat(entries)
  const end = Buffer.alloc(22)
  end.write('PK\u0005\u0006')
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(index.length, 12)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...bodies, index, end])
}

const folder = mkdtempSync(join(tmpdir(), 'flow-packages-'))
const place = (file: string, files: Record<string, string>) => writeFileSync(join(folder, file), zip(files))
place('Nice_Words-1.2.0-py3-none-any.whl', {
  'nice_words/__init__.py':
    'from .deep import word\nfrom importlib.metadata import version\n__version__ = version("nice-words")\n',
  'nice_words/deep.py':
    'import importlib.resources\ndef word():\n    return importlib.resources.files("nice_words").joinpath("word.txt").read_text()\ndef fails():\n    raise ValueError("inside")\n',
  'nice_words/word.txt': 'lovely',
  'Nice_Words-1.2.0.dist-info/METADATA': 'Metadata-Version: 2.1\nName: Nice-Words\nVersion: 1.2.0\n',
})
place('single-0.1-py2.py3-none-any.whl', {
  'single.py': 'import nice_words\nvalue = nice_words.word() + "!"\n',
  'single-0.1.dist-info/METADATA': 'Name: single\nVersion: 0.1\n',
})
for (const version of ['1.0', '2.0'])
  place(`twice-${version}-py3-none-any.whl`, {
    'twice.py': `version = "${version}"`,
    [`twice-${version}.dist-info/METADATA`]: `Name: twice\nVersion: ${version}\n`,
  })
place('fast-3.1-cp312-cp312-manylinux_2_17_x86_64.whl', {})
writeFileSync(join(folder, 'README.txt'), 'no wheel')

const sandbox = await openSandbox({ workers: 2, packages: folder })
after(async () => {
  await sandbox.close()
  rmSync(folder, { recursive: true })
})
const python = (code: string, dependencies: string[]) =>
  [code, {}, { language: 'python', dependencies, timeout_ms: 10_000 }] as const

test('code imports the packages that its block names, their files and versions with them', async () => {
  const code = 'import nice_words\ndef main(): return [nice_words.word(), nice_words.__version__]'
  for (let i = 0; i < 2; i++) {
    assert.deepEqual(await outputOf(sandbox, ...python(code, ['nice.words==1.2.0'])), ['lovely', '1.2.0'])
  }
  const later = 'def main():\n  import single\n  return single.value'
  assert.equal(await outputOf(sandbox, ...python(later, ['single', 'Nice-Words'])), 'lovely!')
})

test('the stack of an error in a package ends at the own code', async () => {
  const code = 'from nice_words.deep import fails\ndef main():\n    fails()'
  const { message, stack } = await faultOf(sandbox, ...python(code, ['nice-words']))
  assert.deepEqual([message, stack], ['ValueError: inside', 'at main (main.py:3:5)'])
})

test('a block sees the packages that it names, and no others', async () => {
  const code = 'import nice_words\ndef main(): return 1'
  assert.equal((await faultOf(sandbox, ...python(code, ['single']))).code, 'import_refused')
  assert.equal((await faultOf(sandbox, ...python(code, []))).code, 'import_refused')
  const twice = 'import twice\ndef main(): return twice.version'
  assert.equal(await outputOf(sandbox, ...python(twice, ['twice==1.0'])), '1.0')
  assert.equal(await outputOf(sandbox, ...python(twice, ['twice==2.0'])), '2.0')
})

test('what cannot be had is refused by name, each with its reason', () => {
  const wanted = ['nice-words', 'numpy', 'fast', 'twice', 'single==9', 'https://example.com/x.whl', '../x']
  assert.deepEqual(sandbox.lacks('python', wanted), [
    { at: 1, reason: 'The package "numpy" is not in the folder of packages.' },
    { at: 2, reason: 'The package "fast" has compiled parts, which the sandbox cannot run.' },
    { at: 3, reason: 'Of the package "twice" there are 1.0 and 2.0: say which with ==.' },
    { at: 4, reason: 'Of the package "single" there is 0.1 only.' },
    { at: 5, reason: '"https://example.com/x.whl" is no package: write its name, or name==version.' },
    { at: 6, reason: '"../x" is no package: write its name, or name==version.' },
  ])
  assert.equal(sandbox.lacks('javascript', ['nice-words']).length, 1)
})

test('without a folder there are none, and a folder that is not there is told at the start', async () => {
  const bare = await openSandbox({ workers: 2 })
  assert.match(bare.lacks('python', ['single'])[0]?.reason ?? '', /no folder of packages/)
  assert.equal((await faultOf(bare, ...python('def main(): pass', ['single']))).code, 'import_refused')
  await bare.close()
  await assert.rejects(openSandbox({ packages: join(folder, 'gone') }), /cannot be read/)
})
