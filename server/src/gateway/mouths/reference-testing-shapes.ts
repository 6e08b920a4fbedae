/** The few words in which the references are written down. */

export type Shape = { [key: string]: unknown }

export const text: Shape = { type: 'string' }
export const filled: Shape = { type: 'string', minLength: 1 }
export const flag: Shape = { type: 'boolean' }
export const decimal: Shape = { type: 'number' }
export const count: Shape = { type: 'integer', minimum: 0 }
export const nothing: Shape = { type: 'null' }
export const anything: Shape = {}
export const anyObject: Shape = { type: 'object' }
export const exactly = (value: string): Shape => ({ const: value })
export const oneOf = (...words: (string | null)[]): Shape => ({ enum: words })
export const listOf = (items: Shape, more: Shape = {}): Shape => ({ type: 'array', items, ...more })
export const mapOf = (values: Shape): Shape => ({ type: 'object', additionalProperties: values })
export const orNull = (shape: Shape): Shape => ({ anyOf: [shape, nothing] })
export const anyOf = (...shapes: Shape[]): Shape => ({ anyOf: shapes })

/** An object with these fields and no other. */
export const fields = (required: Record<string, Shape>, optional: Record<string, Shape> = {}): Shape => ({
  type: 'object',
  properties: { ...required, ...optional },
  required: Object.keys(required),
  additionalProperties: false,
})

/** An object whose `type` says which of these it is; the message then names what is wrong with that one. */
export const byType = (cases: Record<string, Shape>): Shape => {
  const [names, shapes] = [Object.keys(cases), Object.entries(cases)]
  return {
    type: 'object',
    required: ['type'],
    properties: { type: { enum: names } },
    allOf: shapes.map(([name, shape]) => ({
      if: { properties: { type: { const: name } } },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: shape,
    })),
  }
}
