import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openSandbox } from './sandbox.ts'
import { faultOf, job, outputOf } from './testing.ts'

const sandbox = await openSandbox({ workers: 2 })
after(() => sandbox.close())
const python = (code: string, input: unknown = {}, more: Parameters<typeof job>[2] = {}) =>
  [code, input, { language: 'python', timeout_ms: 10_000, ...more }] as const
const output = (...args: Parameters<typeof python>) => outputOf(sandbox, ...python(...args))
const fault = (...args: Parameters<typeof python>) => faultOf(sandbox, ...python(...args))
const logs = async (...args: Parameters<typeof python>) => (await sandbox.run(job(...python(...args)))).logs

test('a function is called with its input as named parameters and its result comes back', async () => {
  assert.deepEqual(await output('def main(a, b):\n    return {"sum": a + b}', { a: 1, b: 2 }), { sum: 3 })
  assert.equal(await output('def main(a, b=2, *, c=3, **rest): return a + b + c + len(rest)', { a: 1, d: 0 }), 7)
  assert.equal(
    await output('def greet(name): return f"Hello {name}"', { name: 'Zoë 🦉' }, { entry_point: 'greet' }),
    'Hello Zoë 🦉',
  )
  assert.equal(await output('main = lambda a: a * 2', { a: 21 }), 42)
  assert.match((await fault('def main(a): pass', { b: 1 })).message, /unexpected keyword argument 'b'/)
})

test('an input that is no object is the one argument, and no input is none', async () => {
  assert.deepEqual(await output('def main(items): return items[::-1]', [1, 2]), [2, 1])
  assert.equal(await output('def main(): pass', null), null)
})

test('whatever JSON can say comes through unchanged', async () => {
  const value = {
    text: 'a\u0000b\n"\\ é 漢 🦉 \ud800',
    numbers: [0, -0.5, 1e300, 5e-324, Number.MAX_SAFE_INTEGER],
    deep: [[[{ a: null }]]],
    yes: true,
  }
  assert.deepEqual(await output('def main(**all): return all', value), value)
  assert.equal(await output('def main(x): return len(x)', { x: 'é'.repeat(3e6) }), 3e6)
})

test('coroutines are awaited, beside each other', async () => {
  const code = `
import asyncio
async def later(x):
    await asyncio.sleep(0.02)
    return x
async def main(n):
    async with asyncio.timeout(5):
        return await asyncio.gather(*(later(i) for i in range(n)))`
  assert.deepEqual(await output(code, { n: 5 }), [0, 1, 2, 3, 4])
  assert.equal(await output('import asyncio\nasync def f(): return 7\ndef main(): return asyncio.run(f())'), 7)
})

test('the standard library is there', async () => {
  const code = `
import collections, csv, dataclasses, datetime, decimal, fractions, hashlib, io, itertools, re, statistics, zlib
import xml.etree.ElementTree as ET
@dataclasses.dataclass
class Point:
    x: int
    y: int = 2
def main():
    return [
        dataclasses.asdict(Point(1)), collections.Counter('abca')['a'], str(decimal.Decimal('0.1') * 3),
        datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC).isoformat(), hashlib.sha256(b'abc').hexdigest()[:8],
        re.sub(r'(?P<a>\\d+)', r'<\\g<a>>', 'a1'), list(csv.reader(io.StringIO('a,"b,c"')))[0],
        statistics.median([3, 1, 2]), str(fractions.Fraction(1, 3)), len(zlib.compress(b'a' * 1000)) < 30,
        ET.fromstring('<a><b>c</b></a>').find('b').text, list(itertools.pairwise('abc'))[1], 10 ** 40 % 97]`
  assert.deepEqual(await output(code), [
    { x: 1, y: 2 },
    2,
    '0.3',
    '2024-02-29T00:00:00+00:00',
    'ba7816bf',
    'a<1>',
    ['a', 'b,c'],
    2,
    '1/3',
    true,
    'c',
    ['b', 'c'],
    Number(10n ** 40n % 97n),
  ])
})

