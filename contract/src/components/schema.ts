/** Schemas: the fields of a thing, and how strictly they are kept. */

import { z } from 'zod'
import { Json } from '../common.ts'

const Validator = z.strictObject({
  type: z.enum([
    'min',
    'max',
    'min_length',
    'max_length',
    'pattern',
    'format',
    'multiple_of',
    'min_items',
    'max_items',
  ]),
  value: z.union([z.string(), z.number()]),
})

export const SchemaField = z.strictObject({
  name: z.string().min(1).max(100),
  type: z.enum(['string', 'integer', 'number', 'boolean', 'array', 'object', 'any', 'null']),
  description: z.string().max(2000).default(''),
  required: z.boolean().default(false),
  enum: z.array(Json).min(1).max(500).optional(),
  default: Json.optional(),
  validators: z.array(Validator).max(20).default([]),
})
export type SchemaField = z.infer<typeof SchemaField>

export const SchemaConfig = z
  .strictObject({
    schema_type: z.enum(['json_schema', 'pydantic', 'typed_dict']).default('json_schema'),
    fields: z.array(SchemaField).min(1).max(500),
    strict_validation: z.boolean().default(true).describe('Refuse what the fields do not name.'),
    examples: z.array(Json).max(50).default([]).describe('Values that fit.'),
  })
  .meta({ id: 'SchemaConfig' })
export type SchemaConfig = z.infer<typeof SchemaConfig>
