/** The page of limits says what the code has. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { BLOCKS_MAX } from './components/calling.ts'
import { MODULES_MAX } from './components/code.ts'
import { VALUE_MAX } from './components/types/state.ts'
import { RECORDS_MAX } from './components/types/validation.ts'
import { limits as expressions } from './expressions/fault.ts'
import { ANSWER_BYTES_MAX } from './gateway/call/attempt.ts'
import { CACHED_ANSWER_BYTES_MAX, CACHED_BYTES_MAX } from './gateway/call/cache.ts'
import { CONNECTIONS_MAX } from './gateway/call/forward.ts'
import { CONTENT_BYTES_MAX } from './gateway/call/noting.ts'
import { KEPT_BYTES_MAX } from './gateway/call/replays.ts'
import { plainRoute } from './gateway/call/route.ts'
import { BODY_BYTES_MAX as CALL_BYTES_MAX } from './gateway/front/front.ts'
import { journalLimits } from './gateway/traces/journal.ts'
import { EVENT_BYTES_MAX } from './gateway/ways/sse.ts'
import { ASKED_MAX, AT_WORK_MAX } from './http/inside.ts'
import { BODY_BYTES_MAX } from './http/read.ts'
import { limits as sandbox, sharing } from './sandbox/limits.ts'
import { SECRETS_MAX } from './secrets/secrets.ts'
import { ENTRIES_MAX, SCOPE_MAX } from './state/state.ts'
import { logLimits, seriesLimits, spanLimits } from './telemetry/telemetry.ts'
import { DEPTH_MAX } from './workflows/beginning.ts'
import { ITEMS_MAX } from './workflows/nodes/map.ts'
import { INPUT_MAX, OUTPUT_MAX } from './workflows/nodes/node.ts'
import { VALUES_BYTES_MAX } from './workflows/present.ts'

const page = readFileSync(new URL('../../docs/limits.md', import.meta.url), 'utf8')
const number = (value: number) => value.toLocaleString('en')
const mebi = (value: number) => `${value / 1024 / 1024} Mi`
const seconds = (ms: number) => `${ms / 1000} s`
const plain = plainRoute('provider', 'model')
const kibi = (value: number) => `${value / 1024} KiB`

test('the limits that are written down are those that hold', () => {
  const rows = [
    `| body | ${mebi(BODY_BYTES_MAX)}B |`,
    `| expression | ${number(expressions.source)} characters, ${expressions.depth} levels, patterns of ${number(expressions.pattern)} characters |`,
    `| cost of an evaluation | ${number(expressions.steps)} steps`,
    `| value of an expression or template | ${mebi(expressions.value)} characters (${mebi(INPUT_MAX)} as a node's input), ${expressions.value_depth} levels |`,
    `| records of a validation | ${number(RECORDS_MAX)},`,
    `| value, keys, values of a scope of state | ${VALUE_MAX / 1024} Ki characters, ${number(ENTRIES_MAX)}, ${mebi(SCOPE_MAX)} characters together |`,
    `| input of a node | ${mebi(INPUT_MAX)} characters |`,
    `of the execution | ${mebi(OUTPUT_MAX)} characters |`,
    `| secrets of a workspace, value of one | ${number(SECRETS_MAX)}, 32,768 characters |`,
    `| items of a \`map\`, at a time | ${number(ITEMS_MAX)},`,
    `| inputs and outputs of nodes in one answer | ${mebi(VALUES_BYTES_MAX)}B,`,
    `| source | JavaScript and Python ${mebi(sandbox.javascript_source)}B, TypeScript ${kibi(sandbox.typescript_source)} |`,
    `| modules of JavaScript of a block | 20, of ${MODULES_MAX / 1024} Ki characters together |`,
    `| input | ${mebi(sandbox.input)} characters |`,
    `| output | ${mebi(sandbox.output)} characters, ${sandbox.output_depth} levels |`,
    `| memory | \`memory_mb\` of the block: ${sandbox.memory_mb_min} to ${sandbox.memory_mb_max},`,
    `| log | ${kibi(sandbox.log)}, a message ${kibi(sandbox.log_message)} |`,
    `| calls at work | for one workspace ${sharing.runs_per_worker / 2} for each worker`,
    `| calls that wait for the sandbox | ${number(sharing.queue)} in a process, ${number(sharing.queue_per_tenant)} of one workspace`,
    `| error | message ${kibi(sandbox.error_message)}, stack ${kibi(sandbox.error_stack)} |`,
    `| calls to the host, \`fetch\` among them | ${number(sandbox.host_calls)}, of them ${sandbox.host_calls_pending} at a time; an argument of ${mebi(sandbox.host_argument)}B,`,
    `| calls to the host and their answers, together | ${mebi(sandbox.host_crossing)} characters |`,
    `by code and the code blocks that it calls | ${number(ASKED_MAX)}; blocks call each other ${BLOCKS_MAX} deep, executions start each other ${DEPTH_MAX} deep |`,
    `| series of metrics (a name with values of labels) | ${number(seriesLimits.series_per_workspace)} of a workspace, ${number(seriesLimits.series)} in a process;`,
    `| lines of logs that wait for the collector | ${number(logLimits.lines)}, of ${mebi(logLimits.characters)} characters together`,
    `| calls of \`flow\` at work | ${AT_WORK_MAX} of one organization`,
    `| body of a call | ${mebi(CALL_BYTES_MAX)}B, 64 levels |`,
    `one event of its stream | ${mebi(ANSWER_BYTES_MAX)}B, ${mebi(EVENT_BYTES_MAX)}B |`,
    `| connections to one provider | ${number(CONNECTIONS_MAX)} in each process |`,
    `| attempts at one target | ${plain.attempts_max} unless`,
    `whole | ${seconds(plain.timeouts.connect)}, ${seconds(plain.timeouts.first_chunk)}, ${seconds(plain.timeouts.between_chunks)}, ${seconds(plain.timeouts.total)} unless`,
    `| answer kept for an idempotency key | ${mebi(KEPT_BYTES_MAX)}B,`,
    `| answers in the cache | ${mebi(CACHED_ANSWER_BYTES_MAX)}B each, ${mebi(CACHED_BYTES_MAX)}B in each process |`,
    `| content kept with a trace | ${mebi(CONTENT_BYTES_MAX)}B of what was asked,`,
    `those that were refused: ${number(journalLimits.calls)}, ${mebi(journalLimits.characters)} characters |`,
    `| spans of calls that wait for the collector | ${number(spanLimits.spans)} in a process, of ${mebi(spanLimits.characters)} characters together;`,
    `| timers | ${number(sandbox.timers)}, of them ${number(sandbox.timers_pending)} at a time |`,
  ]
  for (const row of rows) assert.ok(page.includes(row), row)
})
