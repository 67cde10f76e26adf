"""Every way in which an engine fails: the right error, a sentence for the log, and no text or key in it."""

import asyncio
import os
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.conversation import Message
from bot.errors import (
    EngineBroke,
    EngineError,
    EngineOverloaded,
    EngineRefused,
    EngineSlow,
    EngineUnreachable,
)
from bot.model_client import ModelClient
from tests.scripted_engine import DONE, Script, ScriptedEngine, error_event, event

SECRET = "the salary list"
KEY = "sk-team-key"
ASKED = [Message("system", "You are Dolly."), Message("user", f"What is in {SECRET}?")]


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine() as engine:
        yield engine


@pytest.fixture
async def client(engine: ScriptedEngine) -> AsyncIterator[ModelClient]:
    client = ModelClient(engine.url, api_key=KEY, first_token_seconds=1, between_tokens_seconds=0.4)
    yield client
    await client.close()


async def fail(client: ModelClient) -> tuple[str, EngineError]:
    """What was shown of an answer before it failed, and how."""
    shown: list[str] = []
    with pytest.raises(EngineError) as raised:
        await read(client, shown)
    logged = "".join(traceback.format_exception(raised.value))
    assert SECRET not in logged
    assert KEY not in logged
    assert "http://127.0.0.1:" in str(raised.value)
    return "".join(shown), raised.value


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_conversation_is_not_sent_on_to_another_host(status: int) -> None:
    reached: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        if request.url.host == "localhost":
            reached.append(request.path)
            return web.json_response({})
        return web.Response(status=status, headers={"Location": str(request.url.with_host("localhost"))})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = ModelClient(f"http://127.0.0.1:{runner.addresses[0][1]}", api_key=KEY)
    try:
        assert (await fail(client))[0] == ""
        assert reached == []
    finally:
        await client.close()
        await runner.cleanup()


async def read(client: ModelClient, shown: list[str]) -> None:
    async for delta in client.stream(ASKED, max_tokens=100):
        shown.append(delta)


def tgi(error: str, error_type: str) -> dict[str, Any]:
    return {"error": f"{error} {SECRET} {KEY}", "error_type": error_type}


def openai(message: str, kind: str) -> dict[str, Any]:
    return {"error": {"message": f"{message} {SECRET} {KEY}", "type": kind, "code": 400}}


REFUSALS: list[tuple[int, str | dict[str, Any], type[EngineError], str]] = [
    (401, "", EngineRefused, "wants another key"),
    (403, "Forbidden", EngineRefused, "wants another key"),
    (429, tgi("Model is overloaded", "overloaded"), EngineOverloaded, "429 (overloaded): it has no free place"),
    (503, openai("Loading model", "unavailable_error"), EngineOverloaded, "still loading its model"),
    (422, tgi("Template error: unknown function", "template_error"), EngineRefused, "chat template"),
    (422, "Failed to deserialize the JSON body", EngineRefused, "does not take the request"),
    (422, tgi("Input validation error: `top_p`", "validation"), EngineRefused, "422 (validation)"),
    (422, tgi("`inputs` must have less than 2047 tokens. Given: 3000", "validation"), EngineRefused, "do not fit"),
    (400, openai("request exceeds the", "exceed_context_size_error"), EngineRefused, "do not fit its window"),
    (400, openai("This model's maximum context length is 4096", "BadRequestError"), EngineRefused, "do not fit"),
    (404, "<html>Not Found</html>", EngineRefused, "check the engine's address"),
    (405, "", EngineRefused, "check the engine's address"),
    (307, "", EngineRefused, "check the engine's address"),
    (413, "Payload too large", EngineRefused, "does not take the request"),
    (424, tgi("Request failed during generation: CUDA", "generation"), EngineBroke, "424 (generation)"),
    (500, tgi("Incomplete generation", "incomplete_generation"), EngineBroke, "see its log"),
    (500, "[1, 2", EngineBroke, "answered 500: it failed"),
    (502, "Bad Gateway", EngineUnreachable, "proxy before it does not reach it"),
    (504, "Gateway Timeout", EngineSlow, "gave up waiting"),
]


@pytest.mark.parametrize(("status", "body", "error", "sentence"), REFUSALS)
async def test_a_refusal(
    engine: ScriptedEngine,
    client: ModelClient,
    status: int,
    body: str | dict[str, Any],
    error: type[EngineError],
    sentence: str,
) -> None:
    engine.script = Script(refusal=(status, body))
    shown, raised = await fail(client)
    assert shown == ""
    assert isinstance(raised, error)
    assert sentence in str(raised)


# --- errors in a stream that began with 200 ---------------------------------------------------------------------


