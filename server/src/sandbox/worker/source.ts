/** Source text as the engine takes it. Types are blanked out, not compiled away, so every line and column stays where
 *  its author wrote it. */

import { stripTypeScriptTypes } from 'node:module'
import { limits } from '../limits.ts'
import type { Fault, Language } from '../verdict.ts'

export type Source = { text: string; filename: string } | { refused: Fault; isSpoiled?: boolean }

export function readSource(code: string, language: Language): Source {
  const most = limits[`${language}_source`]
  if (code.length > most) {
    const message = `The source has ${code.length} characters; ${language} takes at most ${most}.`
    return { refused: { code: 'source_too_large', message } }
  }
  if (language === 'javascript') return { text: code, filename: 'main.js' }
  if (language === 'python') return { text: code, filename: 'main.py' }

  try {
    return { text: stripTypeScriptTypes(code), filename: 'main.ts' }
  } catch (error) {
    return refusalOf(error)
  }
}

function refusalOf(error: unknown): Source {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const isUnsupported = code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX'
  if (!(error instanceof Error) || !(isUnsupported || code === 'ERR_INVALID_TYPESCRIPT_SYNTAX')) {
    // The stripper has run out of its own stack, as it does on thousands of nested brackets, and stays broken.
    return { refused: { code: 'syntax', message: 'The source is nested too deeply to be read.' }, isSpoiled: true }
  }
  const [line, column] = placeOf(error)
  const said = error.message.slice(0, limits.error_message)
  if (!isUnsupported) return { refused: { code: 'syntax', message: `SyntaxError: ${said}`, line, column } }
  const message = `${said}: types can be taken away, but this would have to be compiled. Write it as plain JavaScript.`
  return { refused: { code: 'syntax', message, line, column } }
}

/** The stripper tells the place only in a drawing of it: `:3`, some lines, and carets under the column. */
function placeOf(error: Error): [number | undefined, number | undefined] {
  const [head = '', ...drawing] = (error.stack ?? '').split('\n', 50)
  const line = /^:(\d+)$/.exec(head)?.[1]
  const carets = drawing.find((text) => /^[ \t]*\^+$/.test(text))
  return [line === undefined ? undefined : Number(line), carets === undefined ? undefined : carets.indexOf('^') + 1]
}
