import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlatformClient } from '@flow/sdk'
import { parse } from 'yaml'
import { newOrganization, testFlow } from '../testing.ts'
import { printFile, readFile } from './file.ts'

type Refusal = { code: string; message: string; details: { field: string; message: string }[] }

const codeOf = (work: PromiseLike<unknown>): Promise<string> =>
  Promise.resolve(work).then(
    () => 'ok',
    (error: { code?: string }) => error.code ?? String(error),
  )

async function exported(client: PlatformClient, solution_id: string): Promise<string> {
  const pieces: string[] = []
  for await (const piece of client.solutions.export({ solution_id })) pieces.push(piece)
  return pieces.join('')
}

const block = (slug: string, code = 'export const main = () => 1\n') => ({
  type: 'code_block' as const,
  name: `The ${slug}`,
  slug,
  config: { language: 'javascript' as const, code },
})
const calling = (slug: string, ref: string) => ({
  type: 'workflow' as const,
  name: slug,
  slug,
  config: { nodes: [{ id: 'one', type: 'code_block' as const, component_ref: ref }] },
})

/** A solution with a flowchart, a workflow that names a block by its id and by a version, and a block that is used only. */
async function newClaims(client: PlatformClient) {
  const solution = await client.solutions.create({
    name: 'Claims',
    slug: 'claims',
    description: 'Pays: "claims" #1\n  - with care\n',
    mermaid_source: 'flowchart TD\n  a[Read] --> b[Check]\n  c@{ shape: cloud } --> b',
  })
  const solution_id = solution.id
  const used = await client.components.create({ ...block('used'), tags: ['b', 'a'] })
  await client.components.publish({ component_id: used.id, version: '1.0.0', changelog: 'First.\n\nOf many.' })
  await client.components.update({ component_id: used.id, ...{ config: block('used', '// next\r\n\tmain').config } })
  await client.solutions.addComponent({ solution_id, component: calling('by-id', used.id) })
  const added = await client.solutions.addComponent({ solution_id, component: calling('by-version', 'used@1.0.0') })
  await client.components.publish({ component_id: added.id, version: '2.0.0-rc.1' })
  await client.components.publish({ component_id: added.id, version: '2.0.0' })
  await client.components.deprecate({ component_id: added.id, reason: 'Use the other.' })
  return { solution_id, used }
}

test('a solution goes through a file into an empty workspace, and comes out as the same bytes', async () => {
  const [from, to] = [await newOrganization(), await newOrganization()]
  const { solution_id, used } = await newClaims(from.alice)
  const file = await exported(from.alice, solution_id)

  const arrived = await to.alice.solutions.import({ file })

  assert.equal(await exported(to.alice, arrived.id), file)
  assert.equal(await exported(from.alice, solution_id), file)
  assert.deepEqual(
    arrived.imported.map(({ slug, action }) => [slug, action]),
    ['by-id', 'by-version', 'check', 'claims-workflow', 'read', 'used'].map((slug) => [slug, 'created']),
  )
  assert.equal(arrived.component_count, 5, 'what is only used is in the workspace, not in the solution')
  assert.deepEqual(
    arrived.skeleton?.nodes.map(({ node_id, slug }) => [node_id, slug]),
    [
      ['a', 'read'],
      ['b', 'check'],
    ],
  )
  const component_id = arrived.imported.find(({ slug }) => slug === 'used')?.component_id ?? ''
  const there = await to.alice.components.get({ component_id })
  const here = await from.alice.components.get({ component_id: used.id })
  const content = ({ name, tags, status, version, published_version, config }: typeof here) => {
    return { name, tags, status, version, published_version, config }
  }
  assert.deepEqual(content(there), content(here))
  const versions = await to.alice.components.listVersions({ component_id })
  assert.equal(versions.items[0]?.changelog, 'First.\n\nOf many.')
  assert.ok(!file.includes(used.id), 'the file has no ids')
  assert.ok(!file.includes(from.admin.user_id), 'and no people')
})

