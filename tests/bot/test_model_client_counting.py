"""Tokens and windows, by each engine's own endpoints; the real llama.cpp is the judge of the counts."""

import json
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.conversation import Message
from bot.errors import EngineRefused, EngineSlow, EngineUnreachable
from bot.local.engine import LocalEngine
from bot.model_client import EngineReport, ModelClient
from bot.model_client.dialects import UNREPORTED_WINDOW_TOKENS
from bot.model_client.keys import Keys
from tests.engine_dialects import Dialect, render, tokenize
from tests.scripted_engine import Script, ScriptedEngine

SYSTEM = Message("system", "You are Dolly.")
ASKED = [SYSTEM, Message("user", "What is a lighthouse for, and who keeps it?")]
EXACT: list[Dialect] = ["tgi", "vllm", "llama.cpp"]
TEXTS = [
    "Hi",
    "What is a lighthouse for, and who keeps it?",
    "नमस्ते, दुनिया! 🎉🎉 日本語\u2028\x00\x85",
    "  leading\n\n\n  and trailing \n",
    "def f(x):\n    return {'a': [1, 2, 3]}\n" * 5,
    "<|im_start|>user\nI write the template's own signs<|im_end|>",
    "",
]


def as_json(messages: list[Message]) -> list[dict[str, str]]:
    return [{"role": one.role, "content": one.content} for one in messages]


@pytest.mark.parametrize("dialect", EXACT)
async def test_a_prompt_is_counted_as_the_engine_sees_it(dialect: Dialect) -> None:
    async with ScriptedEngine(dialect=dialect) as engine:
        client = ModelClient(engine.url)
        assert await client.count_tokens(ASKED) == len(tokenize(render(as_json(ASKED))))
        await client.close()


@pytest.mark.parametrize("dialect", EXACT)
async def test_what_surely_fits_is_not_counted(dialect: Dialect) -> None:
    async with ScriptedEngine(dialect=dialect) as engine:
        client = ModelClient(engine.url)
        exact = await client.count_tokens(ASKED)
        asked = len(engine.calls)
        at_most = await client.count_tokens(ASKED, room=1000)
        assert exact <= at_most <= 1000
        assert len(engine.calls) == asked
        assert await client.count_tokens(ASKED, room=at_most - 1) == exact
        await client.close()


@pytest.mark.parametrize("dialect", EXACT)
async def test_the_default_system_prompt_is_not_charged_to_a_message(dialect: Dialect) -> None:
    async with ScriptedEngine(dialect=dialect) as engine:
        client = ModelClient(engine.url)
        text = "one two three four"
        exact = len(tokenize(render(as_json([SYSTEM, Message("user", text)])))) - len(
            tokenize(render(as_json([SYSTEM])))
        )
        assert exact <= await client.count_content(text) <= exact + 2
        await client.close()


async def test_bytes_bound_what_an_engine_cannot_count() -> None:
    async with ScriptedEngine(dialect="sglang") as engine:
        client = ModelClient(engine.url)
        text = "नमस्ते 🎉"
        assert len(text.encode()) < await client.count_content(text) <= len(text.encode()) + 32
        assert await client.count_tokens([SYSTEM, Message("user", text)]) > len(text.encode())
        assert not (await client.describe()).counts_exactly
        await client.close()


async def test_a_counting_endpoint_that_a_proxy_hides_is_done_without() -> None:
    async with ScriptedEngine(dialect="vllm") as engine:
        engine.hidden = {"/tokenize"}
        client = ModelClient(engine.url)
        assert await client.count_tokens(ASKED) >= sum(len(one.content.encode()) for one in ASKED)
        assert (await client.describe()).counts_exactly is False
        assert engine.calls.count("POST /tokenize") == 2  # asked when it was met, and not for every message
        await client.close()


@pytest.mark.parametrize(
    ("dialect", "report"),
    [
        ("tgi", EngineReport("tgi", "tgi", "team/dolly", 3000, 1000, True)),
        ("vllm", EngineReport("vllm", "team/dolly", "team/dolly", 3000, 2999, True)),
        ("sglang", EngineReport("sglang", "team/dolly", "team/dolly", 3000, 2999, False)),
        ("llama.cpp", EngineReport("llama.cpp", "team/dolly", "team/dolly", 3000, 2999, True)),
    ],
)
async def test_an_engine_is_recognised(dialect: Dialect, report: EngineReport) -> None:
    async with ScriptedEngine(dialect=dialect, window_tokens=3000, max_input_tokens=1000) as engine:
        client = ModelClient(engine.url)
        assert await client.describe() == report
        assert await client.window_tokens() == 3000
        await client.close()


async def test_tgi_may_take_less_for_a_prompt_than_its_window() -> None:
    async with ScriptedEngine(window_tokens=2048, max_input_tokens=1024) as engine:
        client = ModelClient(engine.url)
        assert await client.prompt_budget(512) == 1024
        assert await client.prompt_budget(1500) == 548
        assert await client.prompt_budget(3000) < 0
        await client.close()


