/** Programs in Python that mean harm: loops in the interpreter and in its C, bombs, ways out, forgeries. */

import type { Hostile } from './hostile.ts'

const def = (...lines: string[]) => `def main(**_):\n${lines.map((line) => `  ${line}`).join('\n')}\n`
const after = (head: string, ...lines: string[]) => `${head}\n${def(...lines)}`
const asyncDef = (...lines: string[]) => `import asyncio\nasync ${def(...lines)}`

type Program = Omit<Hostile, 'language'>

const loops: Program[] = [
  { does: 'loops for ever', code: def('while True: pass'), ends: ['timeout'] },
  { does: 'loops for ever at the top level', code: after('while True: pass', 'return 1'), ends: ['timeout'] },
  {
    does: 'catches its own end and goes on',
    code: def('while True:', '  try:', '    while True: pass', '  except BaseException: pass'),
    ends: ['timeout'],
  },
  { does: 'raises a number to a tower of powers', code: def('return len(str(9**9**9))'), ends: ['timeout'] },
  {
    does: 'takes the factorial of a million',
    code: after('import math', 'return math.factorial(10**7)'),
    ends: ['timeout'],
  },
  { does: 'sums up a trillion numbers', code: def('return sum(range(10**12))'), ends: ['timeout'] },
  {
    does: 'looks for what is not in an endless iterator',
    code: after('import itertools', 'return 1 in itertools.repeat(0)'),
    ends: ['timeout'],
  },
  {
    does: 'drains an endless iterator within C',
    code: after('import itertools, collections', 'collections.deque(itertools.count(), maxlen=0)'),
    ends: ['timeout'],
  },
  {
    does: 'matches a hopeless regular expression',
    code: after('import re', 'return bool(re.match(r"(a+)+$", "a" * 64 + "b"))'),
    ends: ['timeout'],
  },
  {
    does: 'hashes without end',
    code: after('import hashlib', 'while True: hashlib.sha512(bytes(10**7))'),
    ends: ['timeout'],
  },
  {
    does: 'raises a decimal to a huge power',
    code: after(
      'import decimal',
      'decimal.getcontext().prec = 10**6',
      'return str(decimal.Decimal(3) ** 10**8 + decimal.Decimal(2).sqrt())',
    ),
    ends: ['timeout', 'out_of_memory', 'threw'],
  },
  {
    does: 'sorts by a key that never comes',
    code: def('return sorted([2, 1], key=lambda _: [0 for _ in iter(int, 1)])'),
    ends: ['timeout'],
  },
  {
    does: 'hashes itself for ever',
    code: after('class A:\n  def __hash__(self):\n    while True: pass', 'return {A(): 1}'),
    ends: ['timeout'],
  },
  {
    does: 'loops in the words of its error',
    code: after('class E(Exception):\n  def __str__(self):\n    while True: pass', 'raise E'),
    ends: ['timeout'],
  },
  {
    does: 'loops in a finalizer',
    code: after('class A:\n  def __del__(self):\n    while True: pass', 'a = A()', 'del a', 'return 1'),
    ends: ['timeout'],
  },
  { does: 'loops in coroutines', code: asyncDef('while True: await asyncio.sleep(0)'), ends: ['timeout'] },
  {
    does: 'shields itself from being cancelled',
    code: asyncDef('while True:', '  try: await asyncio.sleep(1e9)', '  except BaseException: pass'),
    ends: ['timeout'],
  },
  {
    does: 'traces its own lines without end',
    code: after(
      'import sys\ndef trace(*_):\n  while True: pass',
      'sys.settrace(trace)',
      'len("")',
      'return (lambda: 1)()',
    ),
    ends: ['timeout'],
  },
  {
    does: 'leaves a loop for the collector of garbage',
    code: after(
      'import gc\nclass A:\n  def __del__(self):\n    while True: pass',
      'a = A()',
      'a.a = a',
      'del a',
      'gc.collect()',
    ),
    ends: ['timeout'],
  },
]