test('what has arrived runs, is held by what uses it, and is not set off by itself', async () => {
  const [from, to] = [await newOrganization(), await newOrganization()]
  const { id: solution_id } = await from.alice.solutions.create({ name: 'Hooked', slug: 'hooked' })
  await from.alice.components.create(block('used'))
  const hooked = calling('hook', 'used')
  const trigger = { trigger_type: 'webhook' as const, trigger_config: { path: '/claims' } }
  await from.alice.solutions.addComponent({
    solution_id,
    component: { ...hooked, config: { ...hooked.config, ...trigger } },
  })
  const file = await exported(from.alice, solution_id)

  const { imported } = await to.alice.solutions.import({ file })

  const [workflow_id, used] = ['hook', 'used'].map(
    (slug) => imported.find((each) => each.slug === slug)?.component_id ?? '',
  )
  const run = await to.alice.workflows.execute({ workflow_id: workflow_id ?? '' }, { wait: 30 })
  assert.equal(run.status, 'completed', JSON.stringify(run.error))
  assert.equal(await codeOf(to.alice.components.remove({ component_id: used ?? '' })), 'CONFLICT')
  const { fetch } = await testFlow()
  const call = (workspace_id: string) => fetch(`/hooks/${workspace_id}/claims`, { method: 'POST', body: '{}' })
  assert.equal((await call(to.workspace_id)).status, 404)
  assert.notEqual((await call(from.workspace_id)).status, 404)

  const armed = await newOrganization()
  await armed.alice.solutions.import({ file, arm_triggers: true })
  assert.notEqual((await call(armed.workspace_id)).status, 404)
})

test('slugs that are taken fail all of it, are renamed, or skipped, as it is wished', async () => {
  const { alice } = await newOrganization()
  const { solution_id } = await newClaims(alice)
  const file = await exported(alice, solution_id)
  const before = (await alice.components.list()).total

  await assert.rejects(alice.solutions.import({ file }), (error: Refusal) => {
    assert.equal(error.code, 'CONFLICT')
    assert.deepEqual(
      error.details.map(({ field }) => field),
      ['file.solution.version', ...[0, 1, 2, 3, 4].map((i) => `file.components[${i}].slug`), 'file.uses[0].slug'],
    )
    assert.match(error.details[0]?.message ?? '', /^Line 4, column \d+: There is a version 0.1.0 of "claims"/)
    return true
  })
  assert.equal((await alice.components.list()).total, before, 'nothing was imported')

  const skipped = await alice.solutions.import({ file, on_conflict: 'skip' })
  assert.equal(skipped.id, solution_id)
  assert.ok(skipped.imported.every(({ action }) => action === 'skipped'))
  assert.equal((await alice.components.list()).total, before)

  const renamed = await alice.solutions.import({ file, on_conflict: 'rename' })
  assert.equal(renamed.slug, 'claims-2')
  assert.ok(renamed.imported.every(({ slug, arrived_as }) => arrived_as === `${slug}-2`))
  const workflow_id = renamed.imported.find(({ slug }) => slug === 'by-version')?.component_id ?? ''
  const { nodes } = await alice.workflows.get({ workflow_id })
  assert.equal('component_ref' in (nodes[0] ?? {}) && nodes[0]?.['component_ref' as never], 'used-2@1.0.0')
  const again = await exported(alice, renamed.id)
  assert.equal(
    again.replaceAll(/(claims|used|by-id|by-version|check|read|workflow)-2/g, '$1').includes('used-2'),
    false,
  )
})

