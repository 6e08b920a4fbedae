"""OpenAI's client for Python, unchanged, against a gateway. The order comes as JSON on the standard input; each case is a
true sentence, and how it ended is a line of JSON on the standard output."""

import asyncio
import json
import sys
import threading
import time
import traceback

import openai
from openai import AsyncOpenAI, OpenAI
from openai.lib.streaming.chat import ContentDeltaEvent, ContentDoneEvent
from pydantic import BaseModel

order = json.load(sys.stdin)
key = order["api_key"]
client = OpenAI(base_url=order["base_url"], api_key=key, max_retries=0)
cases = []


def case(name):
    def add(work):
        cases.append((name, work))
        return work

    return add


def user(content):
    return [{"role": "user", "content": content}]


def scripted(*steps):
    content = json.dumps(steps[0] if len(steps) == 1 else steps)
    return {"model": "flow/scripted", "messages": user(content)}


def said(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def throws(kind, work, **told):
    try:
        work()
    except kind as error:
        for name, value in told.items():
            assert getattr(error, name) == value, f"{name}: {getattr(error, name)!r}"
        return error
    raise AssertionError(f"{kind.__name__} was not thrown")


class Weather(BaseModel):
    """The weather of a city."""

    city: str


class Degrees(BaseModel):
    degrees: float


@case("a chat is answered, with its usage")
def _():
    answer = client.chat.completions.create(model="flow/echo", messages=user("Grüße 😀"))
    assert answer.choices[0].message.content == "Grüße 😀"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id


@case("a chat streams")
def _():
    chunks = list(client.chat.completions.create(model="flow/echo", messages=user("one two three"), stream=True))
    assert said(chunks) == "one two three"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert all(c.usage is None for c in chunks)


@case("a stream tells its usage in a last chunk without choices, when asked")
def _():
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model="flow/echo", messages=user("12345678"), **asked))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 2


@case("the helper for streams tells pieces and the whole")
def _():
    with client.chat.completions.stream(**scripted({"say": "It is sunny."})) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    deltas = [e.delta for e in events if isinstance(e, ContentDeltaEvent)]
    done = [e.content for e in events if isinstance(e, ContentDoneEvent)]
    assert len(deltas) > 1 and "".join(deltas) == "It is sunny." and done == ["It is sunny."]
    assert final.choices[0].message.content == "It is sunny."


@case("characters cut in the middle arrive whole")
def _():
    text = "naïve 😀 日本語 " * 20
    asked = scripted({"say": text, "split": True})
    assert said(client.chat.completions.create(**asked, stream=True)) == text


@case("several answers come apart, whole and in a stream")
def _():
    whole = client.chat.completions.create(model="flow/echo", messages=user("x"), n=3)
    assert [(c.index, c.message.content) for c in whole.choices] == [(0, "x"), (1, "x"), (2, "x")]
    with client.chat.completions.stream(model="flow/echo", messages=user("x y"), n=2) as stream:
        final = stream.get_final_completion()
    assert [c.message.content for c in final.choices] == ["x y", "x y"]


@case("likelihoods pass, whole and in a stream")
def _():
    asked = {"model": "logprobs", "messages": user("x"), "logprobs": True, "top_logprobs": 2}
    whole = client.chat.completions.create(**asked)
    assert whole.choices[0].logprobs.content[0].token == "Hi"
    chunks = list(client.chat.completions.create(**asked, stream=True))
    assert chunks[0].choices[0].logprobs.content[0].bytes == [72, 105]


@case("tools are called, whole and in a stream, two in parallel")
def _():
    calls = [{"name": "weather", "arguments": {"city": "Rome"}}, {"name": "time"}]
    whole = client.chat.completions.create(**scripted({"calls": calls}))
    assert whole.choices[0].finish_reason == "tool_calls"
    with client.chat.completions.stream(**scripted({"calls": calls})) as stream:
        streamed = stream.get_final_completion()
    for answer in (whole, streamed):
        told = [(c.function.name, json.loads(c.function.arguments)) for c in answer.choices[0].message.tool_calls]
        assert told == [("weather", {"city": "Rome"}), ("time", {})], told


