/** Markup for the page that the server draws itself: values are escaped, and the frame allows its own style and nothing
 *  else: no script, no picture, no frame around it, no form to another site. */

import { hash } from 'node:crypto'

/** Text that is markup. Only `html` makes it. */
export class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escaped = (text: string) => text.replace(/[&<>"']/g, (character) => entities[character] ?? '')

/** Markup with values in it: text is escaped, markup stays. */
export function html(parts: TemplateStringsArray, ...values: (string | Markup)[]): Markup {
  const texts = values.map((value) => (value instanceof Markup ? value.text : escaped(value)))
  return new Markup(parts.reduce((all, part, i) => `${all}${texts[i - 1] ?? ''}${part}`))
}

const style = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:10vh auto;padding:0 1rem}
label{display:block;margin:1rem 0}input{display:block;width:100%;box-sizing:border-box;font:inherit;padding:.5rem;margin-top:.25rem}
button,.button{font:inherit;padding:.5rem 1rem;margin:.5rem .5rem 0 0;border:1px solid #1d4ed8;border-radius:.375rem;background:#1d4ed8;
color:#fff;cursor:pointer;text-decoration:none;display:inline-block}.quiet{background:none;color:inherit;border-color:currentColor}
.code{font:700 1.75rem ui-monospace,monospace;letter-spacing:.1em}[role=alert]{border-left:4px solid #b91c1c;padding-left:.75rem}`

const contentPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${hash('sha256', style, 'base64')}'`,
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ')

/** The answer with a title above what it shows. */
export function page(
  title: string,
  drawn: Markup | { body: Markup; headers: Record<string, string> },
  status = 200,
): Response {
  const { body, headers } = drawn instanceof Markup ? { body: drawn, headers: {} } : drawn
  const text = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(title)} · Flow</title><style>${style}</style></head>
<body><main><h1>${escaped(title)}</h1>${body.text}</main></body></html>`
  return new Response(text, {
    status,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': contentPolicy,
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      ...headers,
    },
  })
}
