"""The stream of an answer: what is asked, what comes out, and how it is stopped."""

import asyncio
import gc
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest
from huggingface_hub import AsyncInferenceClient
from hypothesis import given
from hypothesis import strategies as st

from bot.conversation import Message
from bot.errors import EngineRefused
from bot.model_client import ModelClient
from bot.model_client.stopping import StopCut
from tests.engine_dialects import Dialect
from tests.scripted_engine import DONE, Script, ScriptedEngine, event

ASKED = [Message("system", "You are Dolly."), Message("user", "Who are you?")]
ENDLESS = Script(text="and so on " * 1000, tokens_per_second=20)


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    async with ScriptedEngine() as engine:
        yield engine


@pytest.fixture
async def client(engine: ScriptedEngine) -> AsyncIterator[ModelClient]:
    client = ModelClient(engine.url)
    yield client
    await client.close()


async def answer(client: ModelClient, messages: Sequence[Message] = ASKED, max_tokens: int = 100) -> str:
    return "".join([delta async for delta in client.stream(messages, max_tokens=max_tokens)])


# --- what is asked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_an_address_works_with_or_without_v1(engine: ScriptedEngine, suffix: str) -> None:
    client = ModelClient(engine.url + suffix)
    assert await answer(client) == "Hello from the scripted engine."
    await client.close()


@pytest.mark.parametrize("address", ["engine:8080", "team/dolly", "", "ftp://engine", "http://"])
async def test_no_other_address_is_taken(address: str) -> None:
    """huggingface_hub takes such a one for a model's name, and sends the conversation to its own service."""
    with pytest.raises(ValueError, match="http://"):
        ModelClient(address)


async def test_the_request_holds_the_conversation_and_nothing_that_engines_misread(
    engine: ScriptedEngine, client: ModelClient
) -> None:
    await answer(client, max_tokens=77)
    assert engine.requests[0].body == {
        "model": "tgi",
        "messages": [
            {"role": "system", "content": "You are Dolly."},
            {"role": "user", "content": "Who are you?"},
        ],
        "max_tokens": 77,
        "temperature": 0.7,
        "stream": True,
    }


async def test_temperature_0_is_sent_as_such(engine: ScriptedEngine) -> None:
    client = ModelClient(engine.url, temperature=0)
    await answer(client)
    assert engine.requests[0].body["temperature"] == 0
    await client.close()


@pytest.mark.parametrize(
    ("dialect", "named", "sent"),
    [
        ("tgi", None, "tgi"),
        ("tgi", "team/dolly", "tgi"),  # its own model: any name but "tgi" would be an adapter's
        ("tgi", "an-adapter", "an-adapter"),
        ("vllm", None, "team/dolly"),
        ("vllm", "team/dolly", "team/dolly"),
        ("sglang", None, "team/dolly"),
        ("llama.cpp", None, "team/dolly"),
    ],
)
async def test_the_model_is_named_as_the_engine_wants_it(dialect: Dialect, named: str | None, sent: str) -> None:
    async with ScriptedEngine(dialect=dialect) as engine:
        client = ModelClient(engine.url, model=named)
        await answer(client)
        await client.close()
        assert engine.requests[0].body["model"] == sent


async def test_the_engine_is_asked_what_it_is_once() -> None:
    async with ScriptedEngine(dialect="vllm") as engine:
        client = ModelClient(engine.url)
        await asyncio.gather(*(answer(client) for _ in range(5)))
        await client.close()
        assert engine.calls.count("GET /v1/models") == 1
        assert len(engine.requests) == 5


async def test_a_model_that_was_exchanged_is_found_again() -> None:
    async with ScriptedEngine(dialect="vllm") as engine:
        client = ModelClient(engine.url)
        await answer(client)
        engine.model = "team/dolly-2"
        assert await answer(client) == "Hello from the scripted engine."
        assert [one.body["model"] for one in engine.requests] == ["team/dolly", "team/dolly", "team/dolly-2"]
        await client.close()