const bombs: Program[] = [
  { does: 'keeps bytes', code: def('a = []', 'while True: a.append(bytes(10**6))'), ends: ['out_of_memory'] },
  { does: 'asks for one huge array', code: def('return len(bytearray(2**31 - 2))'), ends: ['out_of_memory'] },
  { does: 'repeats a list a billion times', code: def('return len([0] * 2**29)'), ends: ['out_of_memory'] },
  { does: 'doubles a string', code: def('s = "x"', 'while True: s += s'), ends: ['out_of_memory', 'threw'] },
  { does: 'formats a number a billion wide', code: def('return len("%1000000000d" % 1)'), ends: ['out_of_memory'] },
  {
    does: 'fills a dictionary',
    code: def('d = {}', 'i = 0', 'while True:', '  d[i] = str(i)', '  i += 1'),
    ends: ['out_of_memory', 'timeout'],
  },
  {
    does: 'catches its lack of memory and asks again',
    code: def(
      'a = []',
      'while True:',
      '  try:',
      '    while True: a.append(bytes(10**5))',
      '  except MemoryError: pass',
    ),
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'unpacks a bomb',
    code: after(
      'import zlib',
      'b = zlib.compress(bytes(10**6))',
      'c = b""',
      'return len(zlib.decompress(zlib.compress(bytes(25 * 10**6))) * 9)',
    ),
    ends: ['out_of_memory', 'timeout'],
  },
  { does: 'shifts a bit too far', code: def('return 1 << 2**36'), ends: ['out_of_memory', 'threw'] },
  {
    does: 'collects an endless iterator',
    code: after('import itertools', 'return list(itertools.count())'),
    ends: ['out_of_memory', 'timeout'],
  },
  {
    does: 'starts tasks without end',
    code: asyncDef('a = []', 'while True: a.append(asyncio.create_task(asyncio.sleep(9)))'),
    ends: ['out_of_memory', 'timeout'],
  },
  { does: 'returns more than may leave', code: def('return "x" * 2000000'), ends: ['output_too_large'] },
  { does: 'raises a huge message', code: def('raise ValueError("x" * 8000000)'), ends: ['threw'] },
  { does: 'prints a gigabyte', code: def('s = "x" * 10**6', 'for _ in range(100): print(s)', 'return 1'), gives: 1 },
  { does: 'prints without end', code: def('while True: print(1)'), ends: ['timeout'] },
]

const depths: Program[] = [
  { does: 'recurses without end', code: after('def f(): return f()', 'return f()'), ends: ['stack_overflow'] },
  {
    does: 'lifts the limit of recursion',
    code: after('import sys\ndef f(): return f()', 'sys.setrecursionlimit(2**31 - 1)', 'return f()'),
    ends: ['stack_overflow', 'out_of_memory', 'timeout'],
  },
  {
    does: 'recurses through C',
    code: after(
      'import sys\nclass A:\n  def __getattr__(self, name): return getattr(self, name)',
      'sys.setrecursionlimit(10**6)',
      'return A().x',
    ),
    ends: ['stack_overflow'],
  },
  {
    does: 'returns a deep list',
    code: def('a = []', 'for _ in range(10**5): a = [a]', 'return a'),
    ends: ['stack_overflow', 'out_of_memory'],
  },
  {
    does: 'returns a list deeper than anybody reads',
    code: def('a = []', 'for _ in range(400): a = [a]', 'return a'),
    ends: ['not_json'],
  },
  {
    does: 'is nested too deeply to be parsed',
    code: def(`return ${'('.repeat(20_000)}1${')'.repeat(20_000)}`),
    ends: ['syntax', 'stack_overflow', 'out_of_memory'],
  },
  {
    does: 'chains fifty thousand signs',
    code: def(`return ${'-'.repeat(50_000)}1`),
    ends: ['syntax', 'stack_overflow', 'out_of_memory'],
  },
  {
    does: 'evaluates deep source',
    code: def('return eval("[" * 50000 + "]" * 50000)'),
    ends: ['threw', 'stack_overflow', 'out_of_memory'],
  },
  {
    does: 'lets go of a deep chain',
    code: def('a = ()', 'for _ in range(10**5): a = (a,)', 'del a', 'return 1'),
    gives: 1,
  },
]

