/** Whose model a name of Bedrock's is, and what that family takes in a Converse call
 *  (https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html). Names
 *  are model ids, ids of inference profiles (`us.anthropic.claude-…`), or ARNs of either. Of an ARN that does not name
 *  its model nothing is known. */

export type Family = 'claude' | 'nova' | 'nova2' | 'gpt-oss' | 'gpt' | 'mistral' | 'open' | 'other'

const families: [RegExp, Family][] = [
  [/anthropic\.|claude-/, 'claude'],
  [/amazon\.nova-2-/, 'nova2'],
  [/amazon\.nova-/, 'nova'],
  [/openai\.gpt-oss-/, 'gpt-oss'],
  [/openai\./, 'gpt'],
  [/mistral\.(mistral-large-2402|mistral-small-2402|mixtral|mistral-7b)/, 'mistral'],
  [/(qwen|deepseek|google|nvidia|minimax|moonshot|moonshotai|zai|mistral)\./, 'open'],
]

export function familyOf(model: string): Family {
  const name = model.toLowerCase()
  return families.find(([pattern]) => pattern.test(name))?.[1] ?? 'other'
}

/** How an answer in JSON is asked for: by a schema, by a tool that must be called, or not at all. */
export const jsonBy: Record<Exclude<Family, 'claude'>, 'schema' | 'tool' | 'nothing'> = {
  nova: 'tool',
  nova2: 'tool',
  'gpt-oss': 'schema',
  gpt: 'schema',
  mistral: 'nothing',
  open: 'schema',
  other: 'nothing',
}

/** Marks of what may be cached are understood. */
export const caches = (family: Family) => family === 'claude' || family === 'nova' || family === 'nova2'
/** A tool's result may say that it is an error. */
export const tellsErrors = caches

/** Mistral's models take ids of calls of this form only, and give such. */
export const isMistral = (model: string) => model.toLowerCase().includes('mistral.')