test('what is skipped is of the same type, and what is closed takes nothing in', async () => {
  const [from, to] = [await newOrganization(), await newOrganization()]
  const { solution_id } = await newClaims(from.alice)
  const file = await exported(from.alice, solution_id)
  const fields = [{ name: 'id', type: 'string' as const }]
  await to.alice.schemas.create({ name: 'Used', slug: 'used', config: { fields } })

  await assert.rejects(to.alice.solutions.import({ file, on_conflict: 'skip' }), (error: Refusal) => {
    assert.deepEqual(
      error.details.map(({ field, message }) => [field, message.replace(/^Line \d+, column \d+: /, '')]),
      [['file.uses[0].slug', '"used" is a schema in this workspace, and a code_block in the file.']],
    )
    return true
  })
  await from.alice.solutions.update({ solution_id, status: 'archived' })
  assert.equal(await codeOf(from.alice.solutions.import({ file, on_conflict: 'skip' })), 'CONFLICT')
  assert.equal((await to.alice.solutions.list()).total, 0)
})

const head =
  'format: flow-solution/1\nsolution:\n  slug: claims\n  version: 0.1.0\n  name: Claims\n  description: ""\n  status: draft\n'
const whole = (components: string) => `${head}components:\n${components}uses: []\n`
const schemaText = (slug: string) => `  - slug: ${slug}
    type: schema
    name: A schema
    description: ''
    tags: []
    status: draft
    version: 0.1.0
    config:
      fields:
        - name: id
          type: string
    versions: []
`

test('a bad file is refused with the place of each fault', async () => {
  const { alice } = await newOrganization()
  const deep = '['.repeat(200) + ']'.repeat(200)
  const digest = `sha256:${'0'.repeat(64)}`
  const version = `      - version: 1.0.0\n        digest: ${digest}\n        changelog: ''\n        config: { fields: [{ name: id, type: string }] }\n`
  const refusals: [string, string, RegExp][] = [
    ['', 'file', /.*/],
    ['Hello', 'file', /.*/],
    ['{"a": ', 'file', /^Line 1, column \d+: /],
    ['a: 1\na: 2\n', 'file', /^Line 2, column 1: Map keys must be unique/],
    ['a: b: c\n', 'file', /^Line 1, column \d+: /],
    ['--- 1\n--- 2\n', 'file', /^Line 2, column 1: .*multiple documents/],
    ['a: &x 1\nb: *x\n', 'file', /Line 1, column \d+: Anchors/],
    ['a: !!binary aGVsbG8=\n', 'file', /^Line 1, column \d+: Tags/],
    ['a: .inf\n', 'file', /^Line 1, column 4: It is no number/],
    ['a: "\\0"\n', 'file', /^Line 1, column 4: It has a character/],
    ['__proto__: 1\n', 'file', /^Line 1, column 1: "__proto__"/],
    [`a: ${deep}\n`, 'file', /nested/],
    [head.replace('slug: claims', 'slug: Claims!'), 'file.solution.slug', /^Line 3, column 9: Use lowercase/],
    [head.replace('/1', '/2'), 'file.format', /^Line 1, column 9: /],
    [
      whole(schemaText('one').replace('type: string', 'type: text')),
      'file.components[0].config.fields[0].type',
      /^Line 19, column 17: /,
    ],
    [whole(schemaText('one') + schemaText('one')), 'file.components[1].slug', /^Line 21, column 11: .*already/],
    [
      whole(schemaText('one').replace('status: draft', 'status: published')),
      'file.components[0].status',
      /has a published version/,
    ],
    [
      whole(schemaText('one').replace('versions: []', `published_version: 1.0.0\n    versions:\n${version}`)),
      'file.components[0].versions[0].digest',
      /^Line \d+, column \d+: It is not the digest/,
    ],
    [
      whole(
        schemaText('one')
          .replace('type: schema', 'type: workflow')
          .replace(/config:\n(.*\n){3}/, 'config: { nodes: [{ id: a, type: code_block, component_ref: nowhere }] }\n'),
      ),
      'file.components[0].config.nodes[0].component_ref',
      /^Line 16, column \d+: There is no code_block "nowhere" in the file/,
    ],
    [`${head.replace('draft', 'completed')}components: []\nuses: []\n`, 'file.solution.status', /not completed/],
  ]
  for (const [file, field, pattern] of refusals) {
    await assert.rejects(alice.solutions.import({ file }), (error: Refusal) => {
      assert.equal(error.code, 'VALIDATION_ERROR', file.slice(0, 80))
      if (file === '') return true
      const found = error.details.find((fault) => fault.field === field)
      assert.ok(found, `${file.slice(-200)}\n${JSON.stringify(error.details)}`)
      assert.match(found.message, pattern)
      return true
    })
  }
  assert.equal((await alice.components.list()).total, 0)
  assert.equal((await alice.solutions.list()).total, 0)
  assert.equal(await codeOf(alice.solutions.import({ file: whole(schemaText('one')) })), 'ok', 'the sound one comes in')
})