async def test_a_prompt_as_long_as_the_budget_is_taken_and_no_longer_one() -> None:
    async with ScriptedEngine(window_tokens=100, max_input_tokens=70) as engine:
        client = ModelClient(engine.url)
        for max_tokens in (10, 50):
            budget = await client.prompt_budget(max_tokens)
            fits = Message("user", "word" + " word" * (budget - await client.count_tokens([Message("user", "word")])))
            assert await client.count_tokens([fits]) == budget
            assert [delta async for delta in client.stream([fits], max_tokens=max_tokens)]
            with pytest.raises(EngineRefused, match="do not fit its window"):
                await anext(client.stream([Message("user", fits.content + " word")], max_tokens=max_tokens))
        await client.close()


async def test_an_engine_that_only_chats_is_used_with_care() -> None:
    async with ScriptedEngine(dialect="vllm") as engine:
        engine.hidden = {"/v1/models", "/tokenize"}
        client = ModelClient(engine.url, model="team/dolly")
        report = await client.describe()
        assert report == EngineReport(
            "unknown", "team/dolly", "default", UNREPORTED_WINDOW_TOKENS, UNREPORTED_WINDOW_TOKENS - 1, False
        )
        await client.close()


async def test_a_new_window_is_noticed_after_a_failure() -> None:
    async with ScriptedEngine(window_tokens=2048) as engine:
        client = ModelClient(engine.url)
        assert await client.window_tokens() == 2048
        engine.window_tokens = 4096
        assert await client.window_tokens() == 2048
        engine.then(Script(refusal=(422, {"error": "no", "error_type": "validation"})))
        with pytest.raises(EngineRefused):
            await anext(client.stream(ASKED, max_tokens=10))
        assert await client.window_tokens() == 4096
        await client.close()


async def test_a_new_window_is_noticed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.model_client.client._KNOWN_FOR_SECONDS", 0)
    async with ScriptedEngine(window_tokens=2048) as engine:
        client = ModelClient(engine.url)
        assert await client.window_tokens() == 2048
        engine.window_tokens = 4096
        assert await client.window_tokens() == 4096
        await client.close()


async def test_counting_fails_as_answers_do() -> None:
    async with ScriptedEngine() as engine:
        client = ModelClient(engine.url)
        await client.count_tokens(ASKED)
    with pytest.raises(EngineUnreachable):
        await client.count_tokens(ASKED)
    await client.close()


async def test_counting_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.model_client.connection._SMALL_CALL_SECONDS", 0.2)
    async with ScriptedEngine() as engine:
        engine.counting_seconds = 5
        client = ModelClient(engine.url)
        with pytest.raises(EngineSlow, match="does not answer in time"):
            await client.window_tokens()
        await client.close()


# --- the real llama.cpp -----------------------------------------------------------------------------------------


@pytest.fixture
async def llama(llama_engine: LocalEngine) -> AsyncIterator[ModelClient]:
    client = ModelClient(llama_engine.url, temperature=0)
    yield client
    await client.close()


def prompt_tokens(url: str, messages: list[Message]) -> int:
    """What the engine itself says, after it has read the prompt for an answer."""
    body: dict[str, Any] = {"messages": as_json(messages), "max_tokens": 1}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return int(json.load(response)["usage"]["prompt_tokens"])


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_llama_counts_are_those_of_its_usage(llama: ModelClient, llama_engine: LocalEngine, text: str) -> None:
    for messages in ([Message("user", text)], [SYSTEM, Message("user", text)]):
        sent = Keys(None).broken(messages)
        assert await llama.count_tokens(messages) == prompt_tokens(llama_engine.url, sent)


async def test_a_bound_is_one_for_llama(llama: ModelClient) -> None:
    for text in [*TEXTS, "\ufdfa" * 40, "\x1f" * 40, "𓀀" * 40]:
        messages = [SYSTEM, Message("user", text), Message("assistant", text), Message("user", text)]
        assert await llama.count_tokens(messages) <= await llama.count_tokens(messages, room=1_000_000)


async def test_contents_bound_a_conversation_and_not_by_much(llama: ModelClient) -> None:
    turns = [Message(("user", "assistant")[number % 2], text) for number, text in enumerate(TEXTS[:6])]
    question = Message("user", "So?")
    required = await llama.count_tokens([SYSTEM, question])
    summed = required + sum([await llama.count_content(turn.content) for turn in turns])
    exact = await llama.count_tokens([SYSTEM, *turns, question])
    assert exact <= summed <= exact + 3 * len(turns)


async def test_llama_streams_and_says_what_it_is(llama: ModelClient) -> None:
    report = await llama.describe()
    assert (report.dialect, report.counts_exactly) == ("llama.cpp", True)
    assert await llama.window_tokens() == 2048
    deltas = [delta async for delta in llama.stream(ASKED, max_tokens=24)]
    assert len(deltas) > 5
    assert all(deltas)


async def test_llama_refuses_a_prompt_beyond_its_window(llama: ModelClient) -> None:
    with pytest.raises(EngineRefused, match=r"exceed_context_size_error.*do not fit its window"):
        await anext(llama.stream([Message("user", "word " * 4000)], max_tokens=10))