test('an error tells the line and column of its own source and the stack of its own code', async () => {
  const error = await fault('def inner():\n  None.foo\n\ndef main():\n  inner()')
  assert.equal(error.code, 'threw')
  assert.equal(error.message, "AttributeError: 'NoneType' object has no attribute 'foo'")
  assert.deepEqual([error.line, error.column], [2, 3])
  assert.equal(error.stack, 'at inner (main.py:2:3)\nat main (main.py:5:3)')

  const within = await fault(
    'import json\ndef main():\n  try:\n    1/0\n  except ZeroDivisionError as e:\n    raise ValueError("no") from e',
  )
  assert.equal(within.message, 'ValueError: no (cause: ZeroDivisionError: division by zero)')
  const library = await fault('import json\ndef main():\n    return json.loads("{")')
  assert.deepEqual([library.line, library.stack], [3, 'at main (main.py:3:12)'])

  const top = await fault('a = 1\nb = a.x\ndef main(): pass')
  assert.deepEqual([top.code, top.line], ['threw', 2])
})

test('code that does not parse is refused with its place', async () => {
  const missing = await fault('def main():\n  return 1 +\n')
  assert.deepEqual(
    [missing.code, missing.message, missing.line, missing.column],
    ['syntax', 'SyntaxError: invalid syntax', 2, 13],
  )
  assert.equal((await fault('def main():\n\tif 1:\n        pass')).code, 'syntax')
  assert.equal((await fault('def main(): pass\u0000')).code, 'syntax')
  assert.equal((await fault('def main(): return int("x", 99)')).code, 'threw')
})

test('a missing entry point is named, with what there is', async () => {
  assert.match(
    (await fault('def run(): pass\ndef other(): pass')).message,
    /no function "main"\. It defines run, other\./,
  )
  assert.match((await fault('import math')).message, /It defines none/)
  assert.match((await fault('main = 7')).message, /"main" is no function but int/)
})

test('each function of a module can be the entry point', async () => {
  const code = 'def one(): return 1\ndef two(): return 2'
  for (let i = 0; i < 2; i++) {
    assert.equal(await output(code, {}, { entry_point: 'one' }), 1)
    assert.equal(await output(code, {}, { entry_point: 'two' }), 2)
  }
})

test('a module that is not there is refused with its line', async () => {
  const refused = await fault('# reads\n\nimport requests\ndef main(): pass')
  assert.deepEqual([refused.code, refused.line], ['import_refused', 3])
  assert.match(refused.message, /requests/)
})

test('code can be checked without being called', async () => {
  assert.equal(await sandbox.check('def main(): raise ValueError', 'python', 'main'), undefined)
  assert.equal((await sandbox.check('def main(', 'python', 'main'))?.code, 'syntax')
  assert.equal((await sandbox.check('a = 1', 'python', 'main'))?.code, 'no_entry_point')
  assert.equal((await sandbox.check('import ctypes\ndef main(): pass', 'python', 'main'))?.code, 'import_refused')
})

test('a result that is not JSON is refused with the reason', async () => {
  const refusals = {
    'return {1, 2}': /type set/,
    'return b"a"': /type bytes/,
    'return float("nan")': /Out of range float/,
    'return [float("inf")]': /Out of range float/,
    'a = []; a.append(a); return a': /Circular reference/,
    'return {(1, 2): 3}': /keys must be/,
    'return lambda: 1': /type function/,
    'return {"id": 2 ** 60}': /integer 1152921504606846976, .* Return it as text/,
  }
  for (const [body, reason] of Object.entries(refusals)) {
    const { code, message } = await fault(`def main(): ${body}`)
    assert.equal(code, 'not_json', body)
    assert.match(message, reason)
  }
  assert.deepEqual(await output('def main(): return [str(2**60), 2.0**60, "a\\"" + "9" * 20]'), [
    '1152921504606846976',
    2 ** 60,
    `a"${'9'.repeat(20)}`,
  ])
})

test('what is printed and logged comes back in order, with its level', async () => {
  const code = `
import logging, sys
def main():
    print('a', 1, end=' ')
    print('b')
    logging.warning('w %s', 2)
    logging.getLogger('mine').info('i')
    print('e', file=sys.stderr)
    print('unfinished', end='')`
  assert.deepEqual(
    (await logs(code)).map(({ level, message }) => [level, message]),
    [
      ['info', 'a 1 b'],
      ['warn', 'w 2'],
      ['info', 'i'],
      ['error', 'e'],
      ['info', 'unfinished'],
    ],
  )
})

