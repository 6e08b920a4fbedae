# The guest's side of the wall: run once in the bare machine, before anybody's code, and kept in the memory every call
# begins with. It gives `flow`, an event loop that waits for the host, streams that end in the log, and the two
# functions the worker calls: `load` and `call`. Nothing here protects the host, which believes no word of it: whoever
# rewrites these functions has gained the right to send the messages they send.
#
# What goes to the host is written to file 1, each message beginning with a byte that says what it is; what comes from it
# is read from file 0: a line `number ok length`, then as many bytes. Reading waits; the run is put aside until there is
# something.
import asyncio
import base64
import builtins
import collections
import csv
import dataclasses
import datetime
import enum
import errno
import functools
import hashlib
import inspect
import io
import itertools
import json
import logging
import math
import os
import random
import re
import string
import sys
import textwrap
import time
import types
import typing
import urllib.parse

END, CALL, SLEEP = b'\1', b'\2', b'\3'
LEVELS = {'debug': b'\4', 'info': b'\5', 'warn': b'\6', 'error': b'\7'}
MESSAGE_MAX = 2048
LINE_MAX = 16384
REFUSALS = {
    errno.EPERM: ('This code has no host to call.', 'UNAVAILABLE'),
    errno.EAGAIN: ('This run has made too many calls to the host or set too many timers.', 'RATE_LIMITED'),
    errno.E2BIG: ('The argument is too large for a call to the host.', 'PAYLOAD_TOO_LARGE'),
    errno.EACCES: ('The host answers only while the entry point runs, not while the module loads.', 'UNAVAILABLE'),
}


class Hosting:
    """What a run has asked of the host and not heard of yet."""

    def __init__(self):
        self.last = 0
        self.waiting = {}
        self.inbox = b''

    def ask(self, what, text, on_answer):
        self.last += 1
        try:
            os.write(1, what + b'%d ' % self.last + text)
        except OSError as error:
            message, code = REFUSALS.get(error.errno, ('The host does not answer.', 'UNAVAILABLE'))
            raise flow.Error(message, code) from None
        self.waiting[self.last] = on_answer
        return self.last

    def read(self):
        """Waits for one message."""
        while b'\n' not in self.inbox:
            self.inbox += os.read(0, 65536)
        head, _, self.inbox = self.inbox.partition(b'\n')
        number, is_good, length = map(int, head.split())
        parts, missing = [self.inbox[:length]], length - len(self.inbox)
        self.inbox = self.inbox[length:]
        while missing > 0:
            parts.append(os.read(0, missing))
            missing -= len(parts[-1])
        return number, bool(is_good), b''.join(parts)

    def hear(self):
        """Waits for one answer and gives it to whoever waits for it."""
        number, is_good, value = self.read()
        on_answer = self.waiting.pop(number, None)
        if on_answer:
            on_answer(is_good, value.decode('utf-8', 'replace'))

    def hear_until(self, what, text):
        answers = []
        self.ask(what, text, lambda *answer: answers.append(answer))
        while not answers:
            self.hear()
        return answers[0]


host = Hosting()


class FlowError(Exception):
    """The host has refused a call, or failed: `code` is for programs, `details` says which fields are wrong."""

    def __init__(self, message, code='CALL_FAILED', details=()):
        super().__init__(message)
        self.code, self.details = code, list(details)


def refusal_of(value):
    told = json.loads(value)
    return FlowError(told['message'], told['code'], told['details'])


