// The guest's side of the wall: evaluated inside the machine before anybody's code, kept in every template. It gives
// the few globals QuickJS lacks and the functions the worker calls; what it returns is never reachable from a guest's
// code. Nothing here protects the host, which believes no word of it: whoever breaks out of these functions has gained
// the right to send the messages they send.
//
// The worker lends `__call`, `__sleep`, `__print` and `__end`; they are taken off the global object at once.
;(() => {
  const { __call: hostCall, __sleep: hostSleep, __print: hostPrint, __end: hostEnd } = globalThis
  for (const name of ['__call', '__sleep', '__print', '__end', 'performance', 'SharedArrayBuffer'])
    delete globalThis[name]

  const { stringify, parse } = JSON
  const { apply, ownKeys, getOwnPropertyDescriptor, getPrototypeOf } = Reflect
  const { isArray } = Array
  const { max } = Math
  const NativeError = Error
  const NativeMap = Map
  const NativePromise = Promise
  const NativeInternalError = InternalError
  const NativeRangeError = RangeError
  const text = String
  const slice = (string, length) => apply(text.prototype.slice, string, [0, length])
  const isOneOf = (value, kind) => {
    for (let at = value; at !== null && typeof at === 'object'; at = getPrototypeOf(at)) {
      if (at === kind.prototype) return true
    }
    return false
  }
  const define = (name, value) =>
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false })

  // ---- what a run is

  let namespace
  let isRunning = false

  /** The kinds the engine itself throws, told by class and by the engine's own words. */
  const kindOf = (error) => {
    const message = text(error.message)
    if (isOneOf(error, NativeRangeError) && message === 'Maximum call stack size exceeded') return 'stack_overflow'
    if (isOneOf(error, NativeInternalError) && message === 'out of memory') return 'out_of_memory'
    return 'threw'
  }

  const describe = (error) => {
    const told = { __proto__: null, kind: 'threw', message: 'It threw something that cannot be read.', stack: '' }
    try {
      if (error === null || typeof error !== 'object') {
        const shown = show(error, 0)
        told.message = slice(typeof error === 'string' ? shown : `It threw ${shown}.`, 2048)
        return stringify(told)
      }
      told.kind = kindOf(error)
      const { name, message, stack, cause } = error
      const said = message === undefined || message === '' ? '' : text(message)
      const title = name === undefined ? 'Error' : text(name)
      if (said !== '') told.message = slice(`${title}: ${said}`, 2048)
      else told.message = slice(isOneOf(error, NativeError) ? title : `It threw ${show(error, 0)}.`, 2048)
      if (typeof stack === 'string') told.stack = slice(stack, 8192)
      if (cause !== undefined && cause !== null)
        told.message += slice(` (cause: ${cause.message ?? show(cause, 0)})`, 512)
    } catch {}
    return stringify(told)
  }

  const end = (kind, value) => {
    isRunning = false
    hostEnd(kind, value)
  }

  /** Takes the evaluated module. Answers with what it exports when the entry point is no function of it. */
  const adopt = (evaluated, entryPoint) => {
    namespace = evaluated
    if (typeof namespace[entryPoint] === 'function') return ''
    const exports = ownKeys(namespace).filter((key) => typeof key === 'string')
    return stringify({ found: typeof namespace[entryPoint], exports })
  }

  const run = async (entryPoint, input) => {
    isRunning = true
    let result
    try {
      const main = namespace[entryPoint]
      result = await main(parse(input))
    } catch (error) {
      return end('threw', describe(error))
    }
    try {
      if (result === undefined) result = null
      const output = stringify(result)
      if (output === undefined)
        return end('not_json', typeof result === 'function' ? 'a function' : `a ${typeof result}`)
      end('value', output)
    } catch (error) {
      const told = parse(describe(error))
      end(told.kind === 'threw' ? 'not_json' : 'threw', told.kind === 'threw' ? told.message : stringify(told))
    }
  }

  // ---- calls that the host answers later

  class FlowError extends NativeError {
    constructor({ code, message, details }) {
      super(message)
      this.code = code
      this.details = details ?? []
    }
    get name() {
      return 'FlowError'
    }
  }

  /** By the number the worker answers. */
  const refusals = [
    undefined,
    { code: 'UNAVAILABLE', message: 'This code has no host to call.' },
    { code: 'RATE_LIMITED', message: 'This run has made too many calls to the host or set too many timers.' },
    { code: 'PAYLOAD_TOO_LARGE', message: 'The argument is too large for a call to the host.' },
  ]
  const waiting = new NativeMap()
  const waitingGet = (id) => apply(NativeMap.prototype.get, waiting, [id])
  const waitingSet = (id, entry) => apply(NativeMap.prototype.set, waiting, [id, entry])
  const waitingDelete = (id) => apply(NativeMap.prototype.delete, waiting, [id])
  let lastId = 0

  const call = (method, args) =>
    new NativePromise((resolve, reject) => {
      if (!isRunning)
        throw new FlowError({
          code: 'UNAVAILABLE',
          message: 'The host answers only while the entry point runs, not while the module loads.',
        })
      const id = ++lastId
      const refusal = hostCall(id, text(method), stringify(args ?? null) ?? 'null')
      if (refusal !== 0) throw new FlowError(refusals[refusal])
      waitingSet(id, { resolve, reject })
    })

  const answer = (id, isGood, value) => {
    const entry = waitingGet(id)
    if (!entry) return
    waitingDelete(id)
    if (entry.due) return entry.due()
    if (isGood) return entry.resolve(parse(value))
    entry.reject(new FlowError(parse(value)))
  }

  // ---- fetch, of the hosts that the block lists

  class Headers {
    #pairs = []
    constructor(init) {
      for (const [name, value] of init?.[Symbol.iterator] ? init : Object.entries(init ?? {})) this.append(name, value)
    }
    append(name, value) {
      this.#pairs.push([text(name).toLowerCase(), text(value)])
    }
    get(name) {
      const values = this.#pairs.filter(([known]) => known === text(name).toLowerCase()).map(([, value]) => value)
      return values.length > 0 ? values.join(', ') : null
    }
    has(name) {
      return this.get(name) !== null
    }
    *[Symbol.iterator]() {
      yield* this.#pairs
    }
    entries() {
      return this[Symbol.iterator]()
    }
    forEach(action) {
      for (const [name, value] of this.#pairs) action(value, name, this)
    }
  }

  const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))

  class Response {
    #told
    constructor(told) {
      this.#told = told
      this.url = told.url
      this.status = told.status
      this.statusText = told.status_text
      this.ok = told.status >= 200 && told.status < 300
      this.headers = new Headers(told.headers)
    }
    async bytes() {
      const { text: plain, base64 } = this.#told
      return plain === undefined ? bytesOf(base64) : new TextEncoder().encode(plain)
    }
    async arrayBuffer() {
      return (await this.bytes()).buffer
    }
    async text() {
      return this.#told.text ?? new TextDecoder().decode(await this.bytes())
    }
    async json() {
      return parse(await this.text())
    }
  }

  const bodyOf = (body) => {
    if (body === undefined || body === null) return {}
    if (typeof body === 'string') return { text: body }
    if (body instanceof URLSearchParams) return { text: text(body) }
    const bytes = body instanceof ArrayBuffer ? new Uint8Array(body) : body
    if (!ArrayBuffer.isView(bytes)) throw new TypeError('A body is text, bytes or URLSearchParams.')
    let binary = ''
    for (const byte of new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
      binary += text.fromCharCode(byte)
    return { base64: btoa(binary) }
  }

  const fetch = async (url, { method = 'GET', headers, body } = {}) => {
    const pairs = [...new Headers(headers)]
    if (body instanceof URLSearchParams && !pairs.some(([name]) => name === 'content-type'))
      pairs.push(['content-type', 'application/x-www-form-urlencoded;charset=UTF-8'])
    return new Response(await call('fetch', { url: text(url), method, headers: pairs, ...bodyOf(body) }))
  }
  define('fetch', fetch)

  // ---- operations of the platform, by name; which there are is the host's to say

  const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  const namespace_ = (name) =>
    new Proxy(Object.freeze({ __proto__: null }), {
      get(_, method) {
        // Whoever awaits or prints a namespace does not call it.
        if (typeof method !== 'string' || method === 'then' || method === 'toJSON') return undefined
        return (input = {}, options = {}) => call(`${name}.${snake(method)}`, { ...input, ...options })
      },
    })
  const namespaces = [
    'agents',
    'codeBlocks',
    'connectorInstances',
    'datasets',
    'gateway',
    'metrics',
    'secrets',
    'services',
    'state',
    'storage',
    'vectorIndexes',
    'workflows',
  ]
  const named = namespaces.map((name) => [name, namespace_(snake(name))])
  const flow = { __proto__: null, call, fetch, Error: FlowError, ...Object.fromEntries(named) }
  define('flow', Object.freeze(flow))

  define('setTimeout', (action, ms = 0, ...args) => {
    if (typeof action !== 'function') throw new TypeError('setTimeout takes a function.')
    if (!isRunning) throw new NativeError('Timers run only while the entry point runs, not while the module loads.')
    const id = ++lastId
    const delay = Number(ms)
    const refusal = hostSleep(id, max(0, delay || 0))
    if (refusal !== 0) throw new FlowError(refusals[refusal])
    const due = () => {
      try {
        apply(action, undefined, args)
      } catch (error) {
        end('threw', describe(error))
      }
    }
    waitingSet(id, { due })
    return id
  })
  define('clearTimeout', (id) => {
    if (waitingGet(id)?.due) waitingDelete(id)
  })

  // ---- console

  const show = (value, depth) => {
    if (typeof value === 'string') return depth === 0 ? value : stringify(slice(value, 4096))
    if (typeof value === 'bigint') return `${value}n`
    if (typeof value === 'function') return `[function ${value.name || '(anonymous)'}]`
    if (typeof value === 'symbol') return value.toString()
    if (value === null || typeof value !== 'object') return text(value)
    if (isOneOf(value, NativeError)) return value.stack ? `${value}\n${value.stack}` : `${value}`
    if (value instanceof Date) return value.toJSON() ?? 'Invalid Date'
    if (value instanceof RegExp) return `${value}`
    if (depth > 3) return isArray(value) ? '[…]' : '{…}'
    if (value instanceof Map) return `Map(${value.size}) ${show(Object.fromEntries(value), depth)}`
    if (value instanceof Set) return `Set(${value.size}) ${show([...value], depth)}`
    const isList = isArray(value) || ArrayBuffer.isView(value)
    const keys = isList ? undefined : Object.keys(value)
    const count = isList ? value.length : keys.length
    const parts = []
    for (let i = 0; i < count && i < 100; i++) {
      if (isList) parts.push(show(value[i], depth + 1))
      else {
        const property = getOwnPropertyDescriptor(value, keys[i])
        parts.push(`${keys[i]}: ${property?.get ? '[getter]' : show(property?.value, depth + 1)}`)
      }
    }
    if (count > 100) parts.push(`… ${count - 100} more`)
    return isList ? `[${parts.join(', ')}]` : `{ ${parts.join(', ')} }`
  }

  let isLogFull = false
  const print = (level, args) => {
    if (isLogFull) return
    let line = ''
    for (let i = 0; i < args.length && line.length < 16384; i++) {
      if (i > 0) line += ' '
      try {
        line += slice(show(args[i], 0), 16384)
      } catch {
        line += '(a value that cannot be shown)'
      }
    }
    isLogFull = hostPrint(level, slice(line, 16385)) !== 0
  }
  const console = { __proto__: {} }
  for (const level of ['debug', 'info', 'warn', 'error']) console[level] = (...args) => print(level, args)
  for (const name of ['log', 'dir', 'table']) console[name] = (...args) => print('info', args)
  console.trace = (...args) => print('debug', [...args, new NativeError('').stack])
  console.assert = (condition, ...args) => {
    if (!condition) print('error', ['Assertion failed:', ...args])
  }
  define('console', console)

  return { adopt, run, answer, describe }
})()
