/** The contract for people and tools: the OpenAPI document, and a page to browse it and try it. */

import { readFile } from 'node:fs/promises'
import openapi from '@flow/contract/openapi.json' with { type: 'json' }
import type { Hono } from 'hono'

const files: Record<string, string> = {
  'swagger-ui.css': 'text/css',
  'swagger-ui-bundle.js': 'text/javascript',
  'favicon-32x32.png': 'image/png',
}

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Flow API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`
const start = `SwaggerUIBundle({ url: '/api/v1/openapi.json', dom_id: '#docs', deepLinking: true, filter: true })\n`

/** The page's own scripts and the API, nothing else; the browser's styles are set from script. */
const policy = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"

export function mountDocs(app: Hono): void {
  const text = JSON.stringify(openapi)
  app.get('/api/v1/openapi.json', (c) => c.body(text, 200, { 'content-type': 'application/json' }))
  app.get('/docs', (c) => c.html(page, 200, { 'content-security-policy': policy }))
  app.get('/docs/start.js', (c) => c.body(start, 200, { 'content-type': 'text/javascript' }))
  app.get('/docs/:file', async (c) => {
    const type = files[c.req.param('file')]
    if (!type) return c.notFound()
    return c.body(await readFile(new URL(import.meta.resolve(`swagger-ui-dist/${c.req.param('file')}`))), 200, {
      'content-type': type,
    })
  })
}