const escapes: Program[] = [
  { does: 'imports ctypes', code: after('import ctypes', 'return 1'), ends: ['import_refused'] },
  { does: 'imports a bridge to JavaScript', code: after('import js', 'return 1'), ends: ['import_refused'] },
  {
    does: 'imports the bridge of Pyodide',
    code: after('from pyodide.ffi import create_proxy', 'return 1'),
    ends: ['import_refused'],
  },
  { does: 'imports another bridge while it runs', code: def('return __import__("_pyodide_core")'), ends: ['threw'] },
  { does: 'starts a shell', code: after('import os', 'return os.system("id")'), ends: ['threw'] },
  {
    does: 'starts a process',
    code: after('import subprocess', 'return subprocess.run(["id"]).returncode'),
    ends: ['threw'],
  },
  { does: 'forks', code: after('import os', 'return os.fork()'), ends: ['threw'] },
  { does: 'becomes another program', code: after('import os', 'os.execv("/bin/sh", ["sh"])'), ends: ['threw'] },
  {
    does: 'starts a thread',
    code: after('import threading', 'threading.Thread(target=print).start()'),
    ends: ['threw'],
  },
  {
    does: 'starts an interpreter',
    code: after('import importlib', 'return importlib.import_module("_xxsubinterpreters").create()'),
    ends: ['threw'],
  },
  {
    does: 'opens a connection to the metadata address',
    code: after('import socket', 'socket.create_connection(("169.254.169.254", 80), 1)'),
    ends: ['threw', 'import_refused'],
  },
  {
    does: 'fetches from the server itself',
    code: after('import urllib.request', 'return urllib.request.urlopen("http://127.0.0.1:8080/healthz").status'),
    ends: ['threw'],
  },
  {
    does: 'reads the environment',
    code: after('import os', 'return [dict(os.environ), os.getenv("PATH")]'),
    gives: [{}, null],
  },
  { does: 'reads the passwords', code: def('return open("/etc/passwd").read()'), ends: ['threw'] },
  { does: 'reads itself', code: def('return open("/proc/self/environ").read()'), ends: ['threw'] },
  {
    does: 'looks for files',
    code: after(
      'import os',
      'seen = []',
      'for path in ("/", "..", "/etc", "/home", "/tmp", "/root", "/proc", "/work"):',
      '  try: seen += os.listdir(path)',
      '  except OSError: pass',
      'return [name for name in seen if name != "usr"]',
    ),
    gives: [],
  },
  {
    does: 'tries every open file',
    code: after(
      'import os',
      'seen = []',
      'for fd in [*range(3, 300), 1000, 65535, 2**31 - 1]:',
      '  try: seen.append(len(os.read(fd, 10)))',
      '  except OSError: pass',
      'return seen',
    ),
    gives: [],
  },
  { does: 'writes a file', code: def('open("/tmp/x", "w").write("x")'), ends: ['threw'] },
  {
    does: 'overwrites its own library',
    code: def('with open("/usr/local/lib/python312.zip", "r+b") as f: f.write(bytes(10**6))'),
    ends: ['threw'],
    gives: null,
  },
  {
    does: 'kills its process',
    code: after('import os, signal', 'os.kill(os.getpid(), signal.SIGKILL)'),
    ends: ['threw'],
  },
  { does: 'sets an alarm', code: after('import signal', 'signal.alarm(1)'), ends: ['threw'] },
  {
    does: 'raises a signal',
    code: after(
      'import signal',
      'signal.signal(signal.SIGINT, signal.SIG_IGN)',
      'signal.raise_signal(signal.SIGABRT)',
      'return 1',
    ),
    ends: ['threw', 'crashed'],
  },
  { does: 'exits', code: after('import sys', 'sys.exit(0)'), ends: ['threw'] },
  { does: 'exits at once', code: after('import os', 'os._exit(0)'), ends: ['threw'] },
  { does: 'aborts', code: after('import os', 'os.abort()'), ends: ['crashed'] },
  {
    does: 'provokes a fault of the memory',
    code: after('import faulthandler', 'faulthandler._sigsegv()'),
    ends: ['threw', 'crashed', 'stack_overflow'],
  },
  {
    does: 'forges bytecode',
    code: def(
      'code = (lambda: 0).__code__',
      'return eval(code.replace(co_code=bytes([100, 250, 83, 0] * 50), co_consts=(), co_stacksize=1))',
    ),
    ends: ['crashed', 'threw', 'stack_overflow', 'not_json', 'timeout', 'out_of_memory'],
  },
  {
    does: 'runs off the end of its bytecode',
    code: def('code = (lambda: 0).__code__', 'return eval(code.replace(co_code=bytes([9, 0] * 8)))'),
    ends: ['crashed', 'threw', 'stack_overflow', 'not_json', 'timeout', 'out_of_memory'],
  },
  {
    does: "takes the interpreter's own tests for a way out",
    code: after('import _testcapi', 'return _testcapi.run_in_subinterp("import os")'),
    ends: ['import_refused', 'threw', 'crashed'],
    gives: 0,
  },
  {
    does: 'walks up the frames',
    code: after(
      'import sys',
      'frame, names = sys._getframe(), []',
      'while frame: names.append(frame.f_code.co_name); frame = frame.f_back',
      'return names',
    ),
    gives: ['main', 'call', '<module>', '<module>'],
  },
  {
    does: 'searches all objects for a secret',
    code: after(
      'import gc',
      'words = [o for o in gc.get_objects() if isinstance(o, dict) and {"FLOW_MASTER_KEY", "DATABASE_URL"} & o.keys()]',
      'return len(words)',
    ),
    gives: 0,
  },
]