test('a log that is too long is cut and says so, and what was printed before an error is kept', async () => {
  const long = await logs('def main():\n  for i in range(10000): print("x" * 100)')
  assert.match(long.at(-1)?.message ?? '', /log is full/)
  assert.ok(long.reduce((sum, { message }) => sum + message.length, 0) <= 256 * 1024)

  const ended = await logs('def main():\n  print("before")\n  while True: pass', {}, { timeout_ms: 200 })
  assert.equal(ended[0]?.message, 'before')
})

test('the host is called with what the guest says and answers in its own time', async () => {
  const asked: unknown[] = []
  const host = async (method: string, args: unknown) => {
    asked.push([method, args])
    if (method === 'fail') throw new Error('There is no such secret.')
    return method === 'echo' ? args : undefined
  }
  const plain = `
def main():
    try: flow.call('fail', 1)
    except flow.Error as error: return [flow.call('echo', {'a': 'é'}), flow.call('nothing'), str(error)]`
  assert.deepEqual(await output(plain, {}, { host }), [{ a: 'é' }, null, 'There is no such secret.'])
  assert.deepEqual(asked, [
    ['fail', 1],
    ['echo', { a: 'é' }],
    ['nothing', null],
  ])

  const async = `
import asyncio, flow
async def main():
    both = await asyncio.gather(flow.call('echo', 1), flow.call('echo', 2))
    try: await flow.call('fail')
    except flow.Error as error: return [*both, str(error)]`
  assert.deepEqual(await output(async, {}, { host }), [1, 2, 'There is no such secret.'])
})

test('calls to the host are refused without one, before the run, and beyond the quota', async () => {
  assert.match((await fault('def main(): return flow.call("x")')).message, /no host to call/)
  const host = async () => 1
  assert.match(
    (await fault('flow.call("x")\ndef main(): pass', {}, { host })).message,
    /only while the entry point runs/,
  )

  let calls = 0
  const counting = async () => ++calls
  assert.match(
    (await fault('def main():\n  while True: flow.call("x")', {}, { host: counting })).message,
    /too many calls/,
  )
  assert.equal(calls, 1000)
})

test('runs that wait in the middle of plain code leave the workers to others', async () => {
  const waiting: ((value: number) => void)[] = []
  const host = () => new Promise<number>((resolve) => waiting.push(resolve))
  const ask = 'def main(x):\n  import time\n  time.sleep(0.01)\n  return [flow.call("ask"), x]'
  const asks = Array.from({ length: 6 }, (_, x) => output(ask, { x }, { host, timeout_ms: 60_000 }))
  while (waiting.length < 6) await sleep(5)
  assert.equal(await output('def main(): return 1', {}, { tenant: 'bob' }), 1)

  for (const [x, resolve] of waiting.entries()) resolve(x)
  assert.equal(new Set((await Promise.all(asks)).flat()).size, 6)
})

test('a module begins anew with every call, and so do chance and time', async () => {
  const code = `
import random, time, uuid
calls = 0
seen = []
top = random.random()
def main(x):
    global calls
    calls += 1
    seen.append(x)
    return [calls, seen, random.random(), str(uuid.uuid4()), time.time(), top]`
  const results = []
  for (let x = 0; x < 5; x++) results.push((await output(code, { x })) as unknown[])
  for (const [x, result] of results.entries()) assert.deepEqual(result.slice(0, 2), [1, [x]])
  for (const column of [2, 3, 4]) assert.equal(new Set(results.map((result) => result[column])).size, 5)
  assert.ok(Math.abs(Number(results[4]?.[4]) * 1000 - Date.now()) < 60_000)

  const looking = 'import time, secrets\ntop = [time.time_ns() % 10**9, secrets.token_hex()]\ndef main(): return top'
  assert.notDeepEqual(await output(looking), await output(looking))
})

