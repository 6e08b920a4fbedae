/** Workflows run durably, with a record of everything: that is another room's matter. */

import type { WorkflowConfig } from '@flow/contract/components/workflow'
import { checkWorkflow, referencesOf } from '../workflow-rules.ts'
import type { Kind } from './kind.ts'

export const workflow: Kind<WorkflowConfig> = {
  faults: (config) => checkWorkflow(config).map(({ field, message }) => ({ field: `config.${field}`, message })),
  references: referencesOf,
  cannotRun: () =>
    'A workflow runs as an execution, which is recorded: start it with POST /workflows/{workflow_id}/execute, and with ' +
    '"version": "draft" as it is being written.',
}