async def test_overload_hides_in_a_200(engine: ScriptedEngine, client: ModelClient) -> None:
    engine.script = Script(overloaded=True)
    assert isinstance((await fail(client))[1], EngineOverloaded)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (error_event(f"Input validation error: `inputs` cannot be empty {SECRET}"), EngineRefused),
        (error_event("Request failed during generation: Server error: out of memory"), EngineBroke),
        (error_event("Incomplete generation stream"), EngineBroke),
        (event({"error": {"message": f"{SECRET} is too long", "type": "BadRequestError", "code": 400}}), EngineRefused),
        (event({"error": {"message": "The request queue is full.", "code": 503}}), EngineOverloaded),
        (event({"error": {"message": SECRET, "code": 500}}), EngineBroke),
        (event({"error": f"CUDA error in {SECRET}"}), EngineBroke),
        (event({"error": "Model is overloaded", "error_type": "overloaded"}), EngineOverloaded),
        (event({"error": f"Input validation error: {SECRET}", "error_type": "validation"}), EngineRefused),
        (event({"error": ["odd"]}), EngineBroke),
    ],
)
async def test_an_error_event_instead_of_an_answer(
    engine: ScriptedEngine, client: ModelClient, error: bytes, expected: type[EngineError]
) -> None:
    engine.script = Script(lines=[error, DONE])
    shown, raised = await fail(client)
    assert shown == ""
    assert type(raised) is expected


@pytest.mark.parametrize("message", ["Request failed during generation: CUDA", "Model is overloaded"])
async def test_an_error_event_in_the_middle_leaves_what_was_said(
    engine: ScriptedEngine, client: ModelClient, message: str
) -> None:
    engine.script = Script(text="One two three four.", end="error", after=2, error=f"{message} {SECRET}")
    shown, raised = await fail(client)
    assert shown == "One two"
    assert type(raised) is EngineBroke


async def test_a_connection_cut_in_the_middle_leaves_what_was_said(engine: ScriptedEngine, client: ModelClient) -> None:
    engine.script = Script(text="One two three four.", end="cut", after=2)
    shown, raised = await fail(client)
    assert shown == "One two"
    assert type(raised) is EngineBroke
    assert "dropped the connection" in str(raised)


WORD = event({"choices": [{"index": 0, "delta": {"content": "One"}, "finish_reason": None}]})


