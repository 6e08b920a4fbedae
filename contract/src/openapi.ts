/** The contract, printed as OpenAPI 3.1. Named nouns become `#/components/schemas/…`; outputs are printed open, so
 *  that generated clients do not refuse fields that come later. */

import { z } from 'zod'
import { statusOfCode } from './common.ts'
import { type Domain, type Operation, placeOf, statusOf } from './operation.ts'

type Schema = Record<string, unknown>

/** The document as JSON text, with a line break at its end. The same contract always prints the same text. */
export function printOpenapi(contract: Record<string, Domain>): string {
  const paths: Record<string, Schema> = {}
  for (const [domain, operations] of Object.entries(contract)) {
    for (const [name, operation] of Object.entries(operations)) {
      const path = `/api/v1${operation.path}`
      paths[path] = { ...paths[path], [operation.method.toLowerCase()]: operationObject(domain, name, operation) }
    }
  }
  const document = {
    openapi: '3.1.0',
    info: {
      title: 'Flow',
      version: '1.0.0',
      description: 'Build, ship and run AI applications. Version 1 only grows: nothing is removed or changed.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: Object.keys(contract).map((domain) => ({ name: snake(domain) })),
    security: [{ api_key: [] }, { bearer: [] }],
    paths: Object.fromEntries(Object.entries(paths).sort(([a], [b]) => a.localeCompare(b, 'en'))),
    components: {
      securitySchemes: {
        api_key: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
        bearer: { type: 'http', scheme: 'bearer', description: 'An access token, or an API key.' },
      },
      schemas: used(namedSchemas(), paths),
    },
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

function operationObject(domain: string, name: string, operation: Operation): Schema {
  const shape = operation.input.shape as Record<string, z.ZodType>
  const parameters: Schema[] = []
  const body: Record<string, z.ZodType> = {}
  for (const [field, schema] of Object.entries(shape)) {
    const place = placeOf(operation, field)
    if (place === 'body') {
      body[field] = schema
      continue
    }
    const { description, ...printed } = print(schema, 'input')
    const required = place === 'path' || !schema.safeParse(undefined).success
    parameters.push({ name: field, in: place, required, ...(description ? { description } : {}), schema: printed })
  }
  const hasBody = Object.keys(body).length > 0
  return {
    tags: [snake(domain)],
    operationId: `${snake(domain)}_${snake(name)}`,
    summary: operation.summary,
    description: describe(operation),
    ...(operation.permission === 'public' ? { security: [] } : {}),
    parameters: [...parameters, ...headers(operation)],
    ...(hasBody ? { requestBody: requestBody(operation.mouth ? z.looseObject(body) : z.strictObject(body)) } : {}),
    responses: responses(operation),
  }
}

function describe(operation: Operation): string {
  const needs = { public: 'Needs no credentials.', authenticated: 'Needs any valid credential.' }
  const reach = operation.narrows ? '; a role in one solution is enough for what is in that' : ''
  const permission =
    needs[operation.permission as 'public'] ?? `Needs the permission \`${operation.permission}\`${reach}.`
  const refusals = (operation.refusals ?? []).map((refusal) => `- ${refusal}`).join('\n')
  return [operation.description, permission, refusals && `Refusals:\n${refusals}`].filter(Boolean).join('\n\n')
}

const requestBody = (schema: z.ZodObject): Schema => ({
  required: !schema.safeParse({}).success,
  content: { 'application/json': { schema: print(schema, 'input') } },
})

function headers(operation: Operation): Schema[] {
  const header = (name: string, description: string) => ({
    name,
    in: 'header',
    required: false,
    description,
    schema: { type: 'string' },
  })
  const all: Schema[] = []
  if (operation.permission === 'public') return all
  all.push({
    ...header('X-Workspace-ID', 'The workspace; the default one without it.'),
    schema: { type: 'string', format: 'uuid' },
  })
  if (operation.method === 'POST' && !operation.mouth?.streams) {
    all.push(header('Idempotency-Key', 'The same key and body within 24 hours give the same answer.'))
  }
  if (operation.method === 'PUT' || operation.method === 'PATCH' || operation.method === 'DELETE') {
    all.push(header('If-Match', 'The `ETag` that was read; refused with 412 when it has changed since.'))
  }
  if (operation.status === 202) all.push(header('Prefer', '`wait=N` waits up to N seconds (at most 60) for the end.'))
  if (operation.streams) all.push(header('Last-Event-ID', 'Go on after this event.'))
  return all
}

function responses(operation: Operation): Schema {
  const status = String(statusOf(operation))
  const success: Schema = { description: 'Done.' }
  if (operation.streams && operation.output) {
    success.content = {
      'text/event-stream': { schema: { type: 'string' }, 'x-event': print(operation.output, 'output') },
    }
  }
  if (operation.downloads) success.content = { [operation.downloads]: { schema: { type: 'string' } } }
  if (operation.output && !operation.streams) {
    success.content = { 'application/json': { schema: print(operation.output, 'output') } }
  }
  if (operation.mouth?.streams) {
    success.content = { ...(success.content as Schema), 'text/event-stream': { schema: { type: 'string' } } }
  }
  const waited =
    operation.status === 202 ? { 200: { ...success, description: 'It ended while the caller waited.' } } : {}
  const problem = {
    description: 'A refusal.',
    content: {
      'application/json': {
        schema: operation.mouth ? print(operation.mouth.errors, 'output') : { $ref: '#/components/schemas/Problem' },
      },
    },
  }
  const refusals = refusedWith(operation).map((code) => [String(statusOfCode[code]), { ...problem, description: code }])
  return { ...waited, [status]: success, ...Object.fromEntries(refusals), default: problem }
}

function refusedWith(operation: Operation) {
  if (operation.mouth) return ofMouths
  const codes: (keyof typeof statusOfCode)[] = ['VALIDATION_ERROR', 'RATE_LIMITED']
  if (operation.permission !== 'public') codes.push('UNAUTHENTICATED', 'FORBIDDEN', 'NOT_FOUND')
  if (operation.method !== 'GET') codes.push('BAD_REQUEST', 'CONFLICT')
  if (operation.method === 'POST' || operation.method === 'PUT' || operation.method === 'PATCH') {
    codes.push('PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE')
  }
  return codes.sort((a, b) => statusOfCode[a] - statusOfCode[b])
}

/** What a mouth refuses with, whichever format it speaks. */
const ofMouths = [
  'BAD_REQUEST',
  'UNAUTHENTICATED',
  'BUDGET_EXCEEDED',
  'FORBIDDEN',
  'NOT_FOUND',
  'PAYLOAD_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'RATE_LIMITED',
  'UPSTREAM_FAILED',
  'UNAVAILABLE',
  'TIMEOUT',
] as const

const style = { unrepresentable: 'any', reused: 'inline', target: 'draft-2020-12' } as const

/** Every noun with an id: as it is answered under its name, as it is sent under its name with `Input` behind. */
function namedSchemas(): Schema {
  const all: Record<string, Schema> = {}
  for (const [io, suffix] of [
    ['output', ''],
    ['input', 'Input'],
  ] as const) {
    const uri = (id: string) => `#/components/schemas/${id}${suffix}`
    const override = io === 'output' ? open : plain
    const { schemas } = z.toJSONSchema(z.globalRegistry, { ...style, uri, io, override })
    for (const [id, schema] of Object.entries(schemas)) all[`${id}${suffix}`] = clean(schema as Schema)
  }
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => a.localeCompare(b, 'en')))
}

/** Only what is referred to, from the paths or from another schema that is. */
function used(schemas: Schema, paths: Schema): Schema {
  const found = new Set<string>(['Problem'])
  const look = (text: string) => {
    for (const [, id] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (!id || found.has(id)) continue
      found.add(id)
      look(JSON.stringify(schemas[id]))
    }
  }
  look(JSON.stringify(paths) + JSON.stringify(schemas.Problem))
  return Object.fromEntries(Object.entries(schemas).filter(([id]) => found.has(id)))
}

/** One schema; the named nouns in it become references. */
function print(schema: z.ZodType, io: 'input' | 'output'): Schema {
  const printed = z.toJSONSchema(schema, { ...style, io, override: io === 'output' ? open : plain }) as Schema
  const { $defs: _, ...rest } = printed
  const text = JSON.stringify(rest).replace(
    /"#\/\$defs\/([^"]+)"/g,
    (_match, id) => `"#/components/schemas/${id}${io === 'input' ? 'Input' : ''}"`,
  )
  return clean(JSON.parse(text) as Schema)
}

function clean(schema: Schema): Schema {
  const { $schema: _schema, $id: _id, id: _name, ...rest } = schema
  return rest
}

/** Zod prints the expression that a format is checked with, too: the format says it. */
function plain({ jsonSchema }: { jsonSchema: Schema }): void {
  if (jsonSchema.format !== undefined) delete jsonSchema.pattern
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
}

function open(printed: { jsonSchema: Schema }): void {
  plain(printed)
  if (printed.jsonSchema.additionalProperties === false) delete printed.jsonSchema.additionalProperties
}

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