test('aliases that would grow without end, and files that are too large, are refused', async () => {
  const { alice } = await newOrganization()
  const bomb = [
    'a: &a [x, x, x, x, x, x, x, x, x]',
    ...'bcdefghi'.split('').map((name, i) => {
      const above = String.fromCharCode(97 + i)
      return `${name}: &${name} [*${above}, *${above}, *${above}, *${above}, *${above}, *${above}, *${above}, *${above}]`
    }),
  ].join('\n')
  assert.equal(await codeOf(alice.solutions.import({ file: bomb })), 'VALIDATION_ERROR')
  assert.equal(await codeOf(alice.solutions.import({ file: `# ${'x'.repeat(5 * 1024 * 1024)}` })), 'PAYLOAD_TOO_LARGE')
  await assert.rejects(alice.solutions.import({ file: `[${'1,'.repeat(200_001)}1]` }), (error: Refusal) => {
    assert.match(error.details[0]?.message ?? '', /more than 200000 values/)
    return true
  })
  const { id: solution_id } = await alice.solutions.create({ name: 'Large', slug: 'large' })
  for (let i = 0; i < 21; i += 1) {
    await alice.solutions.addComponent({ solution_id, component: block(`block-${i}`, `// ${'x'.repeat(262_000)}\n`) })
  }
  await assert.rejects(exported(alice, solution_id), { code: 'CONFLICT' })
})

test('a solution with as many values as a file may have goes through one', async () => {
  const solution = { slug: 'all', version: '0.1.0', name: 'All', description: '', status: 'draft' as const }
  const named = { type: 'state' as const, name: 'One', description: '', tags: [], version: '0.1.0' }
  const fileOf = (count: number) => ({
    format: 'flow-solution/1' as const,
    solution,
    components: [
      { ...named, slug: 'one', status: 'draft' as const, config: { many: Array(count).fill(1) }, versions: [] },
    ],
    uses: [],
  })
  // Around the list there are 40 values: names of fields, and what they have.
  const whole = 200_000 - 40
  const text = (await printFile(fileOf(whole))).join('')
  assert.deepEqual(await readFile(text), fileOf(whole))
  await assert.rejects(printFile(fileOf(whole + 1)), { code: 'CONFLICT' })
})

