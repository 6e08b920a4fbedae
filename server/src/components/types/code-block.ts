/** Code blocks run in the sandbox. Whether their code could is asked of it when they are published (code.ts). */

import type { CodeBlockConfig } from '@flow/contract/components/code-block'
import { blockFaults } from '../code.ts'
import { examplesOf, type Kind } from './kind.ts'

export const codeBlock: Kind<CodeBlockConfig> = {
  faults: blockFaults,
  run: (config, input, means) => means.code({ id: '', slug: '', version: '', type: 'code_block', config }, { input }),
  examples: ({ examples }) => examplesOf(examples),
}
