/** The door of the room: what others compile and evaluate. Expressions are CEL (`cel.ts`), templates are JSON with
 *  expressions in it (`template.ts`), schemas are JSON Schemas (`json-schema.ts`). None has effects, and each ends
 *  within a budget, whatever strangers write. The room knows no domain. */

export { compileExpression, type Expression, ExpressionFault, type Known, selector, type Variables } from './cel.ts'
export { Budget, TooLarge } from './fault.ts'
export { compileJsonSchema, type JsonSchemaCheck, type SchemaFault } from './json-schema.ts'
export { type Pattern, patternOf } from './regex.ts'
export { SPAN_MAX, type SpanReader, type StreamPattern, streamPatternOf } from './regex-stream.ts'
export { eachOf, fieldOf, SECRET, type SecretFields, secretFieldsOf } from './secret-fields.ts'
export { jsonText } from './size.ts'
export { compileTemplate, type Template } from './template.ts'
export { parseTimestamp } from './times.ts'