test('a copy begins as a draft in the workspace that is named, where the caller may write', async () => {
  const { client } = await testFlow()
  const { alice, member, organization_id, workspace_id } = await newOrganization()
  const target = await alice.organizations.createWorkspace({ name: 'Second', slug: 'second', org_id: organization_id })
  const { solution_id } = await newClaims(alice)
  await alice.solutions.update({ solution_id, status: 'in_progress' })
  const reader = await member('viewer')
  const both = await member('viewer', { role: 'solution_builder', scope: 'workspace', scope_id: target.id })
  const guest = await member(
    { role: 'viewer', scope: 'solution', scope_id: solution_id },
    { role: 'solution_builder', scope: 'workspace', scope_id: target.id },
  )
  const input = { solution_id, target_workspace_id: target.id }

  assert.equal(await codeOf(reader.client.solutions.clone(input)), 'FORBIDDEN')
  assert.equal(await codeOf(both.client.solutions.clone({ solution_id })), 'FORBIDDEN', 'not where it is')
  const copy = await both.client.solutions.clone(input)
  assert.deepEqual([copy.status, copy.workspace_id, copy.created_by], ['draft', target.id, both.user_id])
  assert.equal(await codeOf(both.client.solutions.clone(input)), 'CONFLICT')
  const second = await guest.client.solutions.clone({ ...input, on_conflict: 'rename' })
  assert.equal(second.slug, 'claims-2')
  const there = client(both.api_key, { workspace_id: target.id })
  assert.equal((await there.solutions.list()).total, 2)
  const file = await exported(there, copy.id)
  assert.equal(file, (await exported(alice, solution_id)).replace('status: in_progress', 'status: draft'))
  const bound = await alice.organizations.createApiKey({ name: 'Bound', workspace_id })
  assert.equal(await codeOf(client(bound.key).solutions.clone({ ...input, on_conflict: 'rename' })), 'FORBIDDEN')
  const foreign = await newOrganization()
  assert.equal(
    await codeOf(alice.solutions.clone({ solution_id, target_workspace_id: foreign.workspace_id })),
    'NOT_FOUND',
  )
})

test('what is in the marketplace is copied by other organizations, with all it uses, and what is not is not found', async () => {
  const [shop, customer] = [await newOrganization(), await newOrganization()]
  const { solution_id } = await newClaims(shop.alice)
  for (const visibility_level of ['private', 'workspace', 'organization'] as const) {
    await shop.alice.solutions.update({ solution_id, visibility_level })
    assert.equal(await codeOf(customer.alice.solutions.clone({ solution_id })), 'NOT_FOUND', visibility_level)
    assert.equal(await codeOf(exported(customer.alice, solution_id)), 'NOT_FOUND', visibility_level)
  }
  await shop.alice.solutions.update({ solution_id, visibility_level: 'marketplace' })

  const copy = await customer.alice.solutions.clone({ solution_id })

  assert.equal(copy.created_by, customer.admin.user_id)
  assert.equal(copy.visibility_level, 'workspace')
  const file = await exported(shop.alice, solution_id)
  assert.equal(await exported(customer.alice, solution_id), file)
  assert.equal(await exported(customer.alice, copy.id), file)
  const viewer = await customer.member('viewer')
  assert.equal(await codeOf(viewer.client.solutions.clone({ solution_id, on_conflict: 'rename' })), 'FORBIDDEN')
})

test('of two imports of the same file at the same moment one comes in whole', async () => {
  const [from, to] = [await newOrganization(), await newOrganization()]
  const { solution_id } = await newClaims(from.alice)
  const file = await exported(from.alice, solution_id)

  const results = await Promise.all([1, 2].map(() => codeOf(to.alice.solutions.import({ file }))))

  assert.deepEqual(results.sort(), ['CONFLICT', 'ok'])
  assert.equal((await to.alice.components.list()).total, 6)
  assert.equal((await to.alice.solutions.list()).total, 1)
})

// ---- many solutions

/** Numbers from a seed (mulberry32), so that a failure can be had again. */
function randomOf(seed: number) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const pieces = [
  ...['', ' ', '\n', '\n\n', '\t', '\r', '\r\n', ' \n', '\u0085', '\u2028', '\ufeff', '\u0001', '\u007f', '\u00a0'],
  ...[
    '#',
    ' #',
    ': ',
    '- ',
    '? ',
    '|',
    '>',
    '&a',
    '*a',
    '!!str',
    '%',
    '@',
    '`',
    '"',
    "'",
    '\\',
    '\\n',
    '{',
    ']',
    ',',
    '~',
  ],
  ...[
    'null',
    'true',
    'no',
    'off',
    '0x1F',
    '1e3',
    '012',
    '1_000',
    '.inf',
    '2026-01-01',
    '<<',
    '---',
    '...',
    '=',
    'é',
    '日本',
    '😀',
  ],
]