async def test_a_model_that_the_engine_does_not_serve_is_told() -> None:
    async with ScriptedEngine(dialect="vllm") as engine:
        client = ModelClient(engine.url, model="another")
        with pytest.raises(EngineRefused, match=r"404 \(NotFoundError\): it does not serve the model"):
            await answer(client)
        await client.close()


# --- what comes out ---------------------------------------------------------------------------------------------


def chunk(delta: dict[str, object] | None, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return event({"object": "chat.completion.chunk", "choices": [choice]})


async def test_the_pieces_come_one_by_one(engine: ScriptedEngine, client: ModelClient) -> None:
    engine.script = Script(text="One two three.", tokens_per_second=20)
    deltas, times = [], []
    async for delta in client.stream(ASKED, max_tokens=100):
        deltas.append(delta)
        times.append(time.monotonic())
    assert deltas == ["One", " two", " three", "."]
    assert times[-1] - times[0] > 0.1


async def test_an_answer_ends_at_its_length(engine: ScriptedEngine, client: ModelClient) -> None:
    engine.script = Script(text="One two three four five.")
    assert await answer(client, max_tokens=3) == "One two three"


async def test_deltas_without_text_are_passed_over(engine: ScriptedEngine, client: ModelClient) -> None:
    usage = event({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
    lines: list[bytes | float] = [
        b": a comment\n\n",
        b"event: message\nid: 7\nretry: 10\n\n",
        event({"object": "chat.completion.chunk"}),
        usage,
        chunk({"role": "assistant"}),
        chunk({"role": "assistant", "content": None}),
        chunk({"content": ""}),
        chunk({}),
        chunk(None),
        chunk({"content": "Hi"}),
        chunk({"content": "!"}, "stop"),
        usage,
        DONE,
    ]
    engine.script = Script(lines=lines)
    assert [delta async for delta in client.stream(ASKED, max_tokens=9)] == ["Hi", "!"]


async def test_a_stream_may_end_without_done(engine: ScriptedEngine, client: ModelClient) -> None:
    engine.script = Script(lines=[chunk({"content": "Hi"}), chunk({}, "length")])
    assert await answer(client) == "Hi"


async def test_lines_may_end_in_cr_lf_and_lack_the_space(engine: ScriptedEngine, client: ModelClient) -> None:
    lines = [chunk({"content": "Hi"}), chunk({"content": " data:"}), chunk({}, "stop")]
    engine.script = Script(lines=[line.replace(b"data: ", b"data:", 1).replace(b"\n", b"\r\n") for line in lines])
    assert await answer(client) == "Hi data:"


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_text_survives_any_cut_of_its_bytes(engine: ScriptedEngine, client: ModelClient, size: int) -> None:
    """Emoji, and the separators at which httpx ends a line, cut anywhere by the network."""
    text = "नमस्ते 🎉 a\u2028b\u2029c\u0085d\nâ\x7f€ end\u2028"
    stream = chunk({"content": text}) + chunk({}, "stop") + DONE
    engine.script = Script(lines=[stream[start : start + size] for start in range(0, len(stream), size)])
    assert await answer(client) == text


async def test_invalid_utf8_becomes_a_replacement_sign(engine: ScriptedEngine, client: ModelClient) -> None:
    engine.script = Script(lines=[chunk({"content": "a?b"}).replace(b"a?b", b"a\xff\xe2\x80b"), chunk({}, "stop")])
    assert await answer(client) == "a��b"


# --- stop strings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "stop", "shown"),
    [
        ("The answer. ### End", ["### End"], "The answer. "),
        ("The answer.### Endless talk", ["### End"], "The answer."),  # the stop string ends within a token
        ("First, second; third", [";", ","], "First"),
        ("No stop string: ### Enough", ["### End"], "No stop string: ### Enough"),
        ("It ends in its beginning ###", ["### End"], "It ends in its beginning ###"),
        ("### End", ["### End"], ""),
        ("Nothing to stop at", ["", "###"], "Nothing to stop at"),
    ],
)
async def test_a_text_is_cut_at_its_first_stop_string(
    engine: ScriptedEngine, text: str, stop: list[str], shown: str
) -> None:
    engine.script = Script(text=text, finish_reason="stop_sequence")
    client = ModelClient(engine.url, stop=stop)
    assert await answer(client) == shown
    await client.close()


async def test_the_engine_stops_at_a_stop_string(engine: ScriptedEngine) -> None:
    engine.script = Script(text="Yes. ### End " + "more " * 1000, tokens_per_second=20)
    client = ModelClient(engine.url, stop=["### End"])
    assert await answer(client, max_tokens=1000) == "Yes. "
    await asyncio.wait_for(engine.requests[0].ended.wait(), 1)
    assert engine.requests[0].tokens_sent < 10
    await client.close()


@given(
    text=st.text("ab#", max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=8),
    stop=st.lists(st.text("ab#", min_size=1, max_size=4), max_size=3),
)
def test_the_cut_does_not_depend_on_the_deltas(text: str, cuts: list[int], stop: list[str]) -> None:
    found = [(at + len(one), at) for one in stop if (at := text.find(one)) >= 0]
    expected = text[: min(found)[1]] if found else text
    borders = [0, *sorted(cuts), len(text)]
    cut, shown = StopCut(stop), ""
    for start, end in itertools.pairwise(borders):
        shown += cut.feed(text[start:end])
        assert expected.startswith(shown)
        if cut.found:
            break
    assert cut.found == bool(found)
    assert shown + ("" if cut.found else cut.rest()) == expected


# --- stopping it ------------------------------------------------------------------------------------------------


async def seen_to_leave(engine: ScriptedEngine, left: float) -> None:
    """The engine must see within 100 ms, with a chunk's time for a busy machine, that nobody listens."""
    request = engine.requests[-1]
    await asyncio.wait_for(request.ended.wait(), 2)
    assert request.disconnected_at is not None
    assert request.disconnected_at - left < 0.15
    assert not request.finished


async def test_leaving_the_loop_reaches_the_engine(engine: ScriptedEngine, client: ModelClient) -> None:
    engine.script = ENDLESS
    async with aclosing(client.stream(ASKED, max_tokens=1000)) as deltas:
        async for _ in deltas:
            break
    await seen_to_leave(engine, time.monotonic())


async def test_leaving_the_loop_without_closing_does_too(engine: ScriptedEngine, client: ModelClient) -> None:
    engine.script = ENDLESS
    async for _ in client.stream(ASKED, max_tokens=1000):
        break
    await seen_to_leave(engine, time.monotonic())


@pytest.mark.parametrize("script", [ENDLESS, Script(first_token_seconds=60), Script(end="hang", after=1)])
async def test_cancelling_the_task_reaches_the_engine(
    engine: ScriptedEngine, client: ModelClient, script: Script
) -> None:
    engine.script = script
    task = asyncio.create_task(answer(client, max_tokens=1000))
    await engine.asked.wait()
    await asyncio.sleep(0.1)
    task.cancel()
    left = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    await seen_to_leave(engine, left)


async def test_nothing_is_left_of_answers(engine: ScriptedEngine, client: ModelClient) -> None:
    """huggingface_hub's client keeps a callback per stream until it is closed; ours live for one answer."""
    for number in range(30):
        async with aclosing(client.stream(ASKED, max_tokens=100)) as deltas:
            async for _ in deltas:
                if number % 2:
                    break
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is AsyncInferenceClient]


async def test_each_engine_is_asked_over_its_own_connections(engine: ScriptedEngine, client: ModelClient) -> None:
    """huggingface_hub knows one way to open HTTP in a process; here are two engines, and one of them is left."""
    async with ScriptedEngine(Script(text="Hello from the other.")) as other_engine:
        other = ModelClient(other_engine.url)
        async with aclosing(client.stream(ASKED, max_tokens=100)) as deltas:
            first = await anext(deltas)
            assert "".join([delta async for delta in other.stream(ASKED, max_tokens=100)]) == "Hello from the other."
            await other.close()
            rest = "".join([delta async for delta in deltas])
        assert first + rest == "Hello from the scripted engine."
        assert "".join([delta async for delta in client.stream(ASKED, max_tokens=100)]) == first + rest
