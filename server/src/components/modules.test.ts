import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlowError } from '@flow/sdk'
import { newOrganization } from '../testing.ts'
import { node, run } from '../workflows/testing.ts'

const faultsOf = (doing: Promise<unknown>) =>
  doing.then(
    () => assert.fail('it was not refused'),
    (error: unknown) => {
      assert.ok(error instanceof FlowError, String(error))
      return [error.code, ...error.details.map(({ field, message }) => `${field}: ${message}`)]
    },
  )

test('a block runs with the modules that came with it, in its test and in a workflow', async () => {
  const { alice } = await newOrganization()
  const modules = [{ name: '@acme/csv', code: "export const parse = (text) => text.split(',')" }]
  for (const language of ['javascript', 'typescript']) {
    const type = language === 'typescript' ? ': { text: string }' : ''
    const code = `import { parse } from '@acme/csv'\nexport const main = ({ text }${type}) => parse(text)`
    const { id } = await alice.codeBlocks.create({
      name: language,
      slug: language,
      config: { language, code, modules },
    })

    await alice.components.publish({ component_id: id })
    const tested = await alice.components.test({ component_id: id, input: { text: 'a,b' } })
    const { output } = await run(alice, { nodes: [node('call', language)] }, { text: 'c,d' })

    assert.deepEqual(
      [tested.runs[0]?.output, output],
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
    )
  }
})

test('modules that could not be imported are refused, and what is not there when the block is published', async () => {
  const { alice } = await newOrganization()
  const make = (modules: { name: string; code: string }[], language = 'javascript', slug = 'block') =>
    alice.codeBlocks.create({
      name: slug,
      slug,
      config: { language, code: "import 'there'\nimport 'missing'\nexport const main = () => 1", modules },
    })
  const lib = (name: string, code = 'export const a = 1') => ({ name, code })

  const places = await faultsOf(make([lib('__proto__'), lib('./x'), lib('a b'), lib('')]))
  assert.deepEqual(
    places.slice(1).map((place) => place.split(':')[0]),
    [0, 1, 2, 3].map((at) => `config.modules[${at}].name`),
  )
  assert.deepEqual(await faultsOf(make([lib('x'), lib('x'), lib('main.js')])), [
    'VALIDATION_ERROR',
    'config.modules[1].name: "x" is the name of another module, too.',
    'config.modules[2].name: "main.js" is taken.',
  ])
  assert.match(
    String(await faultsOf(make([lib('x', 'x'.repeat(300_000)), lib('y', 'y'.repeat(300_000))]))),
    /524288 char/,
  )
  assert.match(String(await faultsOf(make([lib('x')], 'python'))), /Modules are of JavaScript/)
  const { id } = await make([lib('there')])
  assert.deepEqual(await faultsOf(alice.components.publish({ component_id: id })), [
    'CONFLICT',
    'config.code: "missing" can\'t be imported: it is none of the block\'s modules.',
  ])
})
