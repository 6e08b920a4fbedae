/** Agents are kept and checked; what runs them is not part of this platform yet. */

import type { AgentConfig } from '@flow/contract/components/agent'
import type { Kind, Reference } from './kind.ts'

const missing = 'Agents can be kept, but not run: this platform has no runtime for them.'

export const agent: Kind<AgentConfig> = {
  references: ({ model_ref, tool_refs, prompt_ref, schema_refs, state_ref, observability_ref }) => [
    { field: 'model_ref', ref: model_ref, types: ['model'] },
    ...tool_refs.map((ref, i): Reference => ({ field: `tool_refs[${i}]`, ref, types: ['tool'] })),
    ...one('prompt_ref', prompt_ref, 'prompt'),
    ...one('schema_refs.output', schema_refs.output, 'schema'),
    ...one('state_ref', state_ref, 'state'),
    ...one('observability_ref', observability_ref, 'observability'),
  ],
  faults: ({ tool_refs }) =>
    tool_refs.flatMap((ref, i) => {
      const first = tool_refs.indexOf(ref)
      if (first === i) return []
      return [{ field: `config.tool_refs[${i}]`, message: `tool_refs[${first}] is the same tool.` }]
    }),
  publishFaults: () => [{ field: 'type', message: missing }],
  cannotRun: () => missing,
}

const one = (field: string, ref: string | undefined, type: Reference['types'][number]): Reference[] =>
  ref === undefined ? [] : [{ field, ref, types: [type] }]
