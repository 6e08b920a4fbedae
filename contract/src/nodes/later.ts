/** Types of nodes whose parts of the platform are not there yet. Their names are taken, so that a definition that uses
 *  one is told what is missing rather than that the type is unknown. */

import { z } from 'zod'
import { ComponentRef } from '../components/ref.ts'
import { node } from './node.ts'

/** By type: what has to be there first. */
export const missing = {
  agent: 'agents',
  connector_operation: 'connectors',
  dataset_query: 'datasets',
  hosted_service: 'hosted services',
  vector_search: 'vector indexes',
} as const

export const LaterNode = z
  .object({
    ...node,
    type: z.enum(Object.keys(missing) as (keyof typeof missing)[]),
    component_ref: ComponentRef.optional(),
  })
  .describe('Not available yet: refused when a workflow is saved.')
