/** What is remembered between runs: its shape. The values are kept by the room `state`. */

import type { FieldError } from '@flow/contract/common'
import type { StateConfig } from '@flow/contract/components/state'
import { compileJsonSchema, type JsonSchemaCheck } from '../../expressions/expressions.ts'
import { type Kind, schemaFaults } from './kind.ts'

/** Characters of JSON that one value may come to. */
export const VALUE_MAX = 256 * 1024

export const state: Kind<StateConfig> = {
  faults(config) {
    const { schema_definition, initial_values, persistence } = config
    const faults: FieldError[] = schemaFaults({ schema_definition })
    if (schema_definition && schema_definition.type !== undefined && schema_definition.type !== 'object') {
      faults.push({
        field: 'config.schema_definition.type',
        message: 'It must be "object": its properties are the keys.',
      })
    }
    if (persistence === 'none' && Object.keys(initial_values).length > 0) {
      faults.push({ field: 'config.initial_values', message: 'There are none where nothing is kept.' })
    }
    if (faults.length > 0) return faults
    const check = keyCheck(config)
    return Object.entries(initial_values).flatMap(([key, value]) => {
      const field = `config.initial_values.${key}`
      if (JSON.stringify(value).length > VALUE_MAX)
        return [{ field, message: 'The value has more than 256 KiB of JSON.' }]
      return check(key, value).map((message) => ({ field, message }))
    })
  },
  cannotRun: () => 'State is read and written at /components/{component_id}/state: there is nothing to run.',
}

/** What is wrong with a value under its key. What the schema says of the whole (which keys there have to be) is left out:
 *  one value is written at a time. */
export function keyCheck({ schema_definition }: StateConfig): (key: string, value: unknown) => string[] {
  if (!schema_definition) return () => []
  const known = checks.get(schema_definition)
  const check = known ?? compileJsonSchema({ ...of(schema_definition), type: 'object' })
  if (!known) checks.set(schema_definition, check)
  return (key, value) => check({ [key]: value }).map(({ place, message }) => sentence(key, place, message))
}

const checks = new WeakMap<object, JsonSchemaCheck>()
const ofKeys = ['properties', 'patternProperties', 'additionalProperties', 'propertyNames', '$defs', 'definitions']

const of = (schema: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(schema).filter(([keyword]) => ofKeys.includes(keyword)))

function sentence(key: string, place: string, message: string): string {
  const pointer = `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
  const inside = place.startsWith(pointer) ? place.slice(pointer.length) : place
  return `${inside || 'It'} ${message}.`
}