test('whatever a text has in it, the file gives it back', async () => {
  const random = randomOf(7)
  const upTo = (max: number) => Math.floor(random() * max)
  for (let round = 0; round < 40; round += 1) {
    const config: Record<string, string> = {}
    for (let i = 0; i < 200; i += 1) {
      const word = Array.from({ length: upTo(8) }, () => pieces[upTo(pieces.length)] ?? '').join('')
      config[`${i}${word}`] = Array.from({ length: upTo(8) }, () => pieces[upTo(pieces.length)] ?? '').join('')
    }
    const component = { slug: 'one', type: 'state' as const, name: 'One', description: '', tags: [], version: '0.1.0' }
    const solution = { slug: 'all', version: '0.1.0', name: 'All', description: '', status: 'draft' as const }
    const file = {
      format: 'flow-solution/1' as const,
      solution,
      components: [{ ...component, status: 'draft' as const, config, versions: [] }],
      uses: [],
    }
    assert.deepEqual(parse((await printFile(file)).join('')), file)
  }
})

test('whatever is in a solution, it comes out of another workspace as the same bytes', async () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const random = randomOf(seed)
    const upTo = (max: number) => Math.floor(random() * max)
    const word = (): string => Array.from({ length: upTo(6) }, () => pieces[upTo(pieces.length)] ?? '').join('')
    const value = (depth: number): unknown => {
      const kind = upTo(depth > 0 ? 7 : 5)
      if (kind === 0) return null
      if (kind === 1) return random() < 0.5
      if (kind === 2) return [0, -1, 0.1, 1e21, 1e-7, 2 ** 53, 1.5e300][upTo(7)]
      if (kind < 5) return word()
      if (kind === 5) return Array.from({ length: upTo(4) }, () => value(depth - 1))
      return Object.fromEntries(Array.from({ length: upTo(4) }, () => [word(), value(depth - 1)]))
    }
    const [from, to] = [await newOrganization(), await newOrganization()]
    const { id: solution_id } = await from.alice.solutions.create({
      name: `x${word()}`,
      slug: 'many',
      version: `${upTo(3)}.${upTo(3)}.${upTo(3)}`,
      description: word(),
    })
    const slugs = Array.from({ length: 1 + upTo(5) }, (_, i) => `part-${upTo(100)}-${i}`)
    for (const [i, slug] of slugs.entries()) {
      const known = slugs.slice(0, i)
      const state = { initial_values: { [`k${word()}`]: value(3) as never } }
      const nodes = [{ id: 'one', type: 'condition', condition: 'true', label: word() }]
      const uses = known.length > 0 && random() < 0.6 ? known[upTo(known.length)] : undefined
      const component = uses
        ? {
            type: 'workflow' as const,
            config: {
              nodes: [...nodes, { id: 'two', type: 'transform', output: value(2) ?? 1 }],
              edges: [{ source: 'one', target: 'two' }],
              vars: { v: value(3) ?? 1 },
            },
          }
        : { type: 'state' as const, config: state }
      const made = await from.alice.components
        .create({ name: `x${word()}`, slug, description: word(), ...component } as never)
        .catch((error: Refusal) => {
          // A generated text can be an expression that is none; that is not what is tested here.
          assert.equal(error.code, 'VALIDATION_ERROR')
          return undefined
        })
      if (!made) continue
      if (random() < 0.5)
        await from.alice.components.publish({ component_id: made.id, changelog: word() }).catch(() => undefined)
      if (random() < 0.7) await from.alice.solutions.addComponent({ solution_id, component_id: made.id })
    }
    const file = await exported(from.alice, solution_id)

    const arrived = await to.alice.solutions.import({ file }).catch((error: Refusal) => {
      assert.fail(`seed ${seed}: ${JSON.stringify(error.details)}\n${file}`)
    })

    assert.equal(await exported(to.alice, arrived.id), file, `seed ${seed}`)
    const parsed = await readFile(file)
    assert.equal(
      parsed.solution.description,
      (await from.alice.solutions.get({ solution_id })).description,
      `seed ${seed}`,
    )
  }
})
