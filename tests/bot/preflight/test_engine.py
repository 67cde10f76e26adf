"""Promises about the engine, asked of scripted engines of each kind, and of a real llama.cpp."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.local.engine import LocalEngine
from bot.model_client import ModelClient
from bot.preflight import Finding, check_engine
from bot.preflight.engine import judge_transport
from tests.bot.preflight.found import by_promise, verdicts
from tests.engine_dialects import Dialect, Messages, render, tokenize
from tests.scripted_engine import Script, ScriptedEngine

PROMISES = ("answers", "window", "contract", "long prompts", "places", "key", "transport", "template", "telemetry")
KEYS = ["<|im_start|>", "<|im_end|>", "<s>"]
MESSAGES = [{"role": "system", "content": "You are Dolly."}, {"role": "user", "content": "What is 2 + 2?"}]

Write = Callable[..., Path]


@pytest.fixture
def manifest(tmp_path: Path) -> Write:
    """Writes a manifest whose example is that of the scripted engines' template, or another text."""

    def write(text: str | None = None, messages: Messages = MESSAGES) -> Path:
        text = render(messages) if text is None else text
        rendered = {"messages": messages, "text": text, "input_ids": list(range(len(tokenize(text))))}
        path = tmp_path / "manifest.json"
        path.write_text(json.dumps({"keys": KEYS, "rendered": rendered}))
        return path

    return write


@asynccontextmanager
async def asking(url: str, key: str | None = None) -> AsyncIterator[ModelClient]:
    model = ModelClient(url, api_key=key)
    try:
        yield model
    finally:
        await model.close()


async def check(
    engine: ScriptedEngine | LocalEngine,
    *,
    key: str | None = None,
    memory_tokens: int = 1000,
    concurrent_answers: int = 8,
    manifest: Path | None = None,
) -> list[Finding]:
    async with asking(engine.url, key) as model:
        return await check_engine(
            model,
            512,
            memory_tokens=memory_tokens,
            concurrent_answers=concurrent_answers,
            manifest=manifest,
            production=True,
        )


@pytest.mark.parametrize("dialect", ["tgi", "vllm", "sglang", "llama.cpp"])
async def test_an_engine_that_keeps_its_promises(dialect: Dialect, manifest: Write) -> None:
    async with ScriptedEngine(dialect=dialect, api_key="right") as engine:
        findings = await check(engine, key="right", manifest=manifest())
    untold = {
        "tgi": {"telemetry"},
        "vllm": {"telemetry"},
        "sglang": {"telemetry", "template"},  # it renders for nobody to see
        "llama.cpp": set(),
    }
    wanted = {promise: "cannot tell" if promise in untold[dialect] else "safe" for promise in PROMISES}
    assert verdicts(findings) == wanted


async def test_a_real_engine(llama_engine: LocalEngine, manifest: Write) -> None:
    text = render(MESSAGES)
    findings = await check(llama_engine, manifest=manifest(text))
    assert verdicts(findings) == dict.fromkeys(PROMISES, "safe")
    finding = by_promise(await check(llama_engine, manifest=manifest("Q: What is 2 + 2?\nA:")))["template"]
    assert finding.verdict == "unsafe"
    assert "--chat-template" in finding.sentence


@pytest.mark.parametrize("dialect", ["tgi", "vllm", "llama.cpp"])
async def test_another_prompt_than_in_training(dialect: Dialect, manifest: Write) -> None:
    async with ScriptedEngine(dialect=dialect) as engine:
        for text in (render(MESSAGES) + "Sure", "<s>" + render(MESSAGES)):
            finding = by_promise(await check(engine, manifest=manifest(text)))["template"]
            # llama.cpp takes the token of a beginning off what it shows, and adds it with the tokens.
            is_beginning = dialect == "llama.cpp" and text.startswith("<s>")
            assert finding.verdict == ("safe" if is_beginning else "unsafe")


@pytest.mark.parametrize("written", ["{}", "not json", '{"keys": [], "rendered": null}'])
async def test_a_manifest_without_an_example(tmp_path: Path, written: str) -> None:
    (tmp_path / "manifest.json").write_text(written)
    async with ScriptedEngine() as engine:
        finding = by_promise(await check(engine, manifest=tmp_path / "manifest.json"))["template"]
        assert (finding.verdict, "export the model again" in finding.sentence) == ("cannot tell", True)
        finding = by_promise(await check(engine))["template"]
        assert (finding.verdict, "ENGINE_MANIFEST" in finding.sentence) == ("cannot tell", True)


async def test_what_is_remembered_does_not_fit() -> None:
    async with ScriptedEngine(max_input_tokens=1200) as engine:
        finding = by_promise(await check(engine, memory_tokens=1300))["window"]
        assert finding.verdict == "unsafe"
        assert "set it to 1200 or less" in finding.sentence


async def test_an_engine_that_does_not_end_where_it_should() -> None:
    async with ScriptedEngine() as engine:
        endless = [engine.chunk(" word") for _ in range(100)]
        engine.then(Script(), Script(lines=endless))
        assert verdicts(await check(engine))["contract"] == "unsafe"
        engine.then(Script(), Script(text=""))
        assert verdicts(await check(engine))["contract"] == "cannot tell"


async def test_a_prompt_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedEngine() as engine:
        engine.then(Script(), Script(), Script(overloaded=True))
        finding = by_promise(await check(engine))["long prompts"]
        assert (finding.verdict, "tried again" in finding.sentence) == ("unsafe", True)
        monkeypatch.setattr(ScriptedEngine, "_fault", lambda *_: None)
        finding = by_promise(await check(engine))["long prompts"]
        assert (finding.verdict, "in silence" in finding.sentence) == ("unsafe", True)


async def test_fewer_places_than_answers_at_once() -> None:
    async with ScriptedEngine() as engine:
        assert "up to 16 replicas" in by_promise(await check(engine))["places"].sentence
        assert verdicts(await check(engine, concurrent_answers=200))["places"] == "unsafe"
        engine.hidden.add("/info")
        found = verdicts(await check(engine))
    untold = {"places", "long prompts", "template", "telemetry"}
    assert {promise for promise, verdict in found.items() if verdict == "cannot tell"} == untold


@pytest.mark.parametrize(("near", "verdict"), [("this machine", "safe"), ("private", "unsafe"), ("public", "unsafe")])
async def test_an_engine_that_asks_for_no_key(near: str, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def distance(_: str) -> str:
        return near

    monkeypatch.setattr("bot.preflight.engine.distance", distance)
    async with ScriptedEngine() as engine:
        finding = by_promise(await check(engine))["key"]
    assert finding.verdict == verdict


@pytest.mark.parametrize(
    ("url", "verdict"),
    [
        ("https://engine.example", "safe"),
        ("http://127.0.0.1:8080", "safe"),
        ("http://192.168.1.5:8080", "cannot tell"),
        ("http://1.1.1.1:8080", "unsafe"),
    ],
)
async def test_who_can_read_along(url: str, verdict: str) -> None:
    assert (await judge_transport(url)).verdict == verdict


async def test_an_engine_that_goes_away_while_it_is_looked_at() -> None:
    async with ScriptedEngine() as engine:
        engine.then(Script(), Script(refusal=(503, "loading")))
        findings = await check(engine)
    assert [finding.verdict for finding in findings if finding.promise == "contract"] == ["wrong"]
