/** The types of components there are. A new type is a new file and a new line. */

import type { Component, ComponentType } from '@flow/contract/components'
import { agent } from './agent.ts'
import { codeBlock } from './code-block.ts'
import type { Kind } from './kind.ts'
import { model } from './model.ts'
import { observability } from './observability.ts'
import { prompt } from './prompt.ts'
import { schema } from './schema.ts'
import { state } from './state.ts'
import { tool } from './tool.ts'
import { transform } from './transform.ts'
import { validation } from './validation.ts'
import { workflow } from './workflow.ts'

type ConfigOf<Type extends ComponentType> = Extract<Component, { type: Type }>['config']

const kinds: { [Type in ComponentType]: Kind<ConfigOf<Type>> } = {
  agent,
  code_block: codeBlock,
  model,
  observability,
  prompt,
  schema,
  state,
  tool,
  transform,
  validation,
  workflow,
}

/** What a type is. A configuration is only ever given to the kind of its own component's type. */
export const kindOf = (type: ComponentType) => kinds[type] as unknown as Kind<Component['config']>