const forgeries: Program[] = [
  {
    does: 'forges its result',
    code: after('import os', 'os.write(1, b"\\1value\\n{\\"forged\\":1}")', 'return "own"'),
    gives: { forged: 1 },
  },
  {
    does: 'forges a result that is none',
    code: after('import os', 'os.write(1, b"\\1value\\n{forged")'),
    ends: ['not_json'],
  },
  {
    does: 'forges a fault of the sandbox',
    code: after('import os', 'os.write(1, b"\\1threw\\nnothing")'),
    ends: ['threw'],
  },
  { does: 'forges a kind of end', code: after('import os', 'os.write(1, b"\\1escaped\\nx")'), ends: ['not_json'] },
  {
    does: 'forges a lack that cannot be read',
    code: after('import os', 'os.write(1, b"\\1lacks\\n[")', 'return 1'),
    ends: ['crashed', 'no_entry_point', 'threw'],
  },
  {
    does: 'says that it is loaded, and leaves',
    code: after('import os\nos.write(1, b"\\1loaded\\n")\nos._exit(0)', 'return 1'),
    ends: ['threw'],
  },
  {
    does: 'forges calls to the host',
    code: after('import os', 'while True:', '  try: os.write(1, b"\\x029 ask\\n{}")', '  except OSError: pass'),
    ends: ['timeout'],
  },
  {
    does: 'sets timers without end',
    code: after('import os', 'for i in range(20000): os.write(1, b"\\x03%d 1e9" % i)'),
    ends: ['threw'],
  },
  { does: 'asks a host it does not have', code: def('return flow.call("context")'), ends: ['threw'] },
  {
    does: 'reads what is not for it',
    code: after('import os', 'return os.read(0, 100).decode()'),
    ends: ['never_resolves'],
  },
  { does: 'reads it at the top level', code: after('import os\nos.read(0, 1)', 'return 1'), ends: ['never_resolves'] },
  { does: 'waits for what never comes', code: asyncDef('await asyncio.Future()'), ends: ['never_resolves'] },
  {
    does: 'deadlocks',
    code: asyncDef('lock = asyncio.Lock()', 'await lock.acquire()', 'await lock.acquire()'),
    ends: ['never_resolves'],
  },
  { does: 'sleeps longer than it may', code: after('import time', 'time.sleep(1e9)'), ends: ['timeout'] },
  {
    does: 'empties its builtins',
    code: after('import builtins', 'builtins.__dict__.clear()', 'return 1'),
    ends: ['threw', 'crashed'],
    gives: 1,
  },
  {
    does: 'empties its modules',
    code: after('import sys', 'sys.modules.clear()', 'return 1'),
    ends: ['threw', 'crashed'],
    gives: 1,
  },
  {
    does: 'takes away the way to end',
    code: after('import __main__', 'del __main__.end, __main__.encoded', 'return 1'),
    ends: ['threw', 'crashed'],
  },
  { does: 'returns what is no number', code: def('return float("nan")'), ends: ['not_json'] },
  { does: 'returns infinity', code: def('return [1e999]'), ends: ['not_json'] },
  { does: 'returns a circle', code: def('a = {}', 'a["a"] = a', 'return a'), ends: ['not_json'] },
  {
    does: 'returns a dictionary that never ends',
    code: after('class D(dict):\n  def items(self):\n    while True: yield ("a", 1)', 'd = D(a=1)', 'return d'),
    gives: { a: 1 },
    ends: ['timeout', 'out_of_memory'],
  },
  {
    does: 'returns a key for prototypes',
    code: def('return {"__proto__": {"admin": True}, "own": 1}'),
    gives: { own: 1 },
  },
  {
    does: 'raises nothing it could describe',
    code: after('class E(BaseException):\n  def __str__(self): raise self\n  __repr__ = __str__', 'raise E'),
    ends: ['threw'],
  },
  { does: 'raises its own cause', code: def('e = ValueError("x")', 'e.__cause__ = e', 'raise e'), ends: ['threw'] },
  {
    does: 'leaves work for its exit',
    code: after('import atexit', 'atexit.register(lambda: print("late"))', 'return 1'),
    gives: 1,
  },
]

export const python: Hostile[] = [...loops, ...bombs, ...depths, ...escapes, ...forgeries].map((program) => ({
  ...program,
  language: 'python',
}))