test('what one tenant poisons the next does not find', async () => {
  const poison = `
import builtins, sys, json, os, types
def main():
    builtins.left = 'a secret'
    builtins.len = lambda _: 'poisoned'
    json.loads = lambda *_: {'forged': True}
    json.dumps = lambda *_, **__: '"forged"'
    sys.modules['math'] = types.ModuleType('math')
    sys.path.insert(0, '/poisoned')
    sys.meta_path.clear()
    os.environ['LEFT'] = '1'
    import __main__
    __main__.call = __main__.load = None
    with open('/usr/local/lib/python312.zip', 'r+b') as library: library.write(bytes(10**6))
    keep = bytearray(b'A' * 3000000)
    builtins.keep = keep`
  const look = `
import builtins, sys, math, json, os
def main(x):
    import colorsys
    return [hasattr(builtins, 'left'), len('ab'), json.loads('[2]'), math.floor(2.5), len(sys.meta_path), dict(os.environ), x]`
  await output(look, { x: 0 })
  const rounds = Array.from({ length: 400 }, (_, x) =>
    x % 2 === 0
      ? sandbox.run(job(...python(poison, {}, { tenant: 'mallory', timeout_ms: 60_000 })))
      : output(look, { x }, { tenant: `victim-${x % 5}`, timeout_ms: 60_000 }).then((seen) =>
          assert.deepEqual(seen, [false, 2, [2], 2, 3, {}, x]),
        ),
  )
  await Promise.all(rounds)
})

test('memory beyond the limit ends a run, and less does not', async () => {
  const code = 'def main(mb):\n  kept = [bytes(1 << 20) for _ in range(mb)]\n  return len(kept)'
  assert.equal(await output(code, { mb: 40 }, { memory_mb: 64 }), 40)
  assert.equal((await fault(code, { mb: 80 }, { memory_mb: 64 })).code, 'out_of_memory')
  assert.equal(await output(code, { mb: 80 }, { memory_mb: 128 }), 80)
})

test('a loop is ended at its deadline in place, without losing the worker', async () => {
  const { lost } = sandbox.stats()
  for (const body of ['while True: pass', 'return sum(range(10**12))', 'return 9**9**9', 'return hash((1,) * 10**9)']) {
    const { code } = await fault(`def main():\n  ${body}`, {}, { timeout_ms: 300, memory_mb: 512 })
    assert.ok(code === 'timeout' || code === 'out_of_memory', body)
  }
  assert.equal(sandbox.stats().lost, lost)
})

test('a run is cancelled while it computes, sleeps and waits for the host', async () => {
  const host = () => new Promise(() => {})
  for (const body of ['while True: pass', '__import__("time").sleep(60)', 'flow.call("ask")']) {
    const over = new AbortController()
    const run = fault(`def main():\n  ${body}`, {}, { signal: over.signal, host, timeout_ms: 60_000 })
    setTimeout(() => over.abort(), 100)
    assert.equal((await run).code, 'cancelled', body)
  }
  assert.equal(await output('def main(): return 1'), 1)
})

test('a worker that is killed takes no run with it that had no effect yet, and doubles none that had', async () => {
  const sandbox = await openSandbox({ workers: 2 })
  const slow = 'def main(x):\n  for _ in range(300000): pass\n  return x'
  const runs = Array.from({ length: 12 }, (_, x) => outputOf(sandbox, ...python(slow, { x }, { timeout_ms: 60_000 })))
  while (!sandbox.stats().workers.some(({ runs, boot_ms }) => runs > 0 && boot_ms !== undefined)) await sleep(5)
  const kill = () => {
    for (const { pid } of sandbox.stats().workers) process.kill(pid ?? 0, 'SIGKILL')
  }
  kill()
  assert.deepEqual(
    await Promise.all(runs),
    Array.from({ length: 12 }, (_, x) => x),
  )

  let calls = 0
  const host = async () => {
    calls++
    kill()
  }
  const { code } = await faultOf(sandbox, ...python('def main(): flow.call("once")', {}, { host }))
  assert.deepEqual([code, calls], ['crashed', 1])
  await sandbox.close()
})

test('no worker for Python is started before somebody asks for it', async () => {
  const idle = await openSandbox({ workers: 2 })
  await outputOf(idle, 'export const main = () => 1')
  assert.equal(idle.stats().workers.length, 1)
  assert.equal(await outputOf(idle, ...python('def main(): return 1')), 1)
  assert.equal(idle.stats().workers.length, 2)
  await idle.close()
})
