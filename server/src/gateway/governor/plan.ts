/** What holds for one caller: the account that pays, and the meters that count. Made once for a caller and a policy, so
 *  that a call only looks at numbers. */

import type { Budget, Caller, Limit, Policy, Subject } from '../policies/policy.ts'
import type { Account, Purse } from './account.ts'
import type { Rate } from './rate.ts'
import type { Slots } from './slots.ts'

export type Meters = { rates: Rate[]; slots: Slots[] }
/** What holds for one model besides. Undefined `account`: it has no budget. */
export type ModelPlan = Meters & { account: Account | undefined }
export type Plan = Meters & {
  policy: Policy
  account: Account
  /** Whether models have limits or budgets of their own. */
  hasModels: boolean
  warnings: Purse[]
  modelOf(model: string): ModelPlan
}

/** Whether a call of this subject is meant, and by which id it is counted; undefined: it is not. */
export function subjectOf(subject: Subject, caller: Caller, model?: string): string | undefined {
  const ids: Record<Subject['kind'], string | null | undefined> = {
    organization: caller.organization_id,
    workspace: caller.workspace_id,
    user: caller.user_id,
    key: caller.key_id,
    model,
  }
  const id = ids[subject.kind]
  if (id === undefined || id === null) return undefined
  return subject.id === null || subject.id === id ? id : undefined
}

export const limitsOf = (policy: Policy, caller: Caller, model?: string): { limit: Limit; id: string }[] =>
  policy.limits.flatMap((limit) => {
    if ((limit.subject.kind === 'model') !== (model !== undefined)) return []
    const id = subjectOf(limit.subject, caller, model)
    return id === undefined ? [] : [{ limit, id }]
  })

export const pursesOf = (policy: Policy, caller: Caller, model?: string): Purse[] => {
  const purses = policy.budgets.flatMap((budget): Purse[] => {
    if ((budget.subject.kind === 'model') !== (model !== undefined)) return []
    const subject_id = subjectOf(budget.subject, caller, model)
    return subject_id === undefined ? [] : [{ budget, kind: budget.subject.kind, subject_id, used: 0, since: '' }]
  })
  const whole = model === undefined ? monthOf(policy) : undefined
  if (whole) purses.push({ budget: whole, kind: 'billing', subject_id: caller.organization_id, used: 0, since: '' })
  return purses
}

/** The budget that the organization has for everything. */
const monthOf = ({ organization_id, month_nanocredits }: Policy): Budget | undefined =>
  month_nanocredits === null
    ? undefined
    : {
        id: organization_id,
        subject: { kind: 'organization', id: null },
        nanocredits: month_nanocredits,
        period: 'month',
        mode: 'hard',
      }