@pytest.mark.parametrize(
    "end",
    [
        [],
        [DONE],
        [event({"choices": [{"index": 0, "delta": {}, "finish_reason": "abort"}]})],
        [event({"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]})],
        [b"data: {broken json\n\n"],
        [b"data: [1, 2]\n\n"],
        [b'data: "text"\n\n'],
        [b"data: 7\n\n"],
        [b"data:\n\n"],
        [event({"choices": "text"})],
        [event({"choices": ["text"]})],
        [event({"choices": [{"index": 0, "delta": "text"}]})],
        [event({"choices": {"index": 0}})],
    ],
)
async def test_a_stream_that_does_not_end_as_it_should(
    engine: ScriptedEngine, client: ModelClient, end: list[bytes | float]
) -> None:
    engine.script = Script(lines=[WORD, *end])
    shown, raised = await fail(client)
    assert shown == "One"
    assert type(raised) is EngineBroke


async def test_a_web_page_is_no_answer(engine: ScriptedEngine, client: ModelClient) -> None:
    engine.script = Script(lines=[b"<html>\nSign in\n</html>\n"])
    shown, raised = await fail(client)
    assert (shown, type(raised)) == ("", EngineBroke)


# --- time -------------------------------------------------------------------------------------------------------


async def test_keep_alives_do_not_put_the_first_token_off(engine: ScriptedEngine, client: ModelClient) -> None:
    engine.script = Script(end="hang", after=0)
    began = time.monotonic()
    shown, raised = await fail(client)
    assert (shown, type(raised)) == ("", EngineSlow)
    assert "no token for 1 s" in str(raised)
    assert 1 <= time.monotonic() - began < 3
    await asyncio.wait_for(engine.requests[0].ended.wait(), 1)  # the engine has been told too


async def test_keep_alives_do_not_put_the_next_token_off(engine: ScriptedEngine, client: ModelClient) -> None:
    engine.script = Script(text="One two three.", end="hang", after=2)
    shown, raised = await fail(client)
    assert (shown, type(raised)) == ("One two", EngineSlow)
    assert "no token for 0.4 s" in str(raised)


async def test_nor_does_a_role_without_text(engine: ScriptedEngine, client: ModelClient) -> None:
    role = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    lines: list[bytes | float] = [part for _ in range(30) for part in (role, 0.1)]
    engine.script = Script(lines=lines)
    assert type((await fail(client))[1]) is EngineSlow


async def test_headers_that_never_come(client: ModelClient, engine: ScriptedEngine) -> None:
    await client.window_tokens()
    engine.script = Script(refusal=(500, ""), first_token_seconds=5)
    assert type((await fail(client))[1]) is EngineSlow


async def test_hidden_reasoning_is_progress(engine: ScriptedEngine, client: ModelClient) -> None:
    """vLLM and SGLang stream it beside the content, under two names."""
    lines: list[bytes | float] = []
    for number in range(12):
        name = "reasoning" if number % 2 else "reasoning_content"
        lines += [event({"choices": [{"index": 0, "delta": {name: "hm", "content": None}}]}), 0.1]
    engine.script = Script(lines=[*lines, WORD, event({"choices": [{"delta": {}, "finish_reason": "stop"}]})])
    assert [delta async for delta in client.stream(ASKED, max_tokens=100)] == ["One"]


async def test_a_slow_reader_is_not_a_slow_engine(engine: ScriptedEngine, client: ModelClient) -> None:
    engine.script = Script(text="One two three.")
    shown = ""
    async for delta in client.stream(ASKED, max_tokens=100):
        shown += delta
        await asyncio.sleep(0.5)  # longer than the engine may take between tokens
    assert shown == "One two three."


# --- no connection ----------------------------------------------------------------------------------------------


async def test_an_engine_that_is_down_and_comes_back(engine: ScriptedEngine, client: ModelClient) -> None:
    port = engine.port
    await engine.stop()
    for _ in range(2):
        assert type((await fail(client))[1]) is EngineUnreachable
    await engine.start(port)
    assert "".join([delta async for delta in client.stream(ASKED, max_tokens=100)])
    await engine.stop()
    assert type((await fail(client))[1]) is EngineUnreachable


async def test_an_engine_that_dies_in_the_middle(engine: ScriptedEngine, client: ModelClient) -> None:
    engine.script = Script(text="One " + "more " * 99, tokens_per_second=20)
    answer = asyncio.create_task(fail(client))
    await engine.asked.wait()
    await asyncio.sleep(0.1)
    await engine.stop()
    shown, raised = await answer
    assert shown.startswith("One")
    assert type(raised) is EngineBroke


async def test_an_engine_that_hangs_up_without_a_word(engine: ScriptedEngine, client: ModelClient) -> None:
    await client.window_tokens()
    port = engine.port
    await engine.stop()

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", port):
        assert type((await fail(client))[1]) is EngineUnreachable


async def test_a_connection_that_is_never_accepted() -> None:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(2)]  # they fill the queue
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        client = ModelClient(f"http://127.0.0.1:{address[1]}", connect_seconds=0.3)
        began = time.monotonic()
        with pytest.raises(EngineUnreachable):
            await client.describe()
        assert time.monotonic() - began < 2
        await client.close()
        for one in waiting:
            one.close()


# --- keys and the environment -----------------------------------------------------------------------------------


async def test_the_engine_gets_its_own_key() -> None:
    async with ScriptedEngine(api_key=KEY) as engine:
        client = ModelClient(engine.url, api_key=KEY)
        await client.describe()
        await client.close()
        assert engine.keys == {f"Bearer {KEY}"}


async def test_a_wrong_key_is_told_by_describe() -> None:
    """Of TGI's endpoints only those that generate ask for the key."""
    async with ScriptedEngine(api_key="another") as engine:
        client = ModelClient(engine.url, api_key=KEY)
        with pytest.raises(EngineRefused, match="wants another key"):
            await client.describe()
        await client.close()


STREAM = """
import asyncio, sys
from bot.conversation import Message
from bot.model_client import ModelClient

async def main() -> None:
    client = ModelClient(sys.argv[1])
    async for delta in client.stream([Message("user", "Hi")], max_tokens=100):
        print(delta, end="")
    await client.close()

asyncio.run(main())
"""


async def test_the_environment_has_no_say(engine: ScriptedEngine, tmp_path: Path) -> None:
    """No proxy, no offline mode, and above all not the Hugging Face token of this machine."""
    (tmp_path / "token").write_text("hf_of_this_machine_too")
    dead_end = "http://127.0.0.1:9"
    environment = {
        **os.environ,
        "HF_TOKEN": "hf_of_this_machine",
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
        "HTTP_PROXY": dead_end,
        "http_proxy": dead_end,
        "ALL_PROXY": dead_end,
        "NO_PROXY": "",
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STREAM, engine.url, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    output, errors = await asyncio.wait_for(child.communicate(), 30)
    assert (output.decode(), errors.decode()) == ("Hello from the scripted engine.", "")
    assert engine.keys == {"Bearer none"}
