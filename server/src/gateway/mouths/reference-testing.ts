/** The published references of OpenAI and Anthropic as JSON Schema, for everything that the gateway says: answers,
 *  chunks, events and errors. `assertReference('chat.chunk', value)` fails with what differs. A field that no reference
 *  names fails, too, save the few that docs/gateway.md promises besides. */

import assert from 'node:assert/strict'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { anthropicShapes } from './reference-testing-anthropic.ts'
import { openaiShapes } from './reference-testing-openai.ts'
import { responsesShapes } from './reference-testing-responses.ts'

const shapes = { ...openaiShapes, ...responsesShapes, ...anthropicShapes }
export type ReferenceName = keyof typeof shapes

const ajv = new Ajv2020({
  strict: true,
  strictRequired: false,
  strictTypes: false,
  allErrors: false,
  discriminator: true,
})
const compiled = new Map<ReferenceName, ValidateFunction>()

export function assertReference(name: ReferenceName, value: unknown): void {
  let validate = compiled.get(name)
  if (!validate) {
    validate = ajv.compile(shapes[name])
    compiled.set(name, validate)
  }
  if (validate(value)) return
  const said = (validate.errors ?? []).map((error) => {
    const more = error.params.additionalProperty ? ` (${error.params.additionalProperty})` : ''
    return `${error.instancePath || '(the whole)'} ${error.message}${more}`
  })
  assert.fail(`This is no ${name} of the reference: ${said.join('; ')}\n${JSON.stringify(value, null, 2)}`)
}

/** The events of a stream of server-sent events, in their order. */
export function eventsOf(text: string): { event: string | null; data: string }[] {
  assert.ok(text === '' || text.endsWith('\n\n'), 'A stream ends with an empty line.')

  return text
    .split('\n\n')
    .filter((block) => block !== '')
    .map((block) => {
      const lines = block.split('\n')
      const named = lines.find((line) => line.startsWith('event: '))
      const data = lines.filter((line) => line.startsWith('data: ')).map((line) => line.slice(6))
      assert.equal(lines.length, data.length + (named ? 1 : 0), `There is more than an event in ${block}`)
      return { event: named?.slice(7) ?? null, data: data.join('\n') }
    })
}
