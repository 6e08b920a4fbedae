// Globals of the web that the engine's extensions leave out or leave unfinished. Plain code for guests, with no access
// to anything else: evaluated in the bare machine, once, before the prelude.
;(() => {
  // The engine's own generator lives in the memory that every call begins with: it would give each call the same
  // numbers. This one takes its seed from the host on first use.
  const { getRandomValues } = crypto
  const Seed = Uint32Array
  const fresh = getRandomValues.bind(crypto)
  let state
  Object.defineProperty(Math, 'random', {
    value: function random() {
      state ??= fresh(new Seed(4))
      // sfc32, Chris Doty-Humphrey's small fast counting generator.
      const high = sfc32() >>> 5
      return (high * 67108864 + (sfc32() >>> 6)) / 9007199254740992
    },
    writable: true,
    configurable: true,
    enumerable: false,
  })
  const sfc32 = () => {
    const sum = (state[0] + state[1] + state[3]) | 0
    state[3] = state[3] + 1
    state[0] = state[1] ^ (state[1] >>> 9)
    state[1] = state[2] + (state[2] << 3)
    state[2] = ((state[2] << 21) | (state[2] >>> 11)) + sum
    return sum >>> 0
  }

  const NativeSearchParams = URLSearchParams
  const update = Symbol('update')

  class URLSearchParams_ extends NativeSearchParams {
    constructor(init = '') {
      if (init === null || typeof init !== 'object') {
        super(String(init))
        return
      }
      super('')
      const pairs = typeof init[Symbol.iterator] === 'function' ? init : Object.entries(init)
      for (const pair of pairs) {
        const [name, value, ...more] = pair
        if (value === undefined || more.length > 0) throw new TypeError('Each query pair is a name and a value.')
        super.append(String(name), String(value))
      }
    }
    append(...args) {
      super.append(...args)
      this[update]?.()
    }
    set(...args) {
      super.set(...args)
      this[update]?.()
    }
    delete(...args) {
      super.delete(...args)
      this[update]?.()
    }
    sort() {
      super.sort()
      this[update]?.()
    }
    *entries() {
      yield* super.entries()
    }
    *keys() {
      yield* super.keys()
    }
    *values() {
      yield* super.values()
    }
    [Symbol.iterator]() {
      return this.entries()
    }
    get [Symbol.toStringTag]() {
      return 'URLSearchParams'
    }
  }
  Object.defineProperty(URLSearchParams_, 'name', { value: 'URLSearchParams' })
  Object.defineProperty(globalThis, 'URLSearchParams', {
    value: URLSearchParams_,
    writable: true,
    configurable: true,
    enumerable: false,
  })

  const paramsByUrl = new WeakMap()
  Object.defineProperty(URL.prototype, 'searchParams', {
    get() {
      const known = paramsByUrl.get(this)
      if (known && known.search === this.search) return known.params
      const params = new URLSearchParams_(this.search)
      const entry = { params, search: this.search }
      params[update] = () => {
        this.search = params.toString()
        entry.search = this.search
      }
      paramsByUrl.set(this, entry)
      return params
    },
    configurable: true,
    enumerable: true,
  })
  Object.defineProperty(URL.prototype, Symbol.toStringTag, { value: 'URL', configurable: true })
})()
