/** The first start: the first organization with its admin and key, and the demo in it. Later starts find them there
 *  and change nothing. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { components } from '@flow/contract/components'
import { workflows } from '@flow/contract/workflows'
import { codeBlocks, workflow } from '../../demo/ticket-report.ts'
import * as componentsRoom from './components/components.ts'
import type { Context, Platform } from './context.ts'
import { createFirstOrganization, type FirstOrganization } from './organizations/first.ts'
import * as workflowsRoom from './workflows/workflows.ts'

export async function welcome(platform: Platform): Promise<void> {
  const { config, database } = platform
  const first = await createFirstOrganization(platform, seedDemo)
  if (!first) return

  if (database.mode === 'embedded') await keepFirstKey(config.data_directory, config.public_url, first)
  console.log(
    [
      '',
      'This is the first start. It made:',
      `  organization  ${config.organization_name}`,
      `  admin         ${first.email}`,
      ...(first.password ? [`  password      ${first.password}   (shown this once)`] : []),
      `  API key       ${first.api_key}   (shown this once)`,
      `  demo          the workflow "${workflow.slug}": run it with \`npm run demo\``,
      '',
    ].join('\n'),
  )
}

/** For scripts on this machine such as the demo; beside it lies the database itself. */
const keepFirstKey = (directory: string, url: string, { email, api_key, organization_id }: FirstOrganization) =>
  writeFile(join(directory, 'admin.json'), `${JSON.stringify({ url, email, organization_id, api_key }, null, 2)}\n`, {
    mode: 0o600,
  })

async function seedDemo(ctx: Context): Promise<void> {
  for (const block of await codeBlocks()) {
    const made = await componentsRoom.create(ctx, components.create.input.parse(block))
    const input = components.publish.input.parse({ component_id: made.id, changelog: 'The demo.' })
    await componentsRoom.publish(ctx, input, await componentsRoom.examine(ctx, input))
  }
  await workflowsRoom.create(ctx, workflows.create.input.parse(workflow))
}
