/** What the governor's stories have in common: calls of models with a price, and what the ledger says of them. */

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from '../../db/db.ts'
import { newOrganization, type TestOrganization, testFlow } from '../../testing.ts'
import { PREFIX } from '../front/front.ts'

export type Asked = { model?: string; stream?: boolean; max_tokens?: number; n?: number }
export type Told = { status: number; headers: Headers; text: string; code: string | undefined; message: string }

/** Nanocredits for a token, read or written. */
export const TOKEN = 1_000

/** Tells what it calls over; by the app of this file unless told. */
export async function call(
  key: string,
  content: string | object,
  { model = 'flow/scripted', ...more }: Asked = {},
  answer?: (request: Request) => Promise<Response>,
  headers: Record<string, string> = {},
): Promise<Told> {
  const { app } = await testFlow()
  const said = typeof content === 'string' ? content : JSON.stringify(content)
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: said }], ...more })
  const request = new Request(`http://flow.test${PREFIX}/chat/completions`, {
    method: 'POST',
    body,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
  })
  const response = await (answer ?? app.direct.respond)(request)
  const text = await response.text()
  const error = /"error":/.test(text) ? /"message":"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] : undefined
  const code = /"error":.*"code":"(\w+)"/.exec(text)?.[1]
  return { status: response.status, headers: response.headers, text, code, message: error ?? '' }
}

/** An organization in which every token of the built-in models costs the same. */
export async function newPriced(): Promise<TestOrganization> {
  const made = await newOrganization()
  await made.alice.gateway.prices.create({ model: 'flow/*', input: TOKEN / 1_000, output: TOKEN / 1_000 })
  return made
}

export type Line = {
  id: string
  nanocredits: number
  usage_quantity: number
  model: string | null
  resource_type: string
  request_id: string | null
}

/** The lines of the ledger, when there are so many. */
export async function linesOf({ organization_id }: TestOrganization, count: number): Promise<Line[]> {
  const { platform } = await testFlow()
  for (let tries = 0; ; tries += 1) {
    const lines = await platform.database.of(organization_id).many<Line>(sql`
      select id, nanocredits, usage_quantity, model, resource_type, request_id from ledger order by created_at, id`)
    if (lines.length >= count) return lines
    assert.ok(tries < 1_000, `${lines.length} of ${count} lines are there`)
    await sleep(20)
  }
}

export const sumOf = (lines: Line[]): number => lines.reduce((sum, { nanocredits }) => sum + nanocredits, 0)

/** That the ledger, the usage report, the summary and what is used of a budget are one number. */
export async function assertOneNumber(made: TestOrganization): Promise<number> {
  const sum = sumOf(await linesOf(made, 0))
  const summary = await made.alice.organizations.getBilling()
  assert.equal(Math.round(summary.credits_consumed * 1e9), sum)
  for (const group_by of ['model', 'user', 'day', 'workspace'] as const) {
    const report = await made.alice.organizations.getUsage({ group_by, limit: 100 })
    assert.equal(Math.round(report.credits_debited * 1e9), sum)
  }
  const budget = await made.alice.gateway.budgets.create({
    subject: { kind: 'organization' },
    credits: 1_000_000,
    period: 'month',
    mode: 'warn',
  })
  const used = budget.used.reduce((all, { credits }) => all + Math.round(credits * 1e9), 0)
  await made.alice.gateway.budgets.remove({ budget_id: budget.id })
  assert.equal(used, sum)
  return sum
}
