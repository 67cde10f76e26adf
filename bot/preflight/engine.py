"""The engine: that it answers within bounds, asks for a key, and serves the model as it was trained."""

from collections.abc import Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bot.conversation import Message
from bot.errors import EngineError, EngineRefused
from bot.model_client import ModelClient
from bot.model_client.dialects import EngineReport
from bot.model_client.examiner import EngineExaminer
from bot.preflight.addresses import distance, judge_plain
from bot.preflight.finding import Finding
from bot.preflight.template import check_template

FEW_TOKENS = 2
FEW_TOKENS_BYTES = 64
"""No two tokens of a model in use are longer."""

SILENCED = {
    "tgi": "Start TGI with --usage-stats off",
    "vllm": "Start vLLM with VLLM_NO_USAGE_STATS=1 and DO_NOT_TRACK=1",
}
"""By the engine that reports its use to its makers, how it is told not to."""


async def check_engine(
    model: ModelClient,
    max_tokens: int,
    *,
    memory_tokens: int = 0,
    concurrent_answers: int = 0,
    manifest: Path | None = None,
    production: bool = False,
) -> list[Finding]:
    """Whether the engine answers, and what it serves; in `production`, each promise about it."""
    try:
        report = await model.describe()
    except EngineError as error:
        return [Finding("Engine", "answers", "wrong", str(error))]
    counting = "exactly" if report.counts_exactly else "by an upper bound"
    sentence = f"{report.stamp} on {report.dialect}: a window of {report.window_tokens} tokens, counted {counting}."
    findings = [Finding("Engine", "answers", "safe", sentence)]
    if report.window_tokens <= max_tokens:
        sentence = f"MAX_TOKENS is {max_tokens}, and the engine's window is {report.window_tokens}; set it lower."
        return [*findings, Finding("Engine", "window", "wrong", sentence)]
    if not production:
        return findings
    examiner = model.examiner()
    findings += [
        _window(report, max_tokens, memory_tokens),
        await _checked("contract", _contract(model)),
        await _checked("long prompts", _too_long(model, report)),
        await _checked("places", _places(examiner, report, concurrent_answers)),
        await _checked("key", _key(examiner.url)),
        await judge_transport(examiner.url),
        await _checked("template", check_template(examiner, report, manifest)),
        _telemetry(report),
    ]
    await examiner.close()
    return findings


async def _checked(promise: str, work: Coroutine[Any, Any, Finding]) -> Finding:
    """What was found, or in what way the engine failed meanwhile."""
    try:
        return await work
    except EngineError as error:
        return Finding("Engine", promise, "wrong", str(error))


def _window(report: EngineReport, max_tokens: int, memory_tokens: int) -> Finding:
    room = min(report.window_tokens - max_tokens, report.max_prompt_tokens)
    if room < memory_tokens:
        sentence = (
            f"MEMORY_TOKENS remembers {memory_tokens} tokens of a conversation, and a prompt has room for {room} "
            f"beside an answer of {max_tokens} (MAX_TOKENS): set it to {room} or less, or give the engine a larger "
            "window."
        )
        return Finding("Engine", "window", "unsafe", sentence)
    sentence = f"{memory_tokens} remembered tokens and an answer of {max_tokens} fit into {report.window_tokens}."
    return Finding("Engine", "window", "safe", sentence)


async def _contract(model: ModelClient) -> Finding:
    """A streamed answer that ends where it was told to."""
    question = [Message("user", "Count from one to twenty, in words.")]
    pieces = []
    async with aclosing(model.stream(question, max_tokens=FEW_TOKENS)) as deltas:
        async for delta in deltas:
            pieces.append(delta)
            if len("".join(pieces).encode()) > FEW_TOKENS_BYTES:
                sentence = (
                    "The engine writes on where max_tokens ends an answer; see whether a proxy before it drops that."
                )
                return Finding("Engine", "contract", "unsafe", sentence)
    if not "".join(pieces).strip():
        sentence = "The engine ended an answer of two tokens without a text; ask it something, and look at its log."
        return Finding("Engine", "contract", "cannot tell", sentence)
    sentence = "It streams /v1/chat/completions, keeps to max_tokens, and says when an answer has ended."
    return Finding("Engine", "contract", "safe", sentence)