class Namespace:
    """Operations of the platform, by name; which there are is the host's to say."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, method):
        if method.startswith('_'):
            raise AttributeError(method)
        return lambda **named: flow.call(f'{self._name}.{method}', named)

    def __repr__(self):
        return f'<flow.{self._name}>'


class Headers(dict):
    """By names in small letters."""

    def __getitem__(self, name):
        return super().__getitem__(name.lower())

    def __contains__(self, name):
        return super().__contains__(name.lower())

    def get(self, name, default=None):
        return super().get(name.lower(), default)


class Response:
    """What a host has answered: `content` is bytes, `text` the same as UTF-8."""

    def __init__(self, told):
        self.url, self.status, self.reason = told['url'], told['status'], told['status_text']
        self.ok = 200 <= self.status < 300
        self.headers = Headers()
        for name, value in told['headers']:
            self.headers[name] = f'{self.headers[name]}, {value}' if name in self.headers else value
        self.content = told['text'].encode() if 'text' in told else base64.b64decode(told['base64'])

    @property
    def text(self):
        return self.content.decode('utf-8', 'replace')

    def json(self):
        return json.loads(self.content)

    def __repr__(self):
        return f'<Response {self.status} of {self.url}>'


async def response_of(told):
    return Response(await told)


class Flow(types.ModuleType):
    Error = FlowError
    agents = Namespace('agents')
    code_blocks = Namespace('code_blocks')
    connector_instances = Namespace('connector_instances')
    datasets = Namespace('datasets')
    gateway = Namespace('gateway')
    metrics = Namespace('metrics')
    secrets = Namespace('secrets')
    services = Namespace('services')
    state = Namespace('state')
    storage = Namespace('storage')
    vector_indexes = Namespace('vector_indexes')
    workflows = Namespace('workflows')

    def fetch(self, url, *, method='GET', headers=None, body=None, json=None):
        """Calls one of the hosts that the block lists. Gives its `Response`; within an event loop, something to await."""
        pairs = [[str(name).lower(), str(value)] for name, value in dict(headers or {}).items()]
        asked = {'url': str(url), 'method': method, 'headers': pairs}
        if json is not None:
            body = encoded(json, TypeError)
            if not any(name == 'content-type' for name, _ in pairs):
                pairs.append(['content-type', 'application/json'])
        if isinstance(body, str):
            asked['text'] = body
        elif body is not None:
            asked['base64'] = base64.b64encode(body).decode()
        told = self.call('fetch', asked)
        return Response(told) if isinstance(told, dict) else response_of(told)

    def call(self, method, args=None):
        """Asks the host. Gives the answer; within an event loop, something to await that gives it."""
        text = str(method).encode('utf-8', 'replace') + b'\n' + encoded(args, TypeError)
        loop = asyncio._get_running_loop()
        if loop is None:
            is_good, value = host.hear_until(CALL, text)
            if is_good:
                return json.loads(value)
            raise refusal_of(value)
        future = loop.create_future()

        def on_answer(is_good, value):
            if future.done():
                return
            if is_good:
                future.set_result(json.loads(value))
            else:
                future.set_exception(refusal_of(value))

        host.ask(CALL, text, on_answer)
        return future


flow = sys.modules['flow'] = builtins.flow = Flow('flow')


def sleep(seconds):
    """In place of the one that would keep the worker from others."""
    if seconds < 0:
        raise ValueError('sleep length must be non-negative')
    host.hear_until(SLEEP, b'%f' % (seconds * 1000))


time.sleep = sleep


class Selector:
    """Where an event loop waits: for answers of the host and timers that are due."""

    def __init__(self):
        self.due = math.inf

    def select(self, timeout=None):
        if timeout is not None and timeout <= 0:
            return []
        if timeout is not None and time.monotonic() + timeout < self.due - 0.0005:
            self.due = time.monotonic() + timeout
            host.ask(SLEEP, b'%f' % (timeout * 1000), self.ring)
        host.hear()
        return []

    def ring(self, *_):
        self.due = math.inf

    def close(self):
        pass


class Loop(asyncio.base_events.BaseEventLoop):
    def __init__(self):
        super().__init__()
        self._selector = Selector()
        # A timer comes to the millisecond.
        self._clock_resolution = 0.002

    def _process_events(self, events):
        pass

    def _write_to_self(self):
        pass


class Policy(asyncio.events.BaseDefaultEventLoopPolicy):
    _loop_factory = Loop


asyncio.SelectorEventLoop = Loop
asyncio.set_event_loop_policy(Policy())


class Stream(io.TextIOBase):
    """Its lines are entries of the log."""

    encoding = 'utf-8'

    def __init__(self, level):
        self.level = level
        self.line = ''

    def writable(self):
        return True

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError(f'write() argument must be str, not {type(text).__name__}')
        *lines, last = text.split('\n')
        for line in lines:
            tell(self.level, self.line + line)
            self.line = ''
        self.line = (self.line + last)[:LINE_MAX]
        return len(text)

    def flush(self):
        if self.line:
            tell(self.level, self.line)
            self.line = ''


def tell(level, text):
    try:
        os.write(1, LEVELS[level] + text[: LINE_MAX + 1].encode('utf-8', 'replace'))
    except OSError:
        # The log is full, and says so.
        pass


class Log(logging.Handler):
    def emit(self, record):
        number = record.levelno
        level = 'error' if number >= 40 else 'warn' if number >= 30 else 'info' if number >= 20 else 'debug'
        try:
            tell(level, self.format(record))
        except Exception:
            self.handleError(record)


sys.stdin = io.StringIO()
sys.stdout = sys.__stdout__ = Stream('info')
sys.stderr = sys.__stderr__ = Stream('error')
logging.getLogger().addHandler(Log())
logging.getLogger().setLevel(logging.INFO)


def encoded(value, refuse):
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(',', ':'))
    except (TypeError, ValueError) as error:
        raise refuse(str(error)) from None
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False, separators=(',', ':')).encode()


class NotJson(Exception):
    pass


def end(kind, value):
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(1, END + kind.encode() + b'\n' + value)


def own_frames(error, name):
    frames = collections.deque(maxlen=20)
    if isinstance(error, SyntaxError) and error.filename == name:
        return [f'at <module> ({name}:{error.lineno or 1}:{error.offset or 1})']
    trace = error.__traceback__
    while trace:
        code = trace.tb_frame.f_code
        if code.co_filename == name:
            place = next(itertools.islice(code.co_positions(), trace.tb_lasti // 2, None), (None,) * 4)
            frames.append(f'at {code.co_qualname} ({name}:{trace.tb_lineno}:{(place[2] or 0) + 1})')
        trace = trace.tb_next
    return reversed(frames)


def said(error):
    text = str(error.msg if isinstance(error, SyntaxError) else error)
    title = type(error).__name__
    return f'{title}: {text}' if text else title


def describe(error, name, is_loading=False):
    kind = 'threw'
    if isinstance(error, MemoryError):
        kind = 'out_of_memory'
    elif isinstance(error, RecursionError):
        kind = 'stack_overflow'
    elif isinstance(error, ModuleNotFoundError) and is_loading:
        kind = 'import_refused'
    told = {'kind': kind, 'message': 'It raised something that cannot be read.', 'stack': ''}
    try:
        told['stack'] = '\n'.join(own_frames(error, name))
        told['message'] = said(error)[:MESSAGE_MAX]
        cause = error.__cause__
        if cause is not None:
            told['message'] += f' (cause: {said(cause)})'[:512]
    except Exception:
        pass
    return json.dumps(told).encode()


def provide(wheels):
    """Puts the packages before those of the standard library, each a zip that lies in memory."""
    import importlib.abc
    import importlib.metadata
    import importlib.resources.abc
    import importlib.util
    import zipfile

    class Resources(importlib.resources.abc.TraversableResources):
        def __init__(self, path):
            self.path = path

        def files(self):
            return self.path

    class Wheel(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
        def __init__(self, content):
            self.zip = zipfile.ZipFile(io.BytesIO(content))
            self.names = set(self.zip.namelist())
            self.about = next(name.split('/')[0] for name in self.names if '.dist-info/' in name)
            self.folder = f'/packages/{self.about}/'

        def find_spec(self, name, path=None, target=None):
            stem = name.replace('.', '/')
            for file, is_package in ((f'{stem}/__init__.py', True), (f'{stem}.py', False)):
                if file in self.names:
                    where = self.folder + file
                    return importlib.util.spec_from_file_location(
                        name,
                        where,
                        loader=self,
                        submodule_search_locations=[where.rpartition('/')[0]] if is_package else None,
                    )
            return None

        def get_filename(self, name):
            return self.find_spec(name).origin

        def get_data(self, path):
            try:
                return self.zip.read(path.removeprefix(self.folder))
            except KeyError:
                raise OSError(errno.ENOENT, 'There is no such file', path) from None

        def get_resource_reader(self, name):
            return Resources(zipfile.Path(self.zip, name.replace('.', '/') + '/'))

        def find_distributions(self, context=importlib.metadata.DistributionFinder.Context()):
            is_named = context.name is None or Prepared(context.name).normalized == Prepared(self.project).normalized
            return [importlib.metadata.PathDistribution(zipfile.Path(self.zip, self.about + '/'))] if is_named else []

        @property
        def project(self):
            return self.about.partition('-')[0]

    Prepared = importlib.metadata.Prepared
    sys.meta_path[:0] = map(Wheel, wheels)


def load():
    """Reads the source from the host and evaluates it. Whether it may be called is told by how it ends."""
    global main, name, entry_point
    order = json.loads(host.read()[2])
    name, entry_point = order['name'], order['entry_point']
    wheels = [host.read()[2] for _ in range(order['packages'])]
    try:
        if wheels:
            provide(wheels)
    except Exception as error:
        return end('threw', describe(error, name))
    module = types.ModuleType('main')
    module.__file__ = name
    try:
        code = compile(order['source'], name, 'exec', dont_inherit=True)
    except SyntaxError as error:
        return end('syntax', describe(error, name))
    except ValueError as error:
        return end('syntax', describe(SyntaxError(str(error)), name))
    except (RecursionError, MemoryError) as error:
        return end('threw', describe(error, name))
    sys.modules['main'] = module
    try:
        exec(code, module.__dict__)
    except BaseException as error:
        return end('threw', describe(error, name, is_loading=True))
    main = module.__dict__.get(entry_point)
    if callable(main):
        return end('loaded', b'')
    named = [key for key, value in module.__dict__.items() if inspect.isfunction(value) and value.__module__ == 'main']
    found = type(main).__name__ if entry_point in module.__dict__ else ''
    end('lacks', json.dumps({'entry_point': entry_point, 'found': found, 'functions': named}).encode())


def call():
    """Calls the entry point with the input: an object names the parameters, anything else is the one argument."""
    random.seed()
    try:
        value = json.loads(host.read()[2])
        args, named = ((), value) if isinstance(value, dict) else ((), {}) if value is None else ((value,), {})
        result = main(*args, **named)
        if inspect.isawaitable(result):
            result = Loop().run_until_complete(result)
        output = encoded(result, NotJson)
    except NotJson as error:
        return end('not_json', str(error)[:MESSAGE_MAX].encode('utf-8', 'replace'))
    except BaseException as error:
        return end('threw', describe(error, name))
    end('value', output)


# Room that the allocator knows of, for the lot of small calls: what is taken beyond has to be wiped after each.
bytearray(1 << 20)
# Ready: the first to ask for a clock's resolution is never answered.
time.clock_getres(time.CLOCK_REALTIME)
