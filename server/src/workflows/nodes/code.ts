/** Calls a code block in the sandbox, with its schemas around it. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Asker } from '../../asking.ts'
import { groupOf, hostOf } from '../../components/components.ts'
import { jsonText, type SecretFields, secretFieldsOf } from '../../expressions/expressions.ts'
import { type Fault, type Language, SandboxUnavailable, type Verdict } from '../../sandbox/sandbox.ts'
import { Redaction } from '../redaction.ts'
import { assertFits, evaluated, idempotencyKey, type NodeCall, NodeFailure, OUTPUT_MAX } from './node.ts'

/** What another attempt may mend; all else is the same every time. */
const passing = new Set<Fault['code']>(['threw', 'timeout', 'out_of_memory', 'crashed', 'never_resolves'])
const codes: Partial<Record<Fault['code'], string>> = { threw: 'CODE_FAILED' }
const languages: readonly string[] = ['javascript', 'typescript', 'python'] satisfies Language[]

/** While the sandbox is full it is asked again, this often. */
const FULL_MS = 250

/** The answer of the node's code block to one input. `index`: of a map's item. */
export async function runCode(call: NodeCall, input: unknown, index?: number): Promise<unknown> {
  // What it prints and what it fails by is told without what its schema marks as secret, and the secrets it was given.
  const secrets = new Redaction()
  const { input_schema } = call.block?.config ?? {}
  if (input_schema) secrets.learn(secretFieldsOf(input_schema), input)
  try {
    return await answerOf(call, input, secrets, index)
  } catch (thrown) {
    if (!(thrown instanceof NodeFailure)) throw thrown
    const { code, message, is_final, cause } = thrown
    throw new NodeFailure(code, secrets.message(message), { is_final, cause })
  }
}

async function answerOf(call: NodeCall, input: unknown, secrets: Redaction, index?: number): Promise<unknown> {
  const { block, at, tenant, signal } = call
  if (!block)
    throw new NodeFailure('COMPONENT_MISSING', 'The code block is not part of this execution.', { is_final: true })
  const { language, code, dependencies, modules, entry_point, timeout_seconds, memory_mb } = block.config
  if (!isLanguage(language)) {
    throw new NodeFailure('LANGUAGE_UNAVAILABLE', `Code in ${language} cannot be run here yet.`, { is_final: true })
  }
  assertFits(block.checkInput, input, 'INVALID_INPUT', 'The input does not fit the schema of the code block')

  const seconds = Math.min(timeout_seconds, at.node.timeout_seconds ?? timeout_seconds)
  const job = {
    language,
    code,
    dependencies,
    modules,
    entry_point,
    input,
    tenant,
    depth: call.depth.calls,
    group: groupOf(block.component_id, block.config),
    timeout_ms: seconds * 1000,
    memory_mb,
    signal,
  }
  const run_key = idempotencyKey(call.about.execution_id, at.node.id, call.attempt, index)
  // What is still asked when the code has ended is for nobody.
  const over = new AbortController()
  const asker = askerOf(call, run_key, secrets, AbortSignal.any([signal, over.signal]))
  const context = { ...call.about, attempt: call.attempt, ...(index === undefined ? {} : { index }) }
  const host = hostOf({
    network: block.config.network,
    fetch: call.platform.fetch,
    signal,
    timeout_seconds: seconds,
    context: () => ({
      ...context,
      idempotency_key: run_key,
    }),
    measure: (args) => call.measure(args),
    async ask(method, args) {
      const answer = await call.platform.asking.ask({ method, args, asker })
      if (method === 'secrets.get') secrets.learn(valueIn, answer)
      return answer
    },
  })
  const running = patiently(() => call.platform.sandbox.run({ ...job, host }), signal)
  const verdict = await running.finally(() => over.abort())
  call.spend(verdict.duration_ms)
  const began = call.ctx.platform.clock.now().getTime() - verdict.duration_ms
  call.log(
    verdict.logs.map(({ level, message, at_ms }) => ({ level, text: secrets.message(message), at: began + at_ms })),
  )
  if (verdict.status === 'error') throw failed(verdict.error)
  assertFits(
    block.checkOutput,
    verdict.output,
    'INVALID_OUTPUT',
    'The output does not fit the schema of the code block',
  )

  return verdict.output
}

/** What an answer of `flow.secrets.get` has that nobody else may read. */
const valueIn: SecretFields = (answer, found) => found?.((answer as { value: string }).value)

/** Code asks in the name of whoever started the execution, with the rights they have at that moment. */
function askerOf(call: NodeCall, run_key: string, secrets: Redaction, signal: AbortSignal): Asker {
  const { ctx, about, depth, asked, trace } = call
  const sum = { asked: 0 }
  return {
    organization_id: ctx.organization_id,
    workspace_id: ctx.workspace_id,
    request_id: ctx.request_id,
    actor: ctx.rights,
    inside: { ...about, ...depth, blocks: 0, run_key, sum, trace, hide: (text) => secrets.text(text) },
    signal,
    asked,
  }
}

const isLanguage = (language: string): language is Language => languages.includes(language)

/** Nothing has run when the sandbox is full: it is asked again until there is room. */
async function patiently(run: () => Promise<Verdict>, signal: AbortSignal): Promise<Verdict> {
  for (;;) {
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof SandboxUnavailable) || error.code === 'SANDBOX_CLOSED') throw error
      await sleep(FULL_MS, undefined, { signal })
    }
  }
}

function failed({ code, message, line }: Fault): NodeFailure {
  const place = line === undefined ? '' : ` (line ${line})`
  return new NodeFailure(codes[code] ?? code.toUpperCase(), `${message}${place}`, { is_final: !passing.has(code) })
}

/** The JSON text of an output, which is what is kept. */
export const outputText = (output: unknown): string =>
  evaluated('The output', () => jsonText(output ?? null, OUTPUT_MAX), 'OUTPUT_TOO_LARGE')