@case("a loop of tools runs over several turns until there is an answer")
def _():
    turns = [
        {"calls": [{"name": "Weather", "arguments": {"city": "Rome"}}]},
        {"calls": [{"name": "Weather", "arguments": {"city": "Bern"}}]},
        {"say": "Sunny everywhere."},
    ]
    asked = scripted(*turns)
    messages, cities = asked["messages"], []
    tools = [openai.pydantic_function_tool(Weather)]
    for _ in range(5):
        answer = client.chat.completions.parse(model=asked["model"], messages=messages, tools=tools)
        message = answer.choices[0].message
        if not message.tool_calls:
            break
        messages = [*messages, message.to_dict()]
        for call in message.tool_calls:
            cities.append(call.function.parsed_arguments.city)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
    assert message.content == "Sunny everywhere." and cities == ["Rome", "Bern"]


@case("arguments of tools are parsed by their model, whole and in a stream")
def _():
    asked = scripted({"calls": [{"name": "Weather", "arguments": {"city": "Rome"}}]})
    tools = [openai.pydantic_function_tool(Weather)]
    whole = client.chat.completions.parse(**asked, tools=tools)
    with client.chat.completions.stream(**asked, tools=tools) as stream:
        streamed = stream.get_final_completion()
    for answer in (whole, streamed):
        assert answer.choices[0].message.tool_calls[0].function.parsed_arguments == Weather(city="Rome")


@case("structured outputs are parsed, whole and in a stream")
def _():
    asked = scripted({"say": '{"degrees": 21}'})
    whole = client.chat.completions.parse(**asked, response_format=Degrees)
    with client.chat.completions.stream(**asked, response_format=Degrees) as stream:
        streamed = stream.get_final_completion()
    for answer in (whole, streamed):
        assert answer.choices[0].message.parsed == Degrees(degrees=21)


@case("a structured output that was cut, or filtered, throws")
def _():
    for finish, kind in (("length", openai.LengthFinishReasonError), ("content_filter", openai.ContentFilterFinishReasonError)):
        asked = scripted({"say": '{"degrees":', "finish": finish})
        throws(kind, lambda: client.chat.completions.parse(**asked, response_format=Degrees))


@case("vectors come in base64 by default, and as numbers")
def _():
    asked = {"model": "flow/hash-embedding-384", "input": ["the cat", "the dog"]}
    encoded = client.embeddings.create(**asked)
    numbers = client.embeddings.create(**asked, encoding_format="float")
    for one, other in zip(encoded.data, numbers.data):
        assert len(one.embedding) == 384
        assert all(abs(a - b) < 1e-6 for a, b in zip(one.embedding, other.embedding))
    raw = client.embeddings.create(**asked, encoding_format="base64")
    assert isinstance(raw.data[0].embedding, str)


@case("models are paged through, and one is retrieved by an id with a slash")
def _():
    assert "flow/echo" in [model.id for model in client.models.list()]
    assert client.models.retrieve("flow/echo").owned_by == "flow"
    throws(openai.NotFoundError, lambda: client.models.retrieve("flow/nothing"), code="model_not_found")


@case("completions of the old kind are answered, whole and in a stream")
def _():
    asked = {"model": "flow/echo", "prompt": "one two", "max_tokens": 50}
    assert client.completions.create(**asked).choices[0].text == "one two"
    assert "".join(c.choices[0].text for c in client.completions.create(**asked, stream=True) if c.choices) == "one two"


@case("the raw response has the headers of the call, and is parsed later")
def _():
    raw = client.chat.completions.with_raw_response.create(model="flow/echo", messages=user("x"))
    assert raw.headers["x-flow-provider"] == "flow" and raw.headers["x-flow-attempts"] == "1"
    assert raw.parse().choices[0].message.content == "x"
    assert client.models.with_raw_response.list().status_code == 200