async def _too_long(model: ModelClient, report: EngineReport) -> Finding:
    if report.dialect == "unknown":
        sentence = "The engine does not tell its window; see that it refuses a prompt that is longer, and cuts none."
        return Finding("Engine", "long prompts", "cannot tell", sentence)
    question = [Message("user", "a1 " * report.window_tokens)]
    try:
        async with aclosing(model.stream(question, max_tokens=1)) as deltas:
            async for _ in deltas:
                break
    except EngineRefused:
        return Finding("Engine", "long prompts", "safe", "A prompt that is longer than the window is refused, not cut.")
    except EngineError as error:
        sentence = f"A prompt that is longer than the window is taken for another trouble, and tried again: {error}"
        return Finding("Engine", "long prompts", "unsafe", sentence)
    sentence = (
        "A prompt that is longer than the window is answered: the engine cuts it in silence, and may cut off what "
        "Dolly was told. Start it without truncation."
    )
    return Finding("Engine", "long prompts", "unsafe", sentence)


async def _places(examiner: EngineExaminer, report: EngineReport, concurrent_answers: int) -> Finding:
    if report.dialect in ("vllm", "sglang", "llama.cpp"):
        sentence = f"{report.dialect} lets questions wait that it has no place for, and refuses none."
        return Finding("Engine", "places", "safe", sentence)
    places = await examiner.places()
    if places is None:
        sentence = (
            "The engine does not say how many questions it takes at once; it should be CONCURRENT_ANSWERS "
            f"({concurrent_answers}) times the replicas of Dolly."
        )
        return Finding("Engine", "places", "cannot tell", sentence)
    if places < concurrent_answers:
        sentence = (
            f"The engine refuses more than {places} questions at once (--max-concurrent-requests), and "
            f"CONCURRENT_ANSWERS is {concurrent_answers}; raise the one, or set the other lower."
        )
        return Finding("Engine", "places", "unsafe", sentence)
    sentence = (
        f"It takes {places} questions at once: enough for up to {places // concurrent_answers} replicas of Dolly."
    )
    return Finding("Engine", "places", "safe", sentence)


async def _key(url: str) -> Finding:
    """Who comes without the key is refused before anything is written."""
    stranger = ModelClient(url)
    try:
        async with aclosing(stranger.stream([Message("user", "Hello")], max_tokens=1)) as deltas:
            async for _ in deltas:
                pass
    except EngineRefused:
        return Finding("Engine", "key", "safe", "Without the key it answers nobody.")
    finally:
        await stranger.close()
    if await distance(urlsplit(url).hostname or "") == "this machine":
        return Finding("Engine", "key", "safe", "It asks for no key, and only this machine reaches it by this address.")
    sentence = (
        "The engine answers whoever reaches it: start it with an API key, and give Dolly the same as ENGINE_API_KEY."
    )
    return Finding("Engine", "key", "unsafe", sentence)


async def judge_transport(url: str) -> Finding:
    """Who can read along between here and the engine at `url`."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return Finding("Engine", "transport", "safe", "TLS, and the server's certificate is verified.")
    verdict, reason = await judge_plain(parts.hostname or "")
    remedy = "." if verdict == "safe" else ", all that people ask; let ENGINE_URL begin with https://."
    return Finding("Engine", "transport", verdict, f"No TLS: {reason}{remedy}")


def _telemetry(report: EngineReport) -> Finding:
    if report.dialect == "llama.cpp":
        return Finding("Engine", "telemetry", "safe", "llama.cpp reports its use to nobody.")
    how = SILENCED.get(report.dialect, "Look in its manual for how it is told not to")
    sentence = (
        f"Whether the engine reports its use to its makers does not show from here. {how}, and let it reach nothing."
    )
    return Finding("Engine", "telemetry", "cannot tell", sentence)
