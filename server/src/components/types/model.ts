/** Models are settings for calls that the gateway makes. */

import type { FieldError } from '@flow/contract/common'
import type { ModelConfig } from '@flow/contract/components/model'
import type { Kind } from './kind.ts'

/** What `parameters` could say a second time. */
const said = new Set(['model', 'temperature', 'max_tokens', 'top_p', 'stream', 'streaming', 'messages', 'input'])

export const model: Kind<ModelConfig> = {
  faults({ model, provider, parameters, fallbacks }) {
    const faults: FieldError[] = []
    const [first] = model.split('/')
    if (provider !== undefined && provider !== first) {
      const message = `It must be "${first}", as "model" has it; or leave it out.`
      faults.push({ field: 'config.provider', message })
    }
    for (const name of Object.keys(parameters)) {
      if (!said.has(name)) continue
      faults.push({
        field: `config.parameters.${name}`,
        message: 'This is not a parameter of its own; leave it out here.',
      })
    }
    for (const [i, fallback] of fallbacks.entries()) {
      const isTwice = fallback === model || fallbacks.indexOf(fallback) < i
      if (isTwice) faults.push({ field: `config.fallbacks[${i}]`, message: 'It is asked already before this.' })
    }
    return faults
  },
  cannotRun: () => 'Models can be kept and published, but not called: this platform has no gateway to them.',
}