@case("a response is read as it streams, line by line")
def _():
    asked = {**scripted({"say": "one two"}), "stream": True}
    with client.chat.completions.with_streaming_response.create(**asked) as response:
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]" and lines[0].startswith("data: {")


for status, kind in (
    (400, openai.BadRequestError),
    (404, openai.NotFoundError),
    (409, openai.ConflictError),
    (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
    (503, openai.InternalServerError),
):

    @case(f"a provider's {status} is thrown as {kind.__name__}, also for a stream")
    def _(status=status, kind=kind):
        asked = {"model": f"refuses-{status}", "messages": user("x")}
        throws(kind, lambda: client.chat.completions.create(**asked), status_code=status)
        throws(kind, lambda: client.chat.completions.create(**asked, stream=True), status_code=status)


@case("who is nobody, and who may only look, are told apart")
def _():
    throws(openai.AuthenticationError, lambda: client.with_options(api_key="nobody").models.list(), code="invalid_api_key")
    throws(openai.PermissionDeniedError, lambda: client.with_options(api_key=order["viewer_key"]).models.list())


@case("a model that nobody has is not found")
def _():
    throws(
        openai.NotFoundError,
        lambda: client.chat.completions.create(model="nobody/knows", messages=user("x")),
        code="model_not_found",
        param="model",
        type="invalid_request_error",
    )


@case("a wrong field is named")
def _():
    wrong = [{"role": "wizard", "content": "x"}]
    error = throws(
        openai.BadRequestError,
        lambda: client.chat.completions.create(model="flow/echo", messages=wrong),
        param="messages[0].role",
    )
    assert error.request_id


@case("the client tries again after the time that Retry-After names")
def _():
    began = time.monotonic()
    answer = client.with_options(max_retries=1).chat.completions.create(model="limited", messages=user("x"))
    assert answer.choices[0].message.content == "Now."
    assert time.monotonic() - began >= 0.9


@case("the client does not try again what is of no use")
def _():
    throws(
        openai.InternalServerError,
        lambda: client.with_options(max_retries=3).chat.completions.create(model="refuses-401", messages=user("x")),
        status_code=502,
        code="upstream_refused",
    )


@case("a client without patience goes away")
def _():
    throws(
        openai.APITimeoutError,
        lambda: client.with_options(timeout=0.3).chat.completions.create(model="hangs", messages=user("x")),
    )


@case("a stream is left in its middle")
def _():
    with client.chat.completions.create(model="trickles", messages=user("x"), stream=True) as stream:
        for _chunk in stream:
            break


@case("a stream that breaks is thrown behind what was said")
def _():
    for fault in ({"cut_after": 3}, {"malformed_after": 3}):
        pieces = []

        def read():
            for chunk in client.chat.completions.create(**scripted({"say": "a b c d", **fault}), stream=True):
                pieces.append(chunk.choices[0].delta.content or "")

        throws(openai.APIError, read)
        assert "".join(pieces) == "a b ", pieces


@case("a first attempt that fails is followed by a second")
def _():
    asked = scripted({"attempts": [{"status": 503}, {"say": "At last."}]})
    raw = client.chat.completions.with_raw_response.create(**asked)
    assert raw.headers["x-flow-attempts"] == "2" and raw.parse().choices[0].message.content == "At last."


@case("parameters that nobody knows pass by extra_body and extra_headers")
def _():
    answer = client.chat.completions.create(
        model="tells",
        messages=user("x"),
        extra_body={"new_field": {"a": 1}},
        extra_headers={"x-request-id": "0190a0a0-0000-7000-8000-000000000001"},
    )
    assert json.loads(answer.choices[0].message.content)["new_field"] == {"a": 1}
    assert answer._request_id == "0190a0a0-0000-7000-8000-000000000001"


def in_loop(work):
    async def run():
        async with AsyncOpenAI(base_url=order["base_url"], api_key=key, max_retries=0) as client:
            await work(client)

    asyncio.run(run())


@case("the async client chats, streams and embeds at the same time")
def _():
    async def work(client):
        async def stream():
            chunks = [c async for c in await client.chat.completions.create(**scripted({"say": "one two"}), stream=True)]
            return said(chunks)

        chats = [client.chat.completions.create(model="flow/echo", messages=user(str(i))) for i in range(8)]
        texts = ["a", "b"]
        *answers, streamed, vectors = await asyncio.gather(
            *chats, stream(), client.embeddings.create(model="flow/hash-embedding-384", input=texts)
        )
        assert [a.choices[0].message.content for a in answers] == [str(i) for i in range(8)]
        assert streamed == "one two" and len(vectors.data) == 2

    in_loop(work)


@case("the async client's helper for streams parses")
def _():
    async def work(client):
        asked = scripted({"say": '{"degrees": 21}'})
        async with client.chat.completions.stream(**asked, response_format=Degrees) as stream:
            final = await stream.get_final_completion()
        assert final.choices[0].message.parsed == Degrees(degrees=21)

    in_loop(work)


@case("an async call is cancelled, and a stream is closed")
def _():
    async def work(client):
        call = asyncio.create_task(client.chat.completions.create(model="hangs", messages=user("x")))
        await asyncio.sleep(0.3)
        call.cancel()
        try:
            await call
            raise AssertionError("it was not cancelled")
        except asyncio.CancelledError:
            pass
        stream = await client.chat.completions.create(model="trickles", messages=user("x"), stream=True)
        async for _chunk in stream:
            break
        await stream.close()

    in_loop(work)


@case("the async client throws the same errors")
def _():
    async def work(client):
        try:
            await client.chat.completions.create(model="nobody/knows", messages=user("x"))
        except openai.NotFoundError as error:
            assert error.code == "model_not_found"
            return
        raise AssertionError("nothing was thrown")

    in_loop(work)


@case("threads share a client")
def _():
    answers = {}

    def ask(i):
        answers[i] = client.chat.completions.create(model="flow/echo", messages=user(str(i))).choices[0].message.content

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {i: str(i) for i in range(8)}


@case("responses are answered, streamed and parsed")
def _():
    answer = client.responses.create(model="flow/echo", input="Hello")
    assert answer.output_text == "Hello"
    with client.responses.stream(model="flow/echo", input="one two") as stream:
        assert stream.get_final_response().output_text == "one two"
    script = json.dumps({"say": '{"degrees": 21}'})
    parsed = client.responses.parse(model="flow/scripted", input=script, text_format=Degrees)
    assert parsed.output_parsed == Degrees(degrees=21)


def understood(choice, means):
    message = choice.message
    calls = []
    for at, call in enumerate(message.tool_calls or []):
        assert call.id
        is_ours = at < len(means["calls"]) and means["calls"][at]["id"] is None
        arguments = json.loads(call.function.arguments or "{}")
        calls.append({"id": None if is_ours else call.id, "name": call.function.name, "arguments": arguments})
    return {"text": message.content or "", "calls": calls, "finish": choice.finish_reason}


def replay(one):
    asked = {"model": one["model"], "messages": user("Hello")}
    if one["n"] > 1:
        asked["n"] = one["n"]

    def ask():
        if not one["stream"]:
            answer = client.chat.completions.create(**asked)
            return answer.choices, ["".join(c.message.model_extra.get("reasoning_content") or "") for c in answer.choices]
        thoughts = [""] * one["n"]
        with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
            for event in stream:
                if event.type != "chunk":
                    continue
                for choice in event.chunk.choices:
                    thoughts[choice.index] += (choice.delta.model_extra or {}).get("reasoning_content") or ""
            # The final completion is thrown for where it was cut or filtered: here that is meant.
            return stream.current_completion_snapshot.choices, thoughts

    if "means" not in one:
        throws(openai.APIStatusError, ask, status_code=one["status"])
        return
    choices, thoughts = ask()
    assert len(choices) == len(one["means"])
    for choice, thought, means in zip(choices, thoughts, one["means"]):
        told = {**understood(choice, means), "reasoning": thought}
        assert told == means, f"{told} instead of {means}"


for one in order["cases"]:
    cases.append((f"{one['kind']}: {one['name']}", lambda one=one: replay(one)))

for name, work in cases:
    fault = None
    try:
        work()
    except Exception:
        fault = traceback.format_exc(limit=-4)
    print(json.dumps({"name": name, "fault": fault}), flush=True)
